# amaranth: UnusedElaboratable=no
"""Any stream of banks that hypothesis thinks of, legal or not, against an oracle in plain Python; it shrinks.

A dot product is void when any of its beats breaks a rule; what stands behind it is right again.
"""

import functools
import random
from dataclasses import dataclass

import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.bench.streams import Beats, compile_pe, drive
from sqhw.config import PEConfig
from sqhw.emit import emit
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.pe.pe import ProcessingElement
from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat
from tests import slow_dense, slow_floats, slow_model

NAN = 0x7FC00000
CONFIGS = {
    "fp16": PEConfig(SQFormat(4, 2, "fp16"), DenseFormat(4, 4), lanes=2, outlier_lanes=1, k_max=12),
    "int8": PEConfig(SQFormat(4, 1, "int8"), DenseFormat(4), lanes=2, outlier_lanes=1, k_max=12),
    "sentinel": PEConfig(
        SQFormat(4, 2, "int8", "sentinel"), DenseFormat(8), lanes=4, outlier_lanes=2, k_max=12
    ),
}


@dataclass
class Beat:
    """A beat of each operand, as it is sent; ``scale`` and ``group_scale`` are those of its bank."""

    low: list[int]
    marks: list[bool]
    high: list[int]
    count: int
    codes: list[int]
    scale: int
    group_scale: int


@dataclass
class Product:
    """Beats of both operands; the length that they come under; where ``last`` of either is flipped."""

    beats: list[Beat]
    length: int
    flips: tuple[set[int], set[int]]
    scales: tuple[int, int]


@st.composite
def beats(draw, config, scale, group_scale, room):
    """A beat: legal with up to `room` outliers; with any number, high codes and count if `room` is None."""
    marks = draw(st.lists(st.booleans(), min_size=config.lanes, max_size=config.lanes))
    if room is not None:
        marks = [mark and sum(marks[:lane]) < room for lane, mark in enumerate(marks)]
    sentinel, fp16 = config.sq.mask == "sentinel", config.sq.high == "fp16"
    marked = st.just(-8) if sentinel else st.just(0) if fp16 else st.integers(-8, 7)
    low = [draw(marked if mark else st.integers(-7, 7)) for mark in marks]
    code = st.integers(0, (1 << config.sq.high_bits) - 1)
    if fp16:  # NaN and Inf are rare; anything may stand in unused slots
        finite = code.filter(lambda bits: bits & 0x7C00 != 0x7C00)
        code = finite if room is not None else st.one_of(finite, st.sampled_from([0x7C00, 0xFE01]))
    high = draw(st.lists(code, min_size=config.slots, max_size=config.slots))
    right = min(sum(marks), config.slots)
    count = right
    if room is None:
        count = draw(st.one_of(st.just(right), st.just(right), st.integers(0, config.slots)))
    dense = st.integers(config.dense.code_min, config.dense.code_max)
    codes = draw(st.lists(dense, min_size=config.lanes, max_size=config.lanes))
    return Beat(low, marks, high, count, codes, scale, group_scale)


@st.composite
def products(draw, config):
    """Legal; or anything up to one beat more than the longest: inside a bank, ends that are lost or added."""
    legal = draw(st.booleans())
    chosen = []
    for _ in range(draw(st.integers(1, config.banks_max + (not legal)))):
        scales = st.sampled_from(LEGAL_SCALES)
        scale = draw(scales if legal else st.one_of(scales, st.integers(0, 255)))
        group_scale = draw(st.integers(0, 63))
        room = config.sq.outliers if legal else None
        for _ in range(config.beats_per_bank):
            chosen.append(draw(beats(config, scale, group_scale, room)))
            room = room - sum(chosen[-1].marks) if legal else None
    if not legal and draw(st.integers(0, 7)) == 0:
        chosen = chosen[: draw(st.integers(1, len(chosen)))]
    chosen = chosen[: config.beats_max + 1]
    length = len(chosen)
    if length == 1 and not legal and draw(st.booleans()):
        length = 0
    flips = set(), set()
    if not legal and draw(st.integers(0, 3)) == 0:
        flips = tuple(draw(st.sets(st.integers(0, len(chosen) - 1), max_size=2)) for _ in range(2))
    normal = st.integers(1 << 23, (255 << 23) - 1)
    return Product(chosen, length, flips, (draw(normal), draw(normal)))


def is_void(config, product):
    """The rules, one after the other."""
    per_bank = config.beats_per_bank
    for at, beat in enumerate(product.beats):
        bank = product.beats[at - at % per_bank : at + 1]
        used = beat.high[: sum(beat.marks)]
        if (
            beat.scale not in LEGAL_SCALES
            or beat.count != sum(beat.marks)
            or sum(sum(part.marks) for part in bank) > config.sq.outliers
            or (config.sq.high == "fp16" and any(code & 0x7C00 == 0x7C00 for code in used))
        ):
            return True
    return (
        any(product.flips)
        or product.length == 0
        or len(product.beats) % per_bank != 0
        or len(product.beats) > config.banks_max * per_bank
    )


def signed(code, bits):
    return code - (1 << bits) if code >> (bits - 1) else code


def result(config, product):
    """(y, error) by the oracle."""
    if is_void(config, product):
        return NAN, 1
    acc = 0
    for beat in product.beats:
        codes = iter(beat.high)
        for low, mark, d in zip(beat.low, beat.marks, beat.codes, strict=True):
            high = next(codes) if mark else 0
            high = high if config.sq.high == "fp16" else signed(high, config.sq.high_bits)
            units = sum(slow_model.sq_units(low, mark, beat.scale, high, config.sq))
            acc += units * d * (slow_dense.group_scale_value(beat.group_scale) if config.dense.group else 1)
    return slow_model.round_result(acc, *product.scales, config.unit), 0


def payloads(config, found):
    """Payloads of the three streams as integers."""
    sq, dense = pe_beat_layout(config), dense_beat_layout(config)
    words = [], [], [row | column << 32 for row, column in (product.scales for product in found)]
    for product in found:
        for at, beat in enumerate(product.beats):
            last = [(at == len(product.beats) - 1) ^ (at in flips) for flips in product.flips]
            fields = {"low": beat.low, "scale": beat.scale, "high": beat.high, "high_count": beat.count}
            if config.sq.has_bitmap:
                fields["bitmap"] = sum(mark << lane for lane, mark in enumerate(beat.marks))
            # Only the first beat's length is read.
            fields["length"] = product.length if at == 0 else beat.group_scale % (config.beats_max + 2)
            words[0].append(sq.const(fields | {"last": last[0]}).as_value().value)
            fields = {"codes": beat.codes, "last": last[1]}
            if config.dense.group:
                fields["group_scale"] = beat.group_scale
            words[1].append(dense.const(fields).as_value().value)
    return words


class Simulated:
    """A processing element in one simulator, which is reset for each example."""

    def __init__(self, config):
        self.dut = ProcessingElement(config)
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self._testbench)
        self.words, self.count, self.seed, self.results = {}, 0, 0, []

    async def _testbench(self, ctx):
        rng, left = random.Random(self.seed), {name: list(words) for name, words in self.words.items()}
        offered = dict.fromkeys(left, False)
        for _ in range(500 + 60 * len(self.words.get("i_sq", ()))):
            if len(self.results) == self.count:
                return
            for name, words in left.items():
                port = getattr(self.dut, name)
                offered[name] = offered[name] or (bool(words) and rng.random() < 0.7)
                ctx.set(port.valid, offered[name])
                if offered[name]:
                    ctx.set(Value.cast(port.payload), words[0])
            ctx.set(self.dut.o.ready, rng.random() < 0.7)
            taken = [name for name in left if offered[name] and ctx.get(getattr(self.dut, name).ready)]
            if ctx.get(self.dut.o.valid) and ctx.get(self.dut.o.ready):
                self.results.append((ctx.get(self.dut.o.p.y), ctx.get(self.dut.o.p.error)))
            await ctx.tick()
            for name in taken:
                left[name].pop(0)
                offered[name] = False

    def run(self, words, count, seed):
        self.words = dict(zip(("i_sq", "i_dense", "i_scales"), words, strict=True))
        if self.count:
            self.simulator.reset()
        self.count, self.seed, self.results = count, seed, []
        self.simulator.run()
        return self.results


@functools.cache
def simulated(name):
    return Simulated(CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_any_stream_of_banks(name):
    config, seen = CONFIGS[name], {0: 0, 1: 0}

    @settings(max_examples=5, suppress_health_check=list(HealthCheck))
    @given(st.lists(products(config), min_size=1, max_size=5), st.integers(0, 999))
    def check(found, seed):
        expected = [result(config, product) for product in found]
        assert simulated(name).run(payloads(config, found), len(found), seed) == expected
        for _, error in expected:
            seen[error] += 1

    check()
    assert min(seen.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_any_stream_of_banks_compiled(name, tmp_path_factory):
    config, seen = CONFIGS[name], {0: 0, 1: 0}
    program = compile_pe(emit(config, "sq_pe"), tmp_path_factory.mktemp(name))

    @settings(max_examples=1500, suppress_health_check=list(HealthCheck))
    @given(st.lists(products(config), min_size=1, max_size=12), st.integers(0, 999))
    def check(found, seed):
        expected = [result(config, product) for product in found]
        beats_ = Beats(*payloads(config, found))
        pauses = {"pause_in": seed % 3 * 0.3, "pause_out": seed % 5 * 0.2}
        run = drive(program, config, beats_, results=len(found), seed=seed, **pauses)
        assert (run.state, list(run.results)) == ("done", expected)
        for _, error in expected:
            seen[error] += 1

    check()
    assert min(seen.values()) > 500


def test_the_oracle_tells_legal_from_void():
    """By hand: 2 * 3 in the lowest scale is 6 * 2**-24; the same with a count too many is void."""
    config = CONFIGS["int8"]
    quiet = Beat([2, 0], [False, False], [0], 0, [3, 0], 0, 0)
    end = Beat([0, 0], [False, False], [0], 0, [0, 0], 0, 0)
    one = 127 << 23
    product = Product([quiet, end], 2, (set(), set()), (one, one))
    assert result(config, product) == (slow_floats.to_f32(6 * slow_model.UNIT), 0)
    for wrong in (
        Product([quiet, end], 2, (set(), {0}), (one, one)),
        Product([quiet], 0, (set(), set()), (one, one)),
    ):
        assert result(config, wrong) == (NAN, 1)
    quiet.count = 1
    assert result(config, product) == (NAN, 1)
