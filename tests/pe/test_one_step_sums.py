# amaranth: UnusedElaboratable=no
"""Sums of single beats of one-step units: every index, nibble and scale, extreme codes."""

import itertools
import random

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.console import SEED
from sqhw.layouts import dense_beat_layout, sq_beat_layout, step_layout
from sqhw.packing import scales_beat, with_length
from sqhw.pe.datapath import Datapath
from sqhw.pe.pe import ProcessingElement
from sw_reference.rounding import round_result
from tests.hardware import drive_pipeline, drive_stream
from tests.pe.one_step_configs import CONFIGS
from tests.pe.test_pe import bits


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


@pytest.mark.parametrize(
    "name", [pytest.param("2 of 16, a scale per 32", marks=pytest.mark.slow), "dense INT8"]
)
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


@pytest.mark.parametrize("name", ["offset", pytest.param("offset, two segments", marks=pytest.mark.slow)])
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
