"""The memory layout: tensors to bytes and back. ``docs/format.md`` describes it bit by bit.

Everything is a whole number of nibbles, low nibble of a byte first. Row scales are not part of the
bytes; they are a vector of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_int
from sw_reference.format import SENTINEL, DenseFormat, SQFormat
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
    return fmt.groups(k) + -(-_code_nibbles(fmt, k) // 2)


def _code_nibbles(fmt: DenseFormat, k: int) -> int:
    """Nibbles of the codes of `k` elements: without outliers no more than those, else whole banks."""
    return k * fmt.bits // 4 if fmt.bank is None else fmt.banks(k) * fmt.bank_bits // 4


def _group_nibbles(fmt: DenseFormat) -> int:
    """Nibbles of a whole group of codes."""
    assert fmt.group is not None
    return _code_nibbles(fmt, fmt.group)


def pack_sq(t: SQTensor) -> NDArray[np.uint8]:
    """Returns uint8[rows, bytes per row]: the banks of each row one after the other."""
    fmt = t.format
    fields = [_nibbles(t.scale[..., None], 2)]
    if fmt.has_bitmap:
        fields.append(_bitmap_nibbles(t.bitmap))
    fields += [_nibbles(t.low, 1), _nibbles(t.high, fmt.high_bits // 4)]
    return _to_bytes(np.concatenate(fields, axis=-1).reshape(t.rows, -1))


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
    rows, banks = len(data), fmt.banks(k)
    nibbles = banks * fmt.bank_bits // 4
    record = _from_bytes(data, nibbles).reshape(rows, banks, -1)
    sizes = [2, fmt.bank // 4 if fmt.has_bitmap else 0, fmt.bank]
    scale, mask, low, high = np.split(record, np.cumsum(sizes), axis=-1)
    low_codes = _signed_nibbles(low)
    if fmt.has_bitmap:
        bitmap = _bitmap(mask)
    else:
        bitmap = (low_codes == SENTINEL) if fmt.outliers else np.zeros(low.shape, np.bool_)
    scales = _join(scale, np.uint8)[..., 0]
    return SQTensor(fmt, k, low_codes, bitmap, scales, _high_codes(high, fmt), row_scale)


def pack_dense(t: DenseTensor) -> NDArray[np.uint8]:
    """Returns uint8[rows, bytes per row]: the groups of each row one after the other."""
    fmt = t.format
    codes = _dense_code_nibbles(t)
    if t.group_scale is None:
        return _to_bytes(codes)
    # Groups of whole length, cut back at the end of the row: only the last group may be short.
    width = _group_nibbles(fmt)
    padded = np.zeros((t.rows, t.group_scale.shape[1] * width), np.uint8)
    padded[:, : codes.shape[1]] = codes
    groups = padded.reshape(t.rows, -1, width)
    record = np.concatenate([_nibbles(t.group_scale[..., None], 2), groups], axis=-1).reshape(t.rows, -1)
    return _to_bytes(record[:, : 2 * t.group_scale.shape[1] + codes.shape[1]])


def _dense_code_nibbles(t: DenseTensor) -> NDArray[np.uint8]:
    """Returns the nibbles of all codes of each row, bank by bank where there are outliers."""
    fmt = t.format
    codes = _nibbles(t.codes, fmt.bits // 4)
    if fmt.bank is None or t.bitmap is None or t.high is None:
        return codes
    low = np.zeros((t.rows, fmt.banks(t.k) * fmt.bank), np.uint8)
    low[:, : t.k] = codes
    fields = [_bitmap_nibbles(t.bitmap), low.reshape(t.bitmap.shape), _nibbles(t.high, 1)]
    return np.concatenate(fields, axis=-1).reshape(t.rows, -1)


def unpack_dense(
    data: NDArray[np.uint8], fmt: DenseFormat, k: int, row_scale: NDArray[np.float32]
) -> DenseTensor:
    """Returns the tensor that `data`, uint8[rows, bytes per row], holds.

    Raises
    ------
    TypeError, ValueError
        If `data` has another dtype or length, a group scale is above 63, a bank has more outliers than
        its capacity, an unused high nibble or padding is not zero. The message names row and rule.
    """
    check_int("K", k, 1, K_MAX)
    _check_bytes(data, len(row_scale), dense_bytes_per_row(fmt, k))
    count = _code_nibbles(fmt, k)
    nibbles = _from_bytes(data, 2 * fmt.groups(k) + count)
    group_scale = None
    if fmt.group is not None:
        width = 2 + _group_nibbles(fmt)
        padded = np.zeros((len(data), fmt.groups(k) * width), np.uint8)
        padded[:, : nibbles.shape[1]] = nibbles
        record = padded.reshape(len(data), -1, width)
        group_scale = _join(record[..., :2], np.uint8)[..., 0]
        nibbles = record[..., 2:].reshape(len(data), -1)[:, :count]
    if fmt.bank is not None:
        banks = nibbles.reshape(len(data), fmt.banks(k), -1)
        mask, low, high = np.split(banks, np.cumsum([fmt.bank // 4, fmt.bank]), axis=-1)
        codes = _signed_nibbles(low).reshape(len(data), -1)
        if codes[:, k:].any():
            row = int(np.argmax(codes[:, k:].any(axis=1)))
            raise ValueError(
                f"Row {row}, bank {fmt.banks(k) - 1}: elements from {k} on are padding and must be zero"
            )
        codes = np.ascontiguousarray(codes[:, :k])
        return DenseTensor(fmt, k, codes, group_scale, row_scale, _bitmap(mask), _signed_nibbles(high))
    codes = _signed_nibbles(nibbles) if fmt.bits == 4 else _join(nibbles, np.uint8).view(np.int8)
    return DenseTensor(fmt, k, codes, group_scale, row_scale)


def _bitmap_nibbles(bitmap: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns [..., bank / 4] nibbles from bool[..., bank]: element 0 in the low bit of the first."""
    quads = bitmap.reshape(*bitmap.shape[:-1], -1, 4)
    nibbles: NDArray[np.uint8] = (quads * np.array([1, 2, 4, 8], np.uint8)).sum(axis=-1, dtype=np.uint8)
    return nibbles


def _bitmap(nibbles: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns bool[..., bank] from [..., bank / 4] nibbles."""
    bits = ((nibbles[..., None] >> np.arange(4, dtype=np.uint8)) & 1).astype(np.bool_)
    return bits.reshape(*nibbles.shape[:-1], -1)


def _high_codes(nibbles: NDArray[np.uint8], fmt: SQFormat) -> NDArray[Any]:
    if fmt.high == "fp16":
        return _join(nibbles, np.uint16)
    return _signed_nibbles(nibbles) if fmt.in_nibbles else _join(nibbles, np.uint8).view(np.int8)


def _nibbles(codes: NDArray[Any], count: int) -> NDArray[np.uint8]:
    """Returns [..., n * count]: the `count` nibbles of each of the codes [..., n], low nibble first."""
    shifts = np.arange(0, 4 * count, 4)
    parts: NDArray[np.uint8] = ((codes[..., None].astype(np.int32) >> shifts) & 15).astype(np.uint8)
    return parts.reshape(*codes.shape[:-1], -1)


def _join(nibbles: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    """Returns the codes [..., n] of an unsigned type from their nibbles [..., n * nibbles per code]."""
    count = np.dtype(dtype).itemsize * 2
    codes = nibbles[..., ::count].astype(dtype)
    for i in range(1, count):
        codes |= nibbles[..., i::count].astype(dtype) << dtype(4 * i)
    return codes


def _signed_nibbles(nibbles: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.ascontiguousarray((nibbles ^ 8).astype(np.int8) - np.int8(8))


def _to_bytes(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if nibbles.shape[1] % 2:
        nibbles = np.pad(nibbles, ((0, 0), (0, 1)))
    return _join(nibbles, np.uint8)


def _from_bytes(data: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Returns the first `count` nibbles of each row; the one after them, if any, must be zero."""
    nibbles = np.stack([data & 15, data >> 4], axis=-1).reshape(len(data), -1)
    tail = nibbles[:, count:].any(axis=1)
    if tail.any():
        raise ValueError(f"Row {int(np.argmax(tail))}: the padding after the last element must be zero")
    return nibbles[:, :count]


def _check_bytes(data: Any, rows: int, length: int) -> None:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        kind = data.dtype if isinstance(data, np.ndarray) else type(data).__name__
        raise TypeError(f"Packed data must be an array of uint8, not {kind}")
    if data.shape != (rows, length):
        raise ValueError(f"Packed data must have shape {(rows, length)}, not {data.shape}")
