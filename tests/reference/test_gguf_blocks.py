"""GGUF's block types as codes: against decoders that go element by element, and against the package gguf."""

import numpy as np
import pytest

from sw_reference.checkpoints.gguf import _TYPES
from sw_reference.checkpoints.gguf_blocks import BLOCKS, coded_blocks

SEED = 0
SIZES = {name: (elements, size) for name, elements, size in _TYPES.values()}
FP4 = (0, 0.5, 1, 1.5, 2, 3, 4, 6)


def half(raw, at):
    return float(np.frombuffer(raw, "<f2", 1, at)[0])


def nibble(raw, at, i, run):
    """Element i of nibbles whose low ones come first, `run` bytes at a time."""
    byte = raw[at + i // (2 * run) * run + i % run]
    return byte >> 4 if i % (2 * run) >= run else byte & 15


def q4_0(raw, i):
    return half(raw, 0) * (nibble(raw, 2, i, 16) - 8)


def q4_1(raw, i):
    return half(raw, 0) * nibble(raw, 4, i, 16) + half(raw, 2)


def q5_0(raw, i):
    fifth = int.from_bytes(raw[2:6], "little") >> i & 1
    return half(raw, 0) * (nibble(raw, 6, i, 16) + 16 * fifth - 16)


def q5_1(raw, i):
    fifth = int.from_bytes(raw[4:8], "little") >> i & 1
    return half(raw, 0) * (nibble(raw, 8, i, 16) + 16 * fifth) + half(raw, 2)


def q8_0(raw, i):
    return half(raw, 0) * int.from_bytes(raw[2 + i : 3 + i], "little", signed=True)


def six_bits(raw, group):
    """Scale and minimum of a group of 32 in Q4_K and Q5_K."""
    if group < 4:
        return raw[4 + group] & 63, raw[8 + group] & 63
    last = raw[8 + group]
    return last % 16 + (raw[group] // 64) * 16, last // 16 + (raw[4 + group] // 64) * 16


def q4_k(raw, i):
    scale, minimum = six_bits(raw, i // 32)
    return half(raw, 0) * scale * nibble(raw, 16, i, 32) - half(raw, 2) * minimum


def q5_k(raw, i):
    scale, minimum = six_bits(raw, i // 32)
    code = nibble(raw, 48, i, 32) + 16 * (raw[16 + i % 32] >> (i // 32) & 1)
    return half(raw, 0) * scale * code - half(raw, 2) * minimum


def q6_k(raw, i):
    place = i % 128
    high = raw[128 + i // 128 * 32 + place % 32] >> (place // 32 * 2) & 3
    scale = int.from_bytes(raw[192 + i // 16 : 193 + i // 16], "little", signed=True)
    return half(raw, 208) * scale * (nibble(raw, 0, i, 64) + 16 * high - 32)


def mxfp4(raw, i):
    code = nibble(raw, 1, i, 16)
    return 2.0 ** (raw[0] - 127) * FP4[code & 7] * (-1 if code & 8 else 1)


DECODERS = {
    "Q4_0": q4_0,
    "Q4_1": q4_1,
    "Q5_0": q5_0,
    "Q5_1": q5_1,
    "Q4_K": q4_k,
    "Q5_K": q5_k,
    "Q6_K": q6_k,
    "Q8_0": q8_0,
    "MXFP4": mxfp4,
}
HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}


def blocks(kind, rows, per_row):
    """Blocks of any bytes whose halves are finite: uint8[rows, bytes of a row]."""
    rng = np.random.default_rng(SEED)
    raw = rng.integers(0, 256, (rows, per_row, SIZES[kind][1]), np.uint8)
    for at in HALVES.get(kind, []):
        raw[..., at + 1] = (
            raw[..., at + 1] & 0x83 | rng.integers(0x20, 0x50, (rows, per_row), np.uint8) & 0x7C
        )
    if kind == "MXFP4":
        raw[..., 0] = raw[..., 0] % 60 + 90
    return raw.reshape(rows, -1)


def test_every_type_is_tried():
    assert set(DECODERS) == set(BLOCKS)
    assert {name: (block.elements, block.size) for name, block in BLOCKS.items()} == {
        name: SIZES[name] for name in BLOCKS
    }


@pytest.mark.parametrize("kind", BLOCKS)
def test_codes_are_the_weights(kind):
    """Every weight equals what the published layout gives; where groups are not turned, exactly."""
    elements, size = SIZES[kind]
    data = blocks(kind, 5, 3)
    matrix = coded_blocks(kind, data, 3 * elements)
    got = matrix.part(slice(None))
    want = [
        [
            DECODERS[kind](row.tobytes()[b * size : (b + 1) * size], i)
            for b in range(3)
            for i in range(elements)
        ]
        for row in data
    ]
    assert got.values().tolist() == want
    assert matrix.shape == (5, 3 * elements) == got.codes.shape
    low, high = (-8, 7) if matrix.bits == 4 else (-128, 127)
    assert low <= got.codes.min() <= got.codes.max() <= high
    assert (got.scale >= 0).all()
    assert bool(got.bias.any()) == matrix.has_bias
    assert matrix.part(slice(1, 3)).values().tolist() == want[1:3]


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_0", "Q8_0"])
def test_positive_scales_need_no_bias(kind):
    data = blocks(kind, 4, 2).reshape(4, 2, -1)
    data[..., 1] &= 0x7F
    matrix = coded_blocks(kind, data.reshape(4, -1), 64)
    got = matrix.part(slice(None))
    assert not matrix.has_bias
    assert not got.bias.any()
    want = [[DECODERS[kind](b.tobytes(), i) for b in row for i in range(32)] for row in data]
    assert got.values().tolist() == want


@pytest.mark.parametrize("kind", HALVES)
def test_scales_that_are_no_number_are_named(kind):
    data = blocks(kind, 3, 1)
    data[1, HALVES[kind][-1] : HALVES[kind][-1] + 2] = 0xFF
    message = r"Row 1, group 0: the (scale|bias) must be finite, not -?nan"
    with pytest.raises(ValueError, match=f"^{message}$"):
        coded_blocks(kind, data, SIZES[kind][0]).part(slice(None))


def test_the_cells_of_fp4():
    """The expected error of its numbers, against weights spread evenly that were rounded to them."""
    numbers = np.sort([sign * 2 * n for n in FP4 for sign in (-1, 1)])
    for number in np.unique(numbers):
        w = np.linspace(-14, 14, 280_001)
        nearest = numbers[np.abs(w[:, None] - numbers).argmin(axis=1)]
        error = ((w - nearest) ** 2)[nearest == number].mean()
        assert BLOCKS["MXFP4"].cell[int(number) + 128] == pytest.approx(error, rel=1e-3)


@pytest.mark.llm
@pytest.mark.parametrize("kind", BLOCKS)
def test_the_package_gives_the_same_numbers(kind):
    import gguf

    elements = SIZES[kind][0]
    data = blocks(kind, 64, 4)
    want = gguf.dequantize(data, gguf.GGMLQuantizationType[kind])
    got = coded_blocks(kind, data, 4 * elements).part(slice(None)).values().astype(np.float32)
    assert (got.view(np.uint32) == (want + np.float32(0)).view(np.uint32)).sum() == 64 * 4 * elements


@pytest.mark.llm
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_what_the_package_quantizes(kind):
    import gguf

    w = np.random.default_rng(SEED).standard_normal((16, 256)).astype(np.float32)
    quantization = gguf.GGMLQuantizationType[kind]
    data = gguf.quantize(w, quantization)
    got = coded_blocks(kind, data, 256).part(slice(None))
    assert got.values().astype(np.float32).tolist() == gguf.dequantize(data, quantization).tolist()
    own = ((got.values() - w) ** 2).sum()
    assert got.expected_error() == pytest.approx(own, rel=0.2)
