# amaranth: UnusedElaboratable=no
"""The one-step datapath in the Amaranth simulator: every index, every scale, whole dot products."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.traffic.faults import FAULTS
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.console import SEED
from sqhw.layouts import dense_beat_layout, step_layout
from sqhw.packing import dot_products
from sqhw.pe.datapath import Datapath
from sqhw.pe.pe import ProcessingElement
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor, named_elements
from tests.hardware import STALLS, drive_pipeline, drive_stream
from tests.pe.test_pe import bits, streams

LINEAR = DenseFormat(4, 32, scale="linear8")

CONFIGS = {
    "2 of 32": PEConfig(SQFormat(32, 2, "int8", "index", "e3m2s"), LINEAR, 32, 2),
    "4 of 32": PEConfig(SQFormat(32, 4, "int8", "index", "e3m2s"), LINEAR, 32, 4, 1 << 14),
    "2 of 16, a scale per 32": PEConfig(SQFormat(32, 2, "int8", "index", "e3m2s", 16), LINEAR, 32, 4),
    "a bank in two beats": PEConfig(SQFormat(32, 1, "int8", "index", "e4m2s", 16), LINEAR, 16, 1, 256),
    "64 lanes": PEConfig(
        SQFormat(64, 4, "int8", "index", "e4m2s", 32), DenseFormat(4, 64, scale="linear8"), 64, 8
    ),
    "no groups": PEConfig(SQFormat(16, 3, "int8", "index", "e2m3"), DenseFormat(4), 16, 3, 256),
    "dense INT8": PEConfig(
        SQFormat(8, 1, "int8", "index", "e1m0s"), DenseFormat(8, 8, scale="linear8"), 8, 1, 64
    ),
    "all are outliers": PEConfig(SQFormat(4, 4, "int8", "index", "e4m3s"), DenseFormat(8), 4, 4, 64),
    "offset": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 16, scale="linear8", offset=True), 8, 2, 256
    ),
    "offset, two segments": PEConfig(
        SQFormat(16, 2, "int8", "index", "e4m2s", 8), DenseFormat(4, 16, scale="linear8", offset=True), 16, 4
    ),
    "offset, dense INT8": PEConfig(
        SQFormat(8, 1, "int8", "index", "e3m1s"), DenseFormat(8, 8, scale="linear8", offset=True), 8, 1, 64
    ),
    "serial output": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 8, scale="linear8"), 8, 2, output="serial"
    ),
}


def random_operands(config, rng, rows, columns, k, *, extreme=False):
    """Any legal codes, also those that no encoder writes; or the largest ones."""
    fmt, dense = config.sq, config.dense
    shape = (rows, fmt.banks(k))

    def codes(low, high, shape):
        chosen = rng.choice((low, high), shape) if extreme else rng.integers(low, high + 1, shape)
        return chosen

    inside = np.arange(shape[1] * fmt.bank).reshape(1, shape[1], fmt.bank) < k
    low = np.where(inside, codes(-8, 7, (*shape, fmt.bank)), 0).astype(np.int8)
    index = rng.integers(0, fmt.segment_size, (*shape, fmt.slots)).astype(np.uint8)
    segment = np.repeat(np.arange(0, shape[1] * fmt.bank, fmt.segment_size), fmt.outliers)
    high = codes(-8, 7, index.shape)
    high = np.where(segment.reshape(shape[1], -1) + index < k, high, 0).astype(np.int8)
    largest = (1 << fmt.bank_scale.bits) - 1
    scale = codes(largest >> 1 if extreme else 0, largest, shape).astype(np.uint8)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-30, 30, rows)).astype(np.float32)
    sq = SQTensor(fmt, k, low, named_elements(fmt, index, high), scale, high, row_scale, index)
    weights = codes(dense.code_min, dense.code_max, (columns, k)).astype(np.int8)
    groups = offset = None
    if dense.group:
        groups = codes(255 if extreme else 0, 255, (columns, dense.groups(k))).astype(np.uint8)
        if dense.offset:
            offset = codes(-128, 127, groups.shape).astype(np.int8)
    column_scale = np.ldexp(rng.random(columns) + 0.5, rng.integers(-30, 30, columns)).astype(np.float32)
    return sq, DenseTensor(dense, k, weights, groups, column_scale, offset=offset)


def encoded(config, rng, k):
    """What the encoder makes of heavy-tailed numbers."""
    x = rng.standard_t(1.5, (2, k)).astype(np.float32)
    w = rng.standard_normal((2, k)).astype(np.float32)
    dense = quantize_dense(w, replace(config.dense, offset=False))
    if config.dense.offset:
        offset = rng.integers(-128, 128, dense.group_scale.shape).astype(np.int8)
        dense = replace(dense, format=config.dense, offset=offset)
    return quantize_sq(x, config.sq), dense


def check(config, patterns):
    """Compares float32 results of random, extreme and encoded operands; returns how many."""
    rng = np.random.default_rng(SEED)
    inputs = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    bank = config.sq.bank
    operands = [
        random_operands(config, rng, 2, 2, bank),
        random_operands(config, rng, 2, 2, 2 * bank, extreme=True),
        encoded(config, rng, 2 * bank + 1),
    ]
    for sq, dense in operands:
        pairs = list(itertools.product(range(2), range(2)))
        y = multiply(sq, dense).y
        expected += [bits(y[pair]) for pair in pairs]
        for stream, words in streams(config, sq, dense, pairs).items():
            inputs[stream] += words
    for stalls in patterns:
        got, _ = drive_stream(ProcessingElement(config), inputs, len(expected), stalls=stalls, seed=SEED)
        assert got == expected
    return len(expected) * len(patterns)


@pytest.mark.parametrize("name", CONFIGS)
def test_agrees_with_the_golden_model(name):
    patterns = list(STALLS) if name == "2 of 32" else ["both"]
    assert check(CONFIGS[name], patterns) == 12 * len(patterns)


@pytest.mark.parametrize("name", ["2 of 32", "2 of 16, a scale per 32", "no groups", "dense INT8", "offset"])
def test_a_long_pipeline_agrees(name):
    assert check(replace(CONFIGS[name], pipeline="long"), ["both"]) == 12


class OneBeat(wiring.Component):
    """A datapath whose every beat is a dot product."""

    def __init__(self, config):
        self._datapath = Datapath(config)
        self.latency = self._datapath.latency
        layouts = step_layout(config), dense_beat_layout(config)
        super().__init__(
            {"step": In(layouts[0].size), "beat": In(layouts[1].size), "acc": Out(self._datapath.acc.shape())}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.datapath = datapath = self._datapath
        m.d.comb += [
            Value.cast(datapath.step).eq(self.step),
            Value.cast(datapath.beat).eq(self.beat),
            datapath.valid.eq(1),
            self.acc.eq(datapath.acc),
        ]
        return m


def one_beat_sums(config, beats):
    """Returns what each beat alone adds up to, and what it must."""
    steps, denses = step_layout(config), dense_beat_layout(config)
    stimuli, expected = [], []
    fmt, segment = config.sq.bank_scale, config.sq.segment_size
    for low, index, high, scale, codes, group_scale, offset in beats:
        step = {"low": low, "index": index, "high": high, "scale": scale, "first": 1, "done": 1, "last": 1}
        dense = {"codes": codes, "last": 1} | ({"group_scale": group_scale} if config.dense.group else {})
        dense |= {"offset": offset} if config.dense.offset else {}
        elements = list(low)
        for slot, (place, nibble) in enumerate(zip(index, high, strict=True)):
            elements[slot // config.sq.outliers * segment + place] += 16 * nibble
        total = sum(x * d for x, d in zip(elements, codes, strict=True))
        if config.dense.offset:
            step["sum"] = sum(elements)
            total = 16 * total + offset * sum(elements)
        stimuli.append(
            {"step": steps.const(step).as_value().value, "beat": denses.const(dense).as_value().value}
        )
        expected.append(total * fmt.units(scale) * (group_scale if config.dense.group else 1))
    return [result["acc"] for result in drive_pipeline(OneBeat(config), stimuli, ("acc",))], expected


def beats_of(config, rng, count):
    """Random beats, as lists of fields."""
    lanes, slots = config.lanes, config.slots
    for _ in range(count):
        yield [
            [rng.randint(-8, 7) for _ in range(lanes)],
            [rng.randrange(config.sq.segment_size) for _ in range(slots)],
            [rng.randint(-8, 7) for _ in range(slots)],
            rng.randrange(1 << config.sq.bank_scale.bits),
            [rng.randint(config.dense.code_min, config.dense.code_max) for _ in range(lanes)],
            rng.randrange(256),
            rng.randrange(-128, 128),
        ]


@pytest.mark.parametrize("name", ["2 of 16, a scale per 32", "dense INT8"])
def test_every_index_of_every_slot_with_every_nibble(name):
    """All other slots random: two that name one element add."""
    config = CONFIGS[name]
    places = list(itertools.product(range(config.slots), range(config.sq.segment_size), range(-8, 8)))
    beats = list(beats_of(config, random.Random(SEED), len(places)))
    for beat, (slot, place, nibble) in zip(beats, places, strict=True):
        beat[1][slot], beat[2][slot] = place, nibble
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == config.slots * config.sq.segment_size * 16


@pytest.mark.parametrize("name", ["2 of 32", "a bank in two beats", "all are outliers", "offset, dense INT8"])
def test_every_bank_scale_with_extreme_codes(name):
    config = CONFIGS[name]
    beats = []
    for scale in range(1 << config.sq.bank_scale.bits):
        for low, code in itertools.product((-8, 7), (config.dense.code_min, config.dense.code_max)):
            fields = [low] * config.lanes, [scale % 4] * config.slots, [low] * config.slots
            beats.append((*fields, scale, [code] * config.lanes, 255, -128 if code < 0 else 127))
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == 4 << config.sq.bank_scale.bits


def test_every_group_scale():
    config = CONFIGS["2 of 32"]
    beats = list(beats_of(config, random.Random(SEED), 256))
    for group_scale, beat in enumerate(beats):
        beat[5] = group_scale
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == 256


@pytest.mark.parametrize("name", ["offset", "offset, two segments"])
def test_every_offset(name):
    """With random elements, and with the largest sums of either sign."""
    config = CONFIGS[name]
    beats = list(beats_of(config, random.Random(SEED), 3 * 256))
    for number, beat in enumerate(beats):
        beat[6] = number % 256 - 128
        if number >= 256:
            nibble = -8 if number < 512 else 7
            beat[0], beat[2] = [nibble] * config.lanes, [nibble] * config.slots
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == 768


def test_no_bit_pattern_is_a_fault():
    """Beats of any bits give the sum that they stand for; only operands of different lengths are wrong."""
    config = CONFIGS["2 of 16, a scale per 32"]
    rng = np.random.default_rng(SEED)
    (beats, *_), *_ = zip(*dot_products(config, *random_operands(config, rng, 1, 1, 64)), strict=True)
    assert [name for name, fault in FAULTS.items() if fault(config, list(beats))] == []


@pytest.mark.parametrize("pipeline", ["short", "long"])
def test_a_beat_every_cycle_whatever_the_data(pipeline):
    config = replace(CONFIGS["a bank in two beats"], pipeline=pipeline)
    rng = np.random.default_rng(SEED)
    sq, dense = random_operands(config, rng, 1, 1, 160)
    inputs = streams(config, sq, dense, [(0, 0)] * 4)
    dut = ProcessingElement(config)
    _, when = drive_stream(dut, inputs, 4)
    assert np.diff(when).tolist() == [10] * 3
    assert when[0] == 9 + dut.latency


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lanes": 16}, "Lanes must be a power of two from 32 to 32, not 16"),
        ({"outlier_lanes": 1}, "Outlier lanes must be an integer from 2 to 2, not 1"),
        (
            {"dense": DenseFormat(4, 16, scale="linear8")},
            "Group must be a multiple of the lanes (32), not 16",
        ),
        (
            {"dense": DenseFormat(4, 32)},
            "Group scale must be 'linear8' in hardware with an index mask, not 'e3m3'",
        ),
        (
            {"dense": DenseFormat(4, None, 1, 32)},
            "Dense outliers beside an index mask must be an integer from 0 to 0, not 1",
        ),
    ],
)
def test_what_the_hardware_does_not_take(fields, message):
    with pytest.raises(ValueError) as error:
        replace(CONFIGS["2 of 32"], **fields)
    assert str(error.value) == message


def test_an_engine_takes_no_index_mask():
    with pytest.raises(ValueError) as error:
        EngineConfig(ArrayConfig(CONFIGS["2 of 32"], 2, 2), output_stages=2)
    assert str(error.value) == "Mask must be 'bitmap' or 'sentinel' in an engine, not 'index'"
