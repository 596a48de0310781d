"""The slow model of the memory layout: bit by bit."""

from __future__ import annotations

from sw_reference.format import DenseFormat, SQFormat
from tests.slow_model import Row


def field(value: int, width: int) -> list[int]:
    return [value >> i & 1 for i in range(width)]


def to_bytes(bits: list[int]) -> bytes:
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(sum(bit << i for i, bit in enumerate(bits[j : j + 8])) for j in range(0, len(bits), 8))


def pack_sq_row(row: Row, fmt: SQFormat) -> bytes:
    bits: list[int] = []
    width = 8 if fmt.scale == "e5m3" else int(fmt.scale[1]) + int(fmt.scale[3]) + fmt.scale.endswith("s")
    for number, (low, bitmap, scale, high) in enumerate(
        zip(row.low, row.bitmap, row.scale, row.high, strict=True)
    ):
        index = None if row.index is None else row.index[number]
        bits += field(scale, width) + mask_bits(fmt.mask, bitmap, high, index, fmt.segment or fmt.bank)
        for code in low:
            bits += field(code, 4)
        for code in high:
            bits += field(code, {"fp16": 16, "int8": 8 if fmt.mask == "sentinel" else 4}[fmt.high])
    return to_bytes(bits)


def mask_bits(
    mask: str, bitmap: list[bool], high: list[int], index: list[int] | None, segment: int
) -> list[int]:
    if mask == "index":
        return [bit for position in index or [] for bit in field(position, segment.bit_length() - 1)]
    return [int(bit) for bit in bitmap] if mask == "bitmap" and high else []


def pack_dense_row(
    codes: list[int],
    group_scales: list[int],
    fmt: DenseFormat,
    bitmap: list[list[bool]] | None = None,
    high: list[list[int]] | None = None,
    index: list[list[int]] | None = None,
    offsets: list[int] | None = None,
) -> bytes:
    """Packs a row; of outliers `codes` holds the low nibbles."""
    bits: list[int] = []
    step = fmt.bank or 1
    for i in range(len(codes)):
        if fmt.group and i % max(fmt.group, step) == 0:
            for group in range(i // fmt.group, -(-min(i + max(fmt.group, step), len(codes)) // fmt.group)):
                bits += field(group_scales[group], 8) + (field(offsets[group], 8) if fmt.offset else [])
        if i % step:
            continue
        bank = i // step
        if fmt.bank:
            bits += mask_bits(fmt.mask, bitmap[bank], high[bank], index and index[bank], fmt.bank)
        for code in (codes[i : i + step] + [0] * step)[:step]:
            bits += field(code, fmt.bits)
        if fmt.bank:
            for code in high[bank]:
                bits += field(code, 4)
    return to_bytes(bits)
