"""The memory layout: tensors to bytes and back. ``docs/format.md`` describes it bit by bit.

Fields follow each other without gaps, the lowest bit of a field and of a byte first. Row scales are not
part of the bytes; they are a vector of their own.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_int
from sw_reference.format import LOW_BITS, SENTINEL, DenseFormat, SQFormat
from sw_reference.masks import named_elements
from sw_reference.tensors import K_MAX, DenseTensor, SQTensor

__all__ = [
    "dense_bytes_per_row",
    "pack_dense",
    "pack_sq",
    "sq_bytes_per_row",
    "unpack_dense",
    "unpack_sq",
]


def sq_bytes_per_row(fmt: SQFormat, k: int) -> int:
    """Bytes of a packed row of `k` elements of an SQ operand."""
    return -(-fmt.banks(k) * fmt.bank_bits // 8)


def dense_bytes_per_row(fmt: DenseFormat, k: int) -> int:
    """Bytes of a packed row of `k` elements of a dense operand."""
    codes = fmt.banks(k) * fmt.bank_bits if fmt.bank else k * fmt.bits
    return -(-(fmt.groups(k) * fmt.group_bits + codes) // 8)


def pack_sq(t: SQTensor) -> NDArray[np.uint8]:
    """Returns uint8[rows, bytes per row]: the banks of each row one after the other."""
    fmt = t.format
    scale = _bits(t.scale[..., None], fmt.bank_scale.bits)
    mask = _mask_bits(fmt, t.bitmap, t.index)
    fields = [scale, mask, _bits(t.low, LOW_BITS), _bits(t.high, fmt.high_bits)]
    return _to_bytes(np.concatenate(fields, axis=-1))


def unpack_sq(data: NDArray[np.uint8], fmt: SQFormat, k: int, row_scale: NDArray[np.float32]) -> SQTensor:
    """Returns the tensor that `data`, uint8[rows, bytes per row], holds.

    Raises
    ------
    TypeError, ValueError
        If `data` has another dtype or length, or breaks a rule of the format: more outliers than the
        capacity, a reserved bank scale, an FP16 code that is NaN or Inf, a used code where there must be
        none, padding that is not zero. The message names row, bank and rule.
    """
    check_int("K", k, 1, K_MAX)
    _check_bytes(data, len(row_scale), sq_bytes_per_row(fmt, k))
    banks = fmt.banks(k)
    bits = _from_bytes(data, banks * fmt.bank_bits).reshape(len(data), banks, fmt.bank_bits)
    widths = [fmt.bank_scale.bits, fmt.mask_bits, LOW_BITS * fmt.bank]
    scale, mask, low, high = np.split(bits, np.cumsum(widths), axis=-1)
    low_codes = _codes(low, LOW_BITS, "signed")
    high_codes = _codes(high, fmt.high_bits, "unsigned" if fmt.high == "fp16" else "signed")
    index = None
    if fmt.has_index:
        index = _codes(mask, fmt.index_bits)
        bitmap = named_elements(fmt, index, high_codes)
    elif fmt.has_bitmap:
        bitmap = mask.astype(np.bool_)
    else:
        bitmap = (low_codes == SENTINEL) & (fmt.outliers > 0)
    scales = _codes(scale, fmt.bank_scale.bits)[..., 0]
    return SQTensor(fmt, k, low_codes, bitmap, scales, high_codes, row_scale, index)


def pack_dense(t: DenseTensor) -> NDArray[np.uint8]:
    """Returns uint8[rows, bytes per row]: the groups of each row one after the other, or its larger banks."""
    fmt = t.format
    units = _unit_bits(t)
    if t.group_scale is None or fmt.group is None:
        return _to_bytes(units)
    heads = _bits(t.group_scale[..., None], 8)
    if t.offset is not None:
        heads = np.concatenate([heads, _bits(t.offset[..., None], 8)], axis=-1)
    size, kept = _blocks(fmt, t.k)
    blocks = -(-t.k // size)
    parts = [_whole(heads, blocks * size // fmt.group), _whole(units, blocks * size // (fmt.bank or 1))]
    record = np.concatenate([part.reshape(t.rows, blocks, -1) for part in parts], axis=-1)
    return _to_bytes(record.reshape(t.rows, -1)[:, kept])


def unpack_dense(
    data: NDArray[np.uint8], fmt: DenseFormat, k: int, row_scale: NDArray[np.float32]
) -> DenseTensor:
    """Returns the tensor that `data`, uint8[rows, bytes per row], holds.

    Raises
    ------
    TypeError, ValueError
        If `data` has another dtype or length, a group scale is no code, a bank has more outliers than
        its capacity, an unused high nibble or padding is not zero. The message names row and rule.
    """
    check_int("K", k, 1, K_MAX)
    _check_bytes(data, len(row_scale), dense_bytes_per_row(fmt, k))
    rows = len(data)
    unit = fmt.bank_bits if fmt.bank else fmt.bits
    count = fmt.banks(k) if fmt.bank else k
    bits = _from_bytes(data, fmt.groups(k) * fmt.group_bits + count * unit)
    group_scale = offset = None
    if fmt.group is not None:
        size, kept = _blocks(fmt, k)
        record = np.zeros((rows, len(kept)), np.uint8)
        record[:, kept] = bits
        blocks = record.reshape(rows, -(-k // size), -1)
        heads, bits = np.split(blocks, [fmt.group_bits * size // fmt.group], axis=-1)
        heads = heads.reshape(rows, -1, fmt.group_bits)[:, : fmt.groups(k)]
        group_scale = _codes(heads[..., :8], 8)[..., 0]
        if fmt.offset:
            offset = _codes(heads[..., 8:], 8, "signed")[..., 0]
    units = bits.reshape(rows, -1, unit)[:, :count]
    if fmt.bank is None:
        codes = _codes(units, fmt.bits, "signed")[..., 0]
        return DenseTensor(fmt, k, codes, group_scale, row_scale, offset=offset)
    outliers = fmt.outlier_format
    mask, low, high = np.split(units, np.cumsum([outliers.mask_bits, LOW_BITS * fmt.bank]), axis=-1)
    codes = _codes(low, LOW_BITS, "signed").reshape(rows, -1)
    if codes[:, k:].any():
        row = int(np.argmax(codes[:, k:].any(axis=1)))
        raise ValueError(f"Row {row}, bank {count - 1}: elements from {k} on are padding and must be zero")
    codes = np.ascontiguousarray(codes[:, :k])
    high_codes = _codes(high, LOW_BITS, "signed")
    index = None
    if fmt.has_index:
        index = _codes(mask, outliers.index_bits)
        bitmap = named_elements(outliers, index, high_codes)
    else:
        bitmap = mask.astype(np.bool_)
    return DenseTensor(fmt, k, codes, group_scale, row_scale, bitmap, high_codes, index, offset)


def _unit_bits(t: DenseTensor) -> NDArray[np.uint8]:
    """Returns the bits of the codes of each row: [rows, banks, bits of a bank], or [rows, k, bits]."""
    fmt = t.format
    if fmt.bank is None or t.bitmap is None or t.high is None:
        return _bits(t.codes[..., None], fmt.bits)
    low = np.zeros(t.bitmap.shape, np.int8)
    low.reshape(t.rows, -1)[:, : t.k] = t.codes
    mask = _mask_bits(fmt.outlier_format, t.bitmap, t.index)
    return np.concatenate([mask, _bits(low, LOW_BITS), _bits(t.high, LOW_BITS)], axis=-1)


def _blocks(fmt: DenseFormat, k: int) -> tuple[int, NDArray[np.bool_]]:
    """Returns the elements of a block, and which bits of the whole blocks that hold a row are stored.

    A block is a group, or a bank where that is the larger one: the heads of its groups, then its codes.
    Of the last block only those groups and codes (or banks of codes) are stored that hold elements.
    """
    assert fmt.group is not None
    block = max(fmt.group, fmt.bank or 1)
    blocks = -(-k // block)

    def stored(count: int, per_block: int, bits: int) -> NDArray[np.bool_]:
        whole = np.arange(blocks * per_block) < count
        return np.repeat(whole.reshape(blocks, per_block), bits, axis=1)

    heads = stored(fmt.groups(k), block // fmt.group, fmt.group_bits)
    if fmt.bank is None:
        codes = stored(k, block, fmt.bits)
    else:
        codes = stored(fmt.banks(k), block // fmt.bank, fmt.bank_bits)
    return block, np.concatenate([heads, codes], axis=1).ravel()


def _whole(bits: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Returns [rows, count, bits] from [rows, n, bits] and zeros."""
    return np.pad(bits, ((0, 0), (0, count - bits.shape[1]), (0, 0)))


def _mask_bits(
    fmt: SQFormat, bitmap: NDArray[np.bool_], index: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    if index is not None:
        return _bits(index, fmt.index_bits)
    return bitmap.view(np.uint8)[..., : fmt.mask_bits]


def _bits(codes: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Returns [..., n * width]: the `width` low bits of each of the codes [..., n], lowest first."""
    octets = np.ascontiguousarray(codes.astype(codes.dtype.newbyteorder("<"), copy=False))[..., None]
    bits = np.unpackbits(octets.view(np.uint8), axis=-1, count=width, bitorder="little")
    return bits.reshape(*codes.shape[:-1], codes.shape[-1] * width)


def _codes(
    bits: NDArray[np.uint8], width: int, kind: Literal["unsigned", "signed"] = "unsigned"
) -> NDArray[Any]:
    """Returns the codes [..., n] of `width` bits from [..., n * width]: uint8 or, of 16 bits, uint16; int8
    where they are signed."""
    shape = (*bits.shape[:-1], bits.shape[-1] // width if width else 0, width)
    octets = np.packbits(bits.reshape(shape), axis=-1, bitorder="little")
    if width == 16:
        return octets.view("<u2")[..., 0].astype(np.uint16)
    codes = octets[..., 0]
    if kind == "unsigned":
        return codes
    sign = np.uint8(1 << (width - 1))
    return ((codes ^ sign) - sign).view(np.int8)


def _to_bytes(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns uint8[rows, bytes] from bits [rows, ...]."""
    return np.packbits(bits.reshape(len(bits), -1), axis=1, bitorder="little")


def _from_bytes(data: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Returns the first `count` bits of each row; those after them must be zero."""
    bits = np.unpackbits(data, axis=1, bitorder="little")
    tail = bits[:, count:].any(axis=1)
    if tail.any():
        raise ValueError(f"Row {int(np.argmax(tail))}: the padding after the last element must be zero")
    return bits[:, :count]


def _check_bytes(data: Any, rows: int, length: int) -> None:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        kind = data.dtype if isinstance(data, np.ndarray) else type(data).__name__
        raise TypeError(f"Packed data must be an array of uint8, not {kind}")
    if data.shape != (rows, length):
        raise ValueError(f"Packed data must have shape {(rows, length)}, not {data.shape}")
