# amaranth: UnusedElaboratable=no
"""Integer rivals against matrix products in integers, and the products they are made of."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.arith.bit_heap import BitHeap
from sqhw.measure.rivals.integer_mac import IntegerMAC, PairedMAC, PairPicks, PairSums
from sqhw.measure.rivals.products import add_signed_product
from sw_reference.codes import GROUP_SCALE_VALUES
from sw_reference.rivals import integer_dot
from tests.hardware import drive_pipeline

SEED = 20251206
GROUP_SCALES = {"e3m3": GROUP_SCALE_VALUES, "linear8": np.arange(256)}
"""Values by code."""
WIDTHS = [
    *(
        (4, 4, 64, "e3m3"),
        (4, 8, 64, "e3m3"),
        (8, 4, 64, "e3m3"),
        (4, 4, 64, "linear8"),
        (8, 4, 64, "linear8"),
    ),
    *((8, 4, None, "e3m3"), (6, 6, None, "e3m3"), (8, 8, None, "e3m3")),
]


class Product(wiring.Component):
    """``a * b`` by one heap."""

    latency = 0

    def __init__(self, a_bits, b_bits):
        super().__init__(
            {"a": In(signed(a_bits)), "b": In(signed(b_bits)), "o": Out(signed(a_bits + b_bits))}
        )

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="product")
        add_signed_product(heap, self.a, self.b)
        m.d.comb += self.o.eq(heap.sum())
        return m


@pytest.mark.parametrize(("a_bits", "b_bits"), [(4, 4), (4, 5), (5, 4), (3, 6), (6, 6)])
def test_every_product(a_bits, b_bits):
    ranges = [range(-(1 << bits - 1), 1 << bits - 1) for bits in (a_bits, b_bits)]
    pairs = list(itertools.product(*ranges))
    got = drive_pipeline(Product(a_bits, b_bits), [{"a": a, "b": b} for a, b in pairs], ["o"])
    assert [r["o"] for r in got] == [a * b for a, b in pairs]
    assert len(got) == 1 << a_bits + b_bits


class Paired(wiring.Component):
    """A PairedMAC with what stands once per row and column: the members of an IntegerMAC."""

    def __init__(self, a_bits, b_bits, lanes, group, scale, k_max):
        self._mac = PairedMAC(a_bits, b_bits, lanes, group, scale, k_max)
        self._sides = PairSums(a_bits, lanes), PairPicks(b_bits, lanes)
        self.latency, self.bound = self._mac.latency, self._mac.bound
        members = IntegerMAC(a_bits, b_bits, lanes, group, scale, k_max).signature.members
        super().__init__(dict(members))

    def elaborate(self, platform):
        m = Module()
        m.submodules.mac = mac = self._mac
        m.submodules.sums, m.submodules.picks = sums, picks = self._sides
        m.d.comb += [sums.i.eq(self.a), picks.i.eq(self.b), mac.a.eq(sums.o), mac.b.eq(picks.o)]
        m.d.comb += [
            getattr(mac, name).eq(getattr(self, name))
            for name in ("valid", "clear", "group_scale")
            if name in self.signature.members
        ]
        m.d.comb += self.acc.eq(mac.acc)
        return m


def beats_of(rng, a_bits, b_bits, lanes, count, codes, extreme):
    """Operands of one dot product, its group scales of so many codes, and which beats count."""
    tops = [1 << bits - 1 for bits in (a_bits, b_bits)]
    if extreme:
        a, b = (np.full((count, lanes), -top) for top in tops)
        return a, b, np.full(count, codes - 1), np.ones(count, bool)
    a, b = (rng.integers(-top, top, (count, lanes)) for top in tops)
    return a, b, rng.integers(0, codes, count), rng.random(count) < 0.8


def run(dut, a_bits, b_bits, lanes, group, jobs):
    """Returns the sums of the given jobs, which follow each other without a gap."""
    stimuli, ends = [], []
    for a, b, group_scale, valid in jobs:
        for beat in range(len(a)):
            stimulus = {"a": a[beat].tolist(), "b": b[beat].tolist(), "valid": int(valid[beat])}
            stimulus |= {"clear": int(beat == 0)} | (
                {"group_scale": group_scale[beat].tolist()} if group else {}
            )
            stimuli.append(stimulus)
        ends.append(len(stimuli) - 1)
    got = drive_pipeline(dut, stimuli, ["acc"], skew={"valid": 1, "group_scale": 1, "clear": dut.latency - 1})
    return [got[end]["acc"] for end in ends]


@pytest.mark.parametrize("unit", [IntegerMAC, Paired])
def test_a_beat_of_two_groups(unit):
    rng = np.random.default_rng(SEED)
    jobs, expected = [], []
    for extreme in (False, True, False):
        a, b, _, valid = beats_of(rng, 8, 4, 16, 4, 256, extreme)
        scales = np.full((4, 2), 255) if extreme else rng.integers(0, 256, (4, 2))
        jobs.append((a, b, scales, valid))
        sums = (a * b).reshape(4, 2, 8).sum(axis=2)
        expected.append(int(((sums * scales).sum(axis=1) * valid).sum()))
    dut = unit(8, 4, 16, 8, "linear8", k_max=64)
    assert run(dut, 8, 4, 16, 8, jobs) == expected
    assert max(map(abs, expected)) <= dut.bound == 64 * 128 * 8 * 255


@pytest.mark.parametrize(
    ("unit", "lanes"),
    [*((IntegerMAC, n) for n in (1, 4, 16)), (Paired, 8)],
)
@pytest.mark.parametrize(("a_bits", "b_bits", "group", "scale"), WIDTHS)
def test_integer_mac(a_bits, b_bits, group, scale, unit, lanes):
    rng = np.random.default_rng([SEED, a_bits, b_bits, lanes])
    codes = len(GROUP_SCALES[scale])
    jobs = [beats_of(rng, a_bits, b_bits, lanes, rng.integers(1, 9), codes, False) for _ in range(20)]
    jobs.insert(7, beats_of(rng, a_bits, b_bits, lanes, 8, codes, True))
    dut = unit(a_bits, b_bits, lanes, group, scale, k_max=8 * lanes)
    got = run(dut, a_bits, b_bits, lanes, group, jobs)
    values = GROUP_SCALES[scale]
    want = [integer_dot(a[v], b[v], values[t[v]] if group else None) for a, b, t, v in jobs]
    assert got == want
    assert len(got) == 21
    # The bound is reached, so no narrower accumulator would do.
    assert got[7] == dut.bound
    assert dut.latency == (3 if group else 2)


@pytest.mark.parametrize(("a_bits", "b_bits", "group", "scale"), WIDTHS)
def test_one_product_at_a_time(a_bits, b_bits, group, scale):
    lanes = 16
    corners = [[-(1 << bits - 1), -1, 1, (1 << bits - 1) - 1] for bits in (a_bits, b_bits)]
    jobs = []
    for lane, x, y in itertools.product((0, 6, 15), *corners):
        a = np.where(np.arange(lanes) == lane, x, 0)[None]
        jobs.append((a, np.full((1, lanes), y), np.array([lane + 8]), np.array([True])))
    dut = IntegerMAC(a_bits, b_bits, lanes, group, scale, k_max=4096)
    values = GROUP_SCALES[scale]
    want = [integer_dot(a, b, values[t] if group else None) for a, b, t, _ in jobs]
    assert run(dut, a_bits, b_bits, lanes, group, jobs) == want
    assert len(want) == 48


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, 4), ValueError, "A bits must be 4, 6 or 8, not 5"),
        ((4, 16), ValueError, "B bits must be 4, 6 or 8, not 16"),
        ((4, 4, 0), ValueError, "Lanes must be an integer from 1 to 128, not 0"),
        ((4, 4, 16.0), TypeError, "Lanes must be an integer from 1 to 128, not 16.0"),
        ((4, 4, 16, 8), ValueError, "Group must be an integer from 16 to 65536, not 8"),
        ((4, 4, 16, 40), ValueError, "Group must be a multiple of the lanes (16), not 40"),
        ((4, 4, 16, 64, "e5m3"), ValueError, "Group scale must be 'e3m3' or 'linear8', not 'e5m3'"),
        ((4, 4, 16, None, "e3m3", 15), ValueError, "K_max must be an integer from 16 to 1048576, not 15"),
    ],
)
def test_integer_mac_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        IntegerMAC(*arguments)
    assert str(caught.value) == message
