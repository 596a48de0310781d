# amaranth: UnusedElaboratable=no
"""SQ x SQ in the Amaranth simulator: dense operands with outliers of their own, bit for bit."""

import itertools

import numpy as np
import pytest

from sim.traffic.faults import DENSE_FAULTS, replace_field
from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.console import SEED
from sqhw.emit import emit, write
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.measure.core import BarePE
from sqhw.packing import dense_beats, dot_products, sq_beats, with_length
from sqhw.pe.pe import ProcessingElement
from sqhw.tools.lint import lint
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.tensors import DenseTensor, SQTensor
from tests.array.array_jobs import Tile, tile_rows
from tests.hardware import STALLS, drive_stream, simulate
from tests.pe.test_pe import NAN, bits, streams
from tests.reference.cases import random_dense, random_sq

SPLIT = DenseFormat(4, 16, 1, 8)

CONFIGS = {
    "several steps": PEConfig(SQFormat(8, 3, "fp16"), SPLIT, 8, 1, 256),
    "int8, several steps": PEConfig(SQFormat(8, 2, "int8"), DenseFormat(4, None, 3, 8), 8, 1, 64),
    "dense bank spans beats": PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4, None, 3, 16), 4, 1, 100),
    "dense banks side by side": PEConfig(
        SQFormat(16, 2, "int8", "sentinel"), DenseFormat(4, 16, 1, 4), 16, 2, 64
    ),
    "all are outliers": PEConfig(SQFormat(4, 4, "fp16"), DenseFormat(4, 4, 4, 4), 4, 4, 1 << 16),
    "outliers on one side": PEConfig(SQFormat(4, 0), DenseFormat(4, 8, 2, 8), 4, 0, 64),
    "one lane": PEConfig(SQFormat(4, 1, "int8", "sentinel"), DenseFormat(4, None, 1, 4), 1, 1, 32),
    "several steps, long": PEConfig(SQFormat(8, 3, "fp16"), SPLIT, 8, 1, 256, pipeline="long"),
    "two beats per bank": PEConfig(SQFormat(8, 2, "fp16"), SPLIT, 4, 1, 64),
    "two beats per bank, int8": PEConfig(SQFormat(8, 2, "int8"), SPLIT, 4, 1, 64),
}


def products(config, operands):
    """Returns the inputs of all the products of each pair of tensors, and the results that must come out."""
    inputs = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    for sq, dense in operands:
        pairs = list(itertools.product(range(sq.rows), range(dense.rows)))
        y = multiply(sq, dense).y
        expected += [bits(y[pair]) for pair in pairs]
        for stream, words in streams(config, sq, dense, pairs).items():
            inputs[stream] += words
    return inputs, expected


def one_outlier(fmt, rng):
    """Rows of one bank, the r-th with an outlier at r: as SQ or dense tensor of random codes."""
    sq = fmt if isinstance(fmt, SQFormat) else fmt.outlier_format
    bank = sq.bank
    bitmap = np.eye(bank, dtype=bool)[:, None, :]
    low = rng.integers(-7, 8, (bank, 1, bank))
    inside = rng.integers(-8, 8, low.shape)
    high = rng.integers(*((-8, 8) if sq.mask == "bitmap" else (-128, 128)), (bank, 1, 1)).astype(np.int8)
    if sq.high == "fp16":
        high = rng.standard_normal((bank, 1, 1)).astype(np.float16).view(np.uint16)
        inside = np.zeros_like(low)
    if sq.mask == "sentinel":
        inside[:] = -8
    low = np.where(bitmap, inside, low).astype(np.int8)
    scale = np.ones(bank, np.float32)
    if isinstance(fmt, SQFormat):
        bank_scale = rng.integers(24, 256, (bank, 1)).astype(np.uint8)
        return SQTensor(fmt, bank, low, bitmap, bank_scale, high, scale)
    group_scale = rng.integers(0, 64, (bank, 1)).astype(np.uint8) if fmt.group else None
    return DenseTensor(fmt, bank, low[:, 0], group_scale, scale, bitmap, high)


@pytest.mark.parametrize(("group", "lanes"), [(None, 8), (8, 4)])
@pytest.mark.parametrize("mask", ["bitmap", "sentinel"])
@pytest.mark.parametrize("high", ["fp16", "int8"])
def test_outliers_meet_at_every_position(high, mask, group, lanes):
    """Every position of an outlier of one operand against every position of one of the other.

    With group scales a bank is two beats.
    """
    config = PEConfig(SQFormat(8, 1, high, mask), DenseFormat(4, group, 1, 8), lanes, 1, 8)
    rng = np.random.default_rng([SEED, lanes])
    sq, dense = one_outlier(config.sq, rng), one_outlier(config.dense, rng)
    inputs, expected = products(config, [(sq, dense)])
    got, _ = drive_stream(ProcessingElement(config), inputs, len(expected))
    assert got == expected
    assert len(got) == 8 * 8


@pytest.mark.parametrize("name", CONFIGS)
def test_agrees_with_the_golden_model(name):
    """Random codes of all kinds, and the largest."""
    config = CONFIGS[name]
    rng = np.random.default_rng([SEED, len(name)])
    operands = []
    for k, extreme in ((1, False), (2 * config.sq.bank + 1, False), (20, False), (32, True)):
        sq = random_sq(rng, config.sq, 2, k, extreme=extreme)
        operands.append((sq, random_dense(rng, config.dense, 2, k, extreme=extreme)))
    inputs, expected = products(config, operands)
    stalls = list(STALLS)[len(name) % 4]
    got, _ = drive_stream(ProcessingElement(config), inputs, len(expected), stalls=stalls, seed=SEED)
    assert got == expected
    assert len(got) == 16


def test_a_beat_every_cycle_whatever_the_dense_operand_holds():
    config = PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4, None, 4, 4), 4, 1, 32)
    rng = np.random.default_rng(SEED)
    sq = random_sq(rng, config.sq, 6, 12)
    inputs, expected = products(config, [(sq, random_dense(rng, config.dense, 1, 12, extreme=True))])
    dut = ProcessingElement(config)
    got, when = drive_stream(dut, inputs, len(expected))
    assert got == expected
    assert when[0] == dut.latency + 3 - 1
    assert np.diff(when).tolist() == [3] * 5


def faults(config, words):
    """The broken forms of a dense dot product's beats that have the same length."""
    broken = (fault(config, words) for fault in DENSE_FAULTS.values())
    return [words for words in broken if words is not None]


FAULTY = ("dense bank spans beats", "dense banks side by side")


@pytest.mark.parametrize("name", FAULTY)
def test_faults_are_flagged_and_leave_no_trace(name):
    config = CONFIGS[name]
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 1, 32), random_dense(rng, config.dense, 1, 32)
    inputs, (good,) = products(config, [(sq, dense)])
    sent = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    for broken in faults(config, inputs["i_dense"]):
        sent["i_sq"] += 2 * inputs["i_sq"]
        sent["i_dense"] += broken + inputs["i_dense"]
        sent["i_scales"] += 2 * inputs["i_scales"]
        expected += [1 << 32 | NAN, good]
    got, _ = drive_stream(ProcessingElement(config), sent, len(expected), seed=SEED, stalls="both")
    assert got == expected
    assert len(expected) >= 4


def test_a_dense_bank_must_not_be_cut():
    """The SQ operand ends with one of its banks, the dense operand inside one of its own."""
    config = CONFIGS["dense bank spans beats"]
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 1, 16), random_dense(rng, config.dense, 1, 16)
    inputs, (good,) = products(config, [(sq, dense)])
    sent = dict(inputs)
    for name, layout in (("i_sq", sq_beat_layout(config)), ("i_dense", dense_beat_layout(config))):
        *body, end, _ = inputs[name]
        sent[name] = [*body, replace_field(layout, end, "last", 1), *inputs[name]]
    cut = len(inputs["i_sq"]) - 1
    sent["i_sq"][:cut] = with_length(config, sent["i_sq"][:cut])
    sent["i_scales"] = 2 * inputs["i_scales"]
    got, _ = drive_stream(ProcessingElement(config), sent, 2)
    assert got == [1 << 32 | NAN, good]


def test_shorter_operands_are_filled_to_whole_banks_of_both():
    config = CONFIGS["dense bank spans beats"]
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 1, 17), random_dense(rng, config.dense, 1, 17)
    (product,) = dot_products(config, sq, dense)
    assert len(product.sq) == len(product.dense) == 32 // config.lanes
    assert config.banks_max == 112 // 4, "whole dense banks of 16 for 100 elements"


def random_tiles(config, rng, lengths):
    tiles = []
    for k in lengths:
        sq = random_sq(rng, config.pe.sq, config.rows, k)
        dense = random_dense(rng, config.pe.dense, config.columns, k)
        beats = sq_beats(config.pe, sq), dense_beats(config.pe, dense)
        tiles.append(Tile(config, *beats, multiply(sq, dense).acc))
    return tiles


def drive_array(config, tiles, stalls):
    inputs = {name: [word for tile in tiles for word in tile.inputs[name]] for name in ("i_sq", "i_dense")}
    count = config.rows * len(tiles)
    payloads, _ = drive_stream(ProcessingArray(config), inputs, count, stalls=stalls, seed=SEED)
    return tile_rows(config, payloads)


@pytest.mark.parametrize("name", ["several steps", "int8, several steps"])
def test_array(name):
    config = ArrayConfig(CONFIGS[name], 2, 2)
    tiles = random_tiles(config, np.random.default_rng(SEED), (1, 8, 17))
    got = drive_array(config, tiles, "both")
    assert got == [row for tile in tiles for row in tile.rows()]
    assert sum(len(sums) for _, _, sums in got) == 3 * 4


def test_a_bad_column_voids_its_tile():
    config = ArrayConfig(CONFIGS["several steps"], 2, 2)
    bad, good = random_tiles(config, np.random.default_rng(SEED), (24, 16))
    tiles, expected = [], []
    for words in faults(config.pe, bad.dense[1]):
        tiles += [Tile(config, bad.sq, [bad.dense[0], words], bad.acc), good]
        expected += bad.rows(errors=[0, 1]) + good.rows()
    assert drive_array(config, tiles, "in") == expected
    assert len(tiles) >= 4


def test_bare_processing_element():
    """The measured form without stream buffers computes the same sums."""
    config = CONFIGS["several steps"]
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 1, 40), random_dense(rng, config.dense, 1, 40)
    (product,) = dot_products(config, sq, dense)
    beats = list(zip(product.sq, product.dense, strict=True))
    dut = BarePE(config)
    sums = []

    async def testbench(ctx):
        left = list(beats)
        while not sums:
            ctx.set(dut.valid, bool(left))
            if left:
                ctx.set(dut.sq.as_value(), left[0][0])
                ctx.set(dut.dense.as_value(), left[0][1])
            taken = bool(left) and ctx.get(dut.ready)
            if ctx.get(dut.acc_valid):
                sums.append((ctx.get(dut.acc), ctx.get(dut.acc_error)))
            await ctx.tick()
            if taken:
                left.pop(0)

    simulate(dut, testbench, limit=200)
    assert sums == [(int(multiply(sq, dense).acc[0, 0]), 0)]


def test_accumulator_holds_the_largest_products():
    sq, dense = SQFormat(16, 2, "int8"), DenseFormat(4, 64, 1, 16)
    assert PEConfig(sq, dense, outlier_lanes=2).acc_bits == 67


def test_verilog_and_manifest(tmp_path):
    config = PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4, 8, 3, 8), 4, 1, 64)
    design = emit(config, "sq_sq")
    assert design.manifest["payloads"]["s_axis_dense_tdata"] == [
        {"name": "codes", "offset": 0, "width": 16, "elements": 4, "element_width": 4},
        {"name": "bitmap", "offset": 16, "width": 4},
        {"name": "group_scale", "offset": 20, "width": 6},
        {"name": "high", "offset": 26, "width": 12, "elements": 3, "element_width": 4},
        {"name": "high_count", "offset": 38, "width": 2},
    ]
    lint(write([design], tmp_path)[0], design.name)
