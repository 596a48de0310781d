# amaranth: UnusedElaboratable=no
"""The array in the Amaranth simulator, bit for bit: sizes, kinds of formats, stalls, faults, resets."""

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from sim.traffic.faults import FAULTS
from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.console import SEED
from sqhw.layouts import sq_beat_layout
from sqhw.measure.utilization import queue_cycles
from sqhw.presets import PRESETS
from sqhw.tools.verilog import convert
from sw_reference.format import DenseFormat, SQFormat
from tests.array.array_jobs import Tile, drive, random_tile, tile_rows
from tests.hardware import STALLS, simulate
from tests.pe.test_pe import CONFIGS

SMALL = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16), 8, 1, 256)
"""Beats of two outliers on one outlier lane: rows need different numbers of steps."""
BOTH = PEConfig(SQFormat(8, 3, "fp16"), DenseFormat(4, 16, 1, 8), 8, 1, 256)
"""The same where both operands have outliers."""


def check(config, tiles, *, stalls="none"):
    """Compares; returns the number of sums compared."""
    got, _ = drive(ProcessingArray(config), tiles, stalls=stalls)
    assert got == [row for tile in tiles for row in tile.rows()]
    return sum(len(sums) for _, _, sums in got)


@pytest.mark.parametrize(
    ("size", "stalls"),
    [((1, 1), "out"), ((1, 4), "in"), ((4, 1), "both"), *(((3, 2), stalls) for stalls in STALLS)],
)
def test_sizes(size, stalls):
    config = ArrayConfig(SMALL, *size)
    rng = np.random.default_rng([SEED, *size])
    tiles = [random_tile(config, k, rng) for k in (1, 8, 40, 3, 17)]
    assert check(config, tiles, stalls=stalls) == 5 * size[0] * size[1]


STEPS = ("two int8", "two fp16, one lane")
"""A beat with two outliers is one step, and two."""
FORMATS = (
    *STEPS,
    "shared multiplier",
    "no outliers, long",
    "no outliers, sentinel",
    "int8 whole",
    "fp16 sentinel",
    "dense int8",
    "two beats per bank",
    "one lane",
)


@pytest.mark.parametrize("name", [*PRESETS, *FORMATS])
def test_formats(name):
    """The presets and one configuration of each kind; the processing element's tests have the others."""
    pe = (PRESETS | CONFIGS)[name]
    config = ArrayConfig(pe, 2, 1)
    rng = np.random.default_rng([SEED, len(name)])
    tiles = [random_tile(config, min(k, pe.k_max), rng) for k in (1, 2 * pe.sq.bank + 1, pe.sq.bank)]
    assert check(config, tiles, stalls=list(STALLS)[len(name) % 4]) == 6


@pytest.mark.parametrize(
    "pe",
    [
        *PRESETS.values(),
        *(replace((PRESETS | CONFIGS)[name], pipeline="long") for name in ("default", *STEPS)),
    ],
)
def test_latency(pe):
    config = ArrayConfig(pe, 2, 1)
    tile = random_tile(config, config.pe.sq.bank, np.random.default_rng(SEED), share=0.01)
    _, when = drive(ProcessingArray(config), [tile])
    bank = tile.sq[0]
    steps = np.max([_steps(config, row) for row in tile.sq], axis=0)
    assert when[0] == ProcessingArray(config).latency + len(bank) - 1 + int((steps - 1).sum())


def _steps(config, words):
    """Steps of each beat of a row, from the high codes it delivers."""
    return [max(1, -(-count // config.pe.outlier_lanes)) for count in _outliers(config, words)]


def _outliers(config, words):
    if config.pe.one_step:
        return [0] * len(words)  # whatever there is takes no further step
    return [sq_beat_layout(config.pe).from_bits(word).high_count for word in words]


@pytest.mark.parametrize(
    ("pe", "stalls"),
    [
        (SMALL, "both"),
        (PRESETS["default"], "in"),
        *((CONFIGS[name], "out") for name in STEPS),
        (BOTH, "both"),
    ],
)
def test_a_long_pipeline_agrees(pe, stalls):
    """Short tiles and long ones, rows in step although each has queues of its own."""
    config = ArrayConfig(replace(pe, pipeline="long"), 2, 1)
    rng = np.random.default_rng(SEED)
    tiles = [random_tile(config, k, rng) for k in (1, 64, 3, 17, 8)]
    assert check(config, tiles, stalls=stalls) == 10


@pytest.mark.parametrize(("pipeline", "beats"), [("short", 12), ("long", 24)])
def test_tiles_follow_each_other_without_a_gap(pipeline, beats):
    """A beat every cycle, whatever the data, while the tile before leaves."""
    pe = PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(4, 16), 8, 1, 256, pipeline=pipeline)
    config = ArrayConfig(pe, 3, 1)
    rng = np.random.default_rng(SEED)
    tiles = [random_tile(config, 8 * beats, rng) for _ in range(4)]
    got, when = drive(ProcessingArray(config), tiles)
    assert got == [row for tile in tiles for row in tile.rows()]
    assert np.diff(when[::3]).tolist() == [beats] * 3
    assert np.diff(when[:3]).tolist() == [1, 1]


def test_short_tiles_of_a_long_pipeline_lose_no_cycle_to_the_drain():
    """Two tiles are under way at a time; the cycle without a row between them is over by then."""
    pe = PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(4, 16), 8, 1, 256, pipeline="long")
    config = ArrayConfig(pe, 3, 1)
    rng = np.random.default_rng(SEED)
    tiles = [random_tile(config, 8, rng) for _ in range(6)]
    dut = ProcessingArray(config)
    got, when = drive(dut, tiles)
    assert got == [row for tile in tiles for row in tile.rows()]
    assert np.diff(when[::6]).tolist() == [dut.latency + config.rows - 4] * 2


@pytest.mark.parametrize("row", [0, 2])
def test_errors_belong_to_their_row(row):
    config = ArrayConfig(SMALL, 3, 1)
    rng = np.random.default_rng(SEED)
    tiles, expected = [], []
    for fault in FAULTS.values():
        bad = random_tile(config, 24, rng)
        words = fault(config.pe, bad.sq[row])
        if words is None or len(words) != len(bad.sq[row]):
            continue  # the fault needs another length
        good = random_tile(config, 8, rng)
        sq = [words if index == row else beats for index, beats in enumerate(bad.sq)]
        tiles += [Tile(config, sq, bad.dense, bad.acc), good]
        expected += bad.rows(errors=[row]) + good.rows()
    got, _ = drive(ProcessingArray(config), tiles, stalls="both")
    assert got == expected
    assert len(tiles) >= 8


def test_operands_that_do_not_end_together():
    """A column that ends late flags the tile in all rows; a row that ends late flags itself."""
    config = ArrayConfig(SMALL, 2, 2)
    rng = np.random.default_rng(SEED)
    late, good = (random_tile(config, 16, rng) for _ in range(2))
    column = Tile(config, late.sq, [late.dense[0], [late.dense[1][0]] * 2], late.acc)
    row = Tile(config, [late.sq[0], [late.sq[1][0]] * 2], late.dense, late.acc)
    got, _ = drive(ProcessingArray(config), [column, good, good])
    assert got == column.rows(errors=[0, 1]) + good.rows() + good.rows()
    got, _ = drive(ProcessingArray(config), [row])
    assert got == row.rows(errors=[1])


def test_reset_in_mid_stream():
    """One cycle of reset at any moment leaves nothing behind."""
    config = ArrayConfig(SMALL, 2, 1)
    rng = np.random.default_rng(SEED)
    before, after = random_tile(config, 40, rng), random_tile(config, 24, rng)
    dut = ProcessingArray(config)
    reset = Signal()
    moments = range(1, 30, 3)

    async def run(ctx, tile, cycles):
        left = {name: list(words) for name, words in tile.inputs.items()}
        payloads = []
        for _ in range(cycles):
            for name, words in left.items():
                port = getattr(dut, name)
                ctx.set(port.valid, bool(words))
                if words:
                    ctx.set(port.payload.as_value(), words[0])
            taken = [name for name, words in left.items() if words and ctx.get(getattr(dut, name).ready)]
            if ctx.get(dut.o.valid):
                payloads.append(ctx.get(dut.o.payload.as_value()))
            await ctx.tick()
            for name in taken:
                left[name].pop(0)
        return tile_rows(config, payloads)

    async def testbench(ctx):
        ctx.set(dut.o.ready, 1)
        for moment in moments:
            await run(ctx, before, moment)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert await run(ctx, after, 40) == after.rows(), f"after a reset in cycle {moment}"

    simulate(ResetInserter(reset)(dut), testbench, limit=1000)
    assert len(moments) == 10


def test_verilog_has_one_module_for_all_units():
    config = ArrayConfig(PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4), 4, 1, 64), 2, 16)
    text = convert(ProcessingArray(config), "array")
    assert len(re.findall(r"^module array_MACUnit\d+ \(", text, re.M)) == 1
    assert len(re.findall(r"^  array_MACUnit\d+ mac\d+_\d+ \(", text, re.M)) == 32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((SMALL, 0, 1), ValueError, "Rows must be an integer from 1 to 16, not 0"),
        ((SMALL, 1, 17), ValueError, "Columns must be an integer from 1 to 16, not 17"),
        ((SMALL, "1", 1), TypeError, "Rows must be an integer from 1 to 16, not '1'"),
        (("wide", 1, 1), TypeError, "PE configuration must be a PEConfig, not 'wide'"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        ArrayConfig(*arguments)
    assert str(caught.value) == message


def test_refuses_other_configurations():
    with pytest.raises(TypeError) as caught:
        ProcessingArray(SMALL)
    assert str(caught.value) == f"Configuration must be an ArrayConfig, not {SMALL!r}"


@pytest.mark.parametrize("pe", [SMALL, PEConfig(SQFormat(16, 4, "fp16"), DenseFormat(4, 16), 16, 2, 256)])
def test_steps_are_those_of_the_model(pe):
    """utilization.queue_cycles, with no queue, counts the cycles that the array takes."""
    config = ArrayConfig(pe, 3, 1)
    tile = random_tile(config, 128, np.random.default_rng(SEED), share=0.15)
    _, when = drive(ProcessingArray(config), [tile, tile, tile])
    counts = np.array([_outliers(config, row) for row in tile.sq])
    period = queue_cycles(counts, 1, pe.outlier_lanes)
    assert period > counts.shape[1]
    assert np.diff(when[::3]).tolist() == [period, period]
