# amaranth: UnusedElaboratable=no
"""FP16 with float32 sums against NumPy's float16 and float32."""

import numpy as np
import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sqhw.measure.rivals.float_add import FloatAdd
from sqhw.measure.rivals.fp16_dot import FP16_BITS, FP16Decode, FP16Dot
from sw_reference.rivals import fp16_dot
from tests.hardware import drive_pipeline

SEED = 20251207
NAN = 0x7FC00000


def add_operands(rng, count):
    """Pairs of float32 codes: anything, near exponents, cancellation, ties, subnormals, the ends."""
    a = rng.integers(0, 1 << 32, (count, 2))
    near = a.copy()
    distance = rng.integers(-27, 28, count)
    near[:, 1] = near[:, 1] & 0x807FFFFF | (np.clip((near[:, 0] >> 23 & 255) + distance, 0, 254) << 23)
    equal = near.copy()
    equal[:, 1] = (equal[:, 0] ^ 0x80000000) + rng.integers(0, 3, count)
    ties = near & 0xFFF00003
    small = a & 0x80FFFFFF
    tiny = small.copy()
    tiny[:, 1] &= 0x80000007
    ends = rng.choice(
        [0, 0x80000000, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x3F800000, 0x33800000], (count, 2)
    )
    codes = np.concatenate([a, near, equal, ties, small, tiny, ends]) % (1 << 32)
    codes = codes.astype(np.uint32)
    return codes[np.isfinite(codes.view(np.float32)).all(axis=1)]


def fields(code):
    code = int(code)
    normal = (code >> 23 & 255) > 0
    significand = (normal << 23) | code & 0x7FFFFF
    return {"significand": significand, "exponent": max(1, code >> 23 & 255), "sign": code >> 31}


def test_float_add():
    codes = add_operands(np.random.default_rng(SEED), 1000)
    dut = FloatAdd(unsigned(8), unsigned(8), unsigned(8), subnormal=True)
    got = drive_pipeline(dut, [{"a": fields(a), "b": fields(b)} for a, b in codes], ["o"])
    with np.errstate(over="ignore"):
        a, b = codes.view(np.float32).T
        want = np.abs(a + b).view(np.uint32).tolist()
    subnormal = finite = 0
    for (x, y), r, w in zip(codes.tolist(), got, want, strict=True):
        if w == 0x7F800000:
            assert r["o"].exponent == 255
            continue
        finite += 1
        subnormal += 0 < w < 1 << 23
        assert r["o"].exponent << 23 | r["o"].significand & 0x7FFFFF == w
        assert r["o"].significand >> 23 == (w >= 1 << 23)
        assert w == 0 or r["o"].sign == int(
            np.signbit(np.uint32(x).view(np.float32) + np.uint32(y).view(np.float32))
        )
    assert finite > 6000
    assert subnormal > 500


def test_fp16_decode_reads_every_code():
    lanes = 16
    codes = np.arange(1 << 16, dtype=np.uint16).reshape(-1, lanes)
    dut = FP16Decode(lanes)
    got = drive_pipeline(dut, [{"i": row.tolist()} for row in codes], ["o"])
    finite = 0
    for row, r in zip(codes.view(np.float16), got, strict=True):
        for value, o in zip(row, r["o"], strict=True):
            assert (o.nan, o.infinite) == (np.isnan(value), np.isinf(value))
            if not np.isfinite(value):
                continue
            finite += 1
            assert (-1) ** o.sign * o.significand * 2.0 ** (o.exponent - 34) == value
            assert o.sign == np.signbit(value)
            assert o.significand >> 10 == (value != 0)
    assert finite == 2 * 31 * 1024


def jobs_of(rng, lanes):
    """Operands of dot products by kind: codes, float16[beats, lanes] each."""
    for kind in ("any", "any", "normal", "normal", "normal", "cancel", "subnormal", "ends", "special"):
        shape = (2, int(rng.integers(1, 8)), lanes)
        codes = rng.integers(0, 1 << 16, shape).astype(np.uint16)
        if kind == "any":  # any exponents
            codes = np.where((codes >> 10 & 31) == 31, codes ^ 0x4000, codes)
        elif kind == "normal":
            codes = rng.standard_normal(shape).astype(np.float16).view(np.uint16)
        elif kind == "cancel":  # sums that lose all leading bits
            codes = codes & 0x07FF | 0x3C00
            codes[0, :, 1::2] = codes[0, :, ::2][:, : lanes // 2] ^ (0x8000 + rng.integers(0, 2))
            codes[1, :, 1::2] = codes[1, :, ::2][:, : lanes // 2]
        elif kind == "subnormal":
            codes &= 0x83FF
        elif kind == "ends":
            codes = rng.choice([0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x7BFF, 0xFBFF, 0x3C00], shape)
        else:
            special = rng.choice([0x7C00, 0xFC00, 0x7E00, 0, 0x3C00], shape)
            codes = np.where(rng.random(shape) < 0.2, special, codes & 0xBFFF)
        yield codes.astype(np.uint16).view(np.float16)


class Decoded(wiring.Component):
    """A dot product of FP16 codes as they are stored, with a decoder for each operand."""

    def __init__(self, lanes):
        self._dot = FP16Dot(lanes)
        self._decoders = {name: FP16Decode(lanes) for name in "ab"}
        codes = In(data.ArrayLayout(FP16_BITS, lanes))
        super().__init__({"a": codes, "b": codes, "valid": In(1), "clear": In(1), "acc": Out(32)})
        self.latency = self._dot.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.dot = dot = self._dot
        for name, decoder in self._decoders.items():
            m.submodules[f"decode_{name}"] = decoder
            m.d.comb += [decoder.i.eq(getattr(self, name)), getattr(dot, name).eq(decoder.o)]
        m.d.comb += [dot.valid.eq(self.valid), dot.clear.eq(self.clear), self.acc.eq(dot.acc)]
        return m


@pytest.mark.parametrize(("lanes", "rounds"), [(1, 30), (2, 20), (4, 20)])
def test_fp16_dot(lanes, rounds):
    rng = np.random.default_rng([SEED, lanes])
    jobs = [job for _ in range(rounds) for job in jobs_of(rng, lanes)]
    stimuli, ends, want = [], [], []
    for a, b in jobs:
        valid = rng.random(len(a)) < 0.8
        for beat in range(len(a)):
            packed = {name: x[beat].view(np.uint16).tolist() for name, x in (("a", a), ("b", b))}
            stimuli.append(packed | {"valid": int(valid[beat]), "clear": int(beat == 0)})
        ends.append(len(stimuli) - 1)
        want.append(fp16_dot(a[valid], b[valid]))
    dut = Decoded(lanes)
    late = dut.latency - 1
    results = drive_pipeline(dut, stimuli, ["acc"], skew={"valid": late, "clear": late})
    got = [results[end]["acc"] for end in ends]
    assert got == [NAN if np.isnan(y) else int(y.view(np.uint32)) for y in want]
    assert len(got) == 9 * rounds
    # Every kind of result was met.
    infinite = sum(np.isinf(y) for y in want)
    nan = sum(np.isnan(y) for y in want)
    assert min(infinite, nan, sum(y == 0 for y in want)) > 0
    assert dut.latency == 2 + lanes.bit_length() - 1


@pytest.mark.parametrize(
    ("lanes", "error", "message"),
    [
        (12, ValueError, "Lanes must be a power of two from 1 to 128, not 12"),
        ("4", TypeError, "Lanes must be a power of two from 1 to 128, not '4'"),
    ],
)
def test_fp16_dot_refuses(lanes, error, message):
    with pytest.raises(error) as caught:
        FP16Dot(lanes)
    assert str(caught.value) == message


def test_fp16_decode_refuses():
    with pytest.raises(ValueError, match="Lanes") as caught:
        FP16Decode(0)
    assert str(caught.value) == "Lanes must be an integer from 1 to 128, not 0"
