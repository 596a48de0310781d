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

from sim.traffic.operands import random_dense, random_sq
from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.layouts import dense_beat_layout, sq_beat_layout, step_layout
from sqhw.packing import scales_beat, with_length
from sqhw.pe.datapath import Datapath
from sqhw.pe.pe import ProcessingElement
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.rounding import round_result
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
    "2 of 32, both": PEConfig(
        SQFormat(32, 2, "int8", "index", "e3m2s"), DenseFormat(4, 32, 2, 32, "linear8", mask="index"), 32, 2
    ),
    "2 of 8 and 1 of 4": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 8, 1, 4, "linear8", mask="index"), 8, 2
    ),
    "2 of 4 and 3 of 8": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m1s", 4), DenseFormat(4, None, 3, 8, mask="index"), 8, 4, 256
    ),
    "both, offset": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"),
        DenseFormat(4, 16, 2, 4, "linear8", offset=True, mask="index"),
        *(8, 2, 256),
    ),
    "serial output": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 8, scale="linear8"), 8, 2, output="serial"
    ),
}


def random_operands(config, rng, rows, columns, k, *, extreme=False):
    """Any legal codes, also those that no encoder writes; or the largest ones."""
    sq = random_sq(rng, config.sq, rows, k, extreme=extreme)
    return sq, random_dense(rng, config.dense, columns, k, extreme=extreme)


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


LONG = ("2 of 32", "2 of 16, a scale per 32", "no groups", "dense INT8", "offset")


@pytest.mark.parametrize("name", [*LONG, "2 of 8 and 1 of 4", "2 of 4 and 3 of 8"])
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


def elements_of(low, index, high, outliers, segment):
    """The elements of a beat, in units of its bank scale, or of the dense operand's group scale."""
    elements = list(low)
    for slot, (place, nibble) in enumerate(zip(index, high, strict=True)):
        elements[slot // outliers * segment + place] += 16 * nibble
    return elements


def sq_elements(config, low, index, high):
    return elements_of(low, index, high, config.sq.outliers, config.sq.segment_size)


def beat_sum(config, low, index, high, scale, codes, group_scale, offset=0, dense_index=(), dense_high=()):
    """What a beat alone must add up to."""
    elements = sq_elements(config, low, index, high)
    dense = elements_of(codes, dense_index, dense_high, config.dense.outliers, config.dense.bank)
    total = sum(x * d for x, d in zip(elements, dense, strict=True))
    if config.dense.offset:
        total = 16 * total + offset * sum(elements)
    return total * config.sq.bank_scale.units(scale) * (group_scale if config.dense.group else 1)


def one_beat_sums(config, beats):
    """Returns what each beat alone adds up to, and what it must."""
    steps, denses = step_layout(config), dense_beat_layout(config)
    stimuli = []
    for low, index, high, scale, codes, group_scale, offset, *slots in beats:
        step = {"low": low, "index": index, "high": high, "scale": scale, "first": 1, "done": 1, "last": 1}
        dense = {"codes": codes, "last": 1} | ({"group_scale": group_scale} if config.dense.group else {})
        if config.dense.offset:
            step["sum"] = sum(sq_elements(config, low, index, high))
            dense["offset"] = offset
        if config.dense_slots:
            dense["index"], dense["high"] = slots
        stimuli.append(
            {"step": steps.const(step).as_value().value, "beat": denses.const(dense).as_value().value}
        )
    got = [result["acc"] for result in drive_pipeline(OneBeat(config), stimuli, ("acc",))]
    return got, [beat_sum(config, *beat) for beat in beats]


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
            [rng.randrange(config.dense.bank) for _ in range(config.dense_slots)],
            [rng.randint(-8, 7) for _ in range(config.dense_slots)],
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


@pytest.mark.parametrize("name", ["2 of 8 and 1 of 4", "2 of 4 and 3 of 8"])
def test_every_pair_of_places(name):
    """Of a slot of either operand, all other slots random: those that name one element are multiplied."""
    config, rng = CONFIGS[name], random.Random(SEED)
    slots = range(config.slots), range(config.dense_slots)
    places = range(config.sq.segment_size), range(config.dense.bank)
    pairs = list(itertools.product(*slots, *places))
    beats = list(beats_of(config, rng, len(pairs)))
    for beat, (slot, dense_slot, place, dense_place) in zip(beats, pairs, strict=True):
        beat[1][slot], beat[7][dense_slot] = place, dense_place
        beat[2][slot], beat[8][dense_slot] = rng.choice((-8, 7, 1)), rng.choice((-8, 7, 1))
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == config.slots * config.dense_slots * len(places[0]) * len(places[1])


@pytest.mark.parametrize("name", ["2 of 8 and 1 of 4", "2 of 4 and 3 of 8", "both, offset"])
def test_all_outliers_of_a_segment_at_one_element(name):
    """With the largest nibbles of either sign: the largest sums, and one per segment."""
    config = CONFIGS[name]
    beats = []
    for low, code, scale in itertools.product((-8, 7), (-8, 7), (0, (1 << config.sq.bank_scale.bits) - 1)):
        for place in range(config.sq.segment_size):
            row = [low] * config.lanes, [place] * config.slots, [low] * config.slots, scale
            slots = [place % config.dense.bank] * config.dense_slots, [code] * config.dense_slots
            beats.append((*row, [code] * config.lanes, 255, 127 if code > 0 else -128, *slots))
    got, expected = one_beat_sums(config, beats)
    assert got == expected
    assert len(got) == 8 * config.sq.segment_size


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
    """Beats of any bits, each a dot product of its own, give the sums that they stand for, and no error."""
    config, count, rng = CONFIGS["2 of 16, a scale per 32"], 200, random.Random(SEED)
    assert config.beats_per_bank == 1
    layouts = sq_beat_layout(config), dense_beat_layout(config)
    words = [
        [rng.getrandbits(layout.size - 1) | 1 << layout.size - 1 for _ in range(count)] for layout in layouts
    ]
    one = np.ones(1, np.float32)
    sent = {
        "i_sq": [beat for word in words[0] for beat in with_length(config, [word])],
        "i_dense": words[1],
        "i_scales": [scales_beat(*one, *one)] * count,
    }
    got, _ = drive_stream(ProcessingElement(config), sent, count)
    expected = []
    for left, right in zip(*words, strict=True):
        sq, dense = layouts[0].from_bits(left), layouts[1].from_bits(right)
        assert (sq.last, dense.last) == (1, 1)
        fields = (list(sq.low), list(sq.index), list(sq.high), sq.scale, list(dense.codes), dense.group_scale)
        acc = np.array([[beat_sum(config, *fields)]])
        expected.append(bits(round_result(acc, one, one, config.unit)[0, 0]))
    assert got == expected
    assert len(got) == count


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
            {"dense": DenseFormat(4, 32, scale="linear8", offset=True), "output": "serial"},
            "Output must be 'pipelined' in hardware with group offsets, not 'serial'",
        ),
        (
            {"dense": DenseFormat(4, 32)},
            "Group scale must be 'linear8' in hardware with an index mask, not 'e3m3'",
        ),
        (
            {"dense": DenseFormat(4, None, 1, 32)},
            "Dense mask must be 'index' in hardware with an index mask, not 'bitmap'",
        ),
        (
            {"dense": DenseFormat(4, None, 1, 64, mask="index")},
            "Lanes must be a power of two from 64 to 32, not 32",
        ),
    ],
)
def test_what_the_hardware_does_not_take(fields, message):
    with pytest.raises(ValueError) as error:
        replace(CONFIGS["2 of 32"], **fields)
    assert str(error.value) == message
