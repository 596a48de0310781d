"""The two operands as stored: codes, masks and scales in NumPy arrays, checked when they are made.

The rules checked here are the whole of what a legal tensor is; ``docs/format.md`` lists them, and
unpacking (``sw_reference.pack``) relies on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_int, plain_numbers
from sw_reference.format import NIBBLE_MIN, SENTINEL, DenseFormat, SQFormat
from sw_reference.masks import named_elements, outlier_counts

__all__ = ["K_MAX", "DenseTensor", "SQTensor"]

K_MAX = 1 << 30
"""The longest row of a tensor, in elements."""

_TINY = np.finfo(np.float32).tiny
_NIBBLES = "must be from -8 to 7"


@dataclass(frozen=True, eq=False)
class SQTensor:
    """An SQ operand of `rows` x `k` elements, each row padded with zeros to whole banks.

    Parameters
    ----------
    format
        The format of the operand.
    k
        Elements of a row before padding.
    low
        int8[rows, banks, bank]: low codes as stored, -8..7. At outliers: -8 with the sentinel mask, 0 with
        FP16 high codes and a bitmap, the low nibble with INT8 in nibbles. Elsewhere -8 needs a narrow
        scale and another mask than the sentinel.
    bitmap
        bool[rows, banks, bank]: True marks an outlier, whatever the mask. With the mask "index" those are
        the elements that a slot names whose high nibble is not zero.
    scale
        uint8[rows, banks]: bank scales, legal codes of ``format.bank_scale``, a sign included.
    high
        [rows, banks, slots]: high codes, the slots of the first segment first. uint16: FP16 bit patterns,
        finite. int8: high nibbles (-8..7, in nibbles) or whole codes (sentinel). But for the mask "index",
        those of a segment are in order of element index and unused slots are zero.
    row_scale
        float32[rows]: positive, normal and finite.
    index
        uint8[rows, banks, slots], with the mask "index", else None: the position in its segment of the
        element that a slot names, at most segment - 1. Several slots may name one element: their high
        nibbles add.

    Raises
    ------
    TypeError, ValueError
        If an array's dtype, shape or content is not as above; the message names row, bank and rule.
    """

    format: SQFormat
    k: int
    low: NDArray[np.int8]
    bitmap: NDArray[np.bool_]
    scale: NDArray[np.uint8]
    high: NDArray[np.uint16] | NDArray[np.int8]
    row_scale: NDArray[np.float32]
    index: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        fmt = self.format
        plain_numbers(self)
        check_int("K", self.k, 1, K_MAX)
        shape = (len(self.row_scale), fmt.banks(self.k), fmt.bank)
        _check_array("Low codes", self.low, np.int8, shape)
        _check_array("Bitmap", self.bitmap, np.bool_, shape)
        _check_array("Bank scales", self.scale, np.uint8, shape[:2])
        high_type = np.uint16 if fmt.high == "fp16" else np.int8
        _check_array("High codes", self.high, high_type, (*shape[:2], fmt.slots))
        _check_row_scale(self.row_scale)
        _refuse((self.low < NIBBLE_MIN) | (self.low > 7), f"a low code {_NIBBLES}")
        self._check_scale()
        if fmt.in_nibbles:
            _refuse((self.high < NIBBLE_MIN) | (self.high > 7), f"a high nibble {_NIBBLES}")
        if fmt.has_index:
            _check_index(fmt, self.index, self.high.view(np.int8), self.bitmap)
        else:
            _check_no_index(self.index)
            self._check_mask()
        end = fmt.bank - -self.k % fmt.bank
        _refuse(
            (self.low[:, -1:, end:] != 0) | self.bitmap[:, -1:, end:],
            f"elements from {self.k} on are padding and must be zero",
            first_bank=shape[1] - 1,
        )

    def _check_scale(self) -> None:
        shape = self.format.bank_scale
        if shape.is_e5m3:
            legal = np.isin(np.arange(256), shape.legal)
            _refuse(~legal[self.scale], "the bank scale must be a legal code, not a reserved one")
        elif shape.bits < 8:
            largest = (1 << shape.bits) - 1
            _refuse(self.scale > largest, f"the bank scale must be a code from 0 to {largest}")

    def _check_mask(self) -> None:
        """Rules of the bitmap and the sentinel."""
        fmt = self.format
        segments = (*self.bitmap.shape[:2], fmt.segments)
        _check_slots(self.bitmap.reshape(*segments, -1), self.high.reshape(*segments, fmt.outliers), "codes")
        if fmt.mask == "sentinel":
            _refuse((self.low == SENTINEL) != self.bitmap, "the low code is -8 at outliers and nowhere else")
        elif fmt.low_min > NIBBLE_MIN:
            _refuse((self.low == -8) & ~self.bitmap, "the low code of a regular element must not be -8")
        if fmt.high == "fp16":
            _refuse((self.high & 0x7C00) == 0x7C00, "an FP16 high code must be finite, not NaN or Inf")
            if fmt.mask == "bitmap":
                _refuse((self.low != 0) & self.bitmap, "the low code of an FP16 outlier must be 0")

    @property
    def rows(self) -> int:
        return len(self.row_scale)

    @property
    def banks(self) -> int:
        return self.format.banks(self.k)


@dataclass(frozen=True, eq=False)
class DenseTensor:
    """A dense operand of `rows` x `k` integers with a scale per row and, optionally, per group.

    Parameters
    ----------
    format
        The format of the operand.
    k
        Elements of a row.
    codes
        int8[rows, k]: -8..7 (INT4) or -128..127 (INT8). At outliers: the low nibble, -8..7.
    group_scale
        uint8[rows, groups]: group scales, codes 0..63 of e3m3 or integers 0..255; None without groups.
    row_scale
        float32[rows]: positive, normal and finite.
    bitmap
        bool[rows, banks, bank]: True marks an outlier, padding is False; None without outliers.
    high
        int8[rows, banks, outliers]: high nibbles (-8..7); with a bitmap in order of element index, unused
        slots zero; None without outliers.
    index
        uint8[rows, banks, outliers], with the mask "index", else None: as in :class:`SQTensor`.
    offset
        int8[rows, groups]: group offsets in sixteenths of a code; None in a format without them.

    Raises
    ------
    TypeError, ValueError
        If an array's dtype, shape or content is not as above; the message names row and rule.
    """

    format: DenseFormat
    k: int
    codes: NDArray[np.int8]
    group_scale: NDArray[np.uint8] | None
    row_scale: NDArray[np.float32]
    bitmap: NDArray[np.bool_] | None = None
    high: NDArray[np.int8] | None = None
    index: NDArray[np.uint8] | None = None
    offset: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        fmt = self.format
        plain_numbers(self)
        check_int("K", self.k, 1, K_MAX)
        _check_array("Dense codes", self.codes, np.int8, (len(self.row_scale), self.k))
        _check_row_scale(self.row_scale)
        outside = (self.codes < fmt.code_min) | (self.codes > fmt.code_max)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise ValueError(
                f"Row {row}, column {column}: the dense code must be from {fmt.code_min} to "
                f"{fmt.code_max}, not {self.codes[row, column]}"
            )
        self._check_group_scale()
        if fmt.offset:
            _check_array("Group offsets", self.offset, np.int8, (self.rows, fmt.groups(self.k)))
        elif self.offset is not None:
            raise ValueError("Group offsets must be None in a format without them")
        self._check_outliers()

    def _check_group_scale(self) -> None:
        fmt = self.format
        if fmt.group is None:
            if self.group_scale is not None:
                raise ValueError("Group scales must be None in a format without groups")
            return
        _check_array("Group scales", self.group_scale, np.uint8, (self.rows, fmt.groups(self.k)))
        assert self.group_scale is not None
        largest = (1 << fmt.group_scale_bits) - 1
        wide = self.group_scale > largest
        if wide.any():
            row, group = np.argwhere(wide)[0]
            raise ValueError(
                f"Row {row}, group {group}: the group scale must be a code from 0 to "
                f"{largest}, not {self.group_scale[row, group]}"
            )

    def _check_outliers(self) -> None:
        fmt = self.format
        if fmt.bank is None:
            if self.bitmap is not None or self.high is not None:
                raise ValueError("Bitmap and high nibbles must be None in a format without outliers")
            _check_no_index(self.index)
            return
        shape = (self.rows, fmt.banks(self.k))
        _check_array("Bitmap", self.bitmap, np.bool_, (*shape, fmt.bank))
        _check_array("High nibbles", self.high, np.int8, (*shape, fmt.outliers))
        assert self.bitmap is not None
        assert self.high is not None
        _refuse((self.high < NIBBLE_MIN) | (self.high > 7), f"a high nibble {_NIBBLES}")
        if fmt.has_index:
            _check_index(fmt.outlier_format, self.index, self.high, self.bitmap)
        else:
            _check_no_index(self.index)
            _check_slots(self.bitmap, self.high, "nibbles")
        outside = self.bitmap[:, -1:, fmt.bank - -self.k % fmt.bank :]
        rule = f"elements from {self.k} on are padding and must be zero"
        _refuse(outside, rule, first_bank=shape[1] - 1)

    @property
    def rows(self) -> int:
        return len(self.row_scale)


def _check_slots(bitmap: NDArray[np.bool_], high: NDArray[Any], what: str) -> None:
    """Refuses segments (or banks) with too many outliers, and slots that are used beyond those."""
    outliers = high.shape[-1]
    counts = outlier_counts(bitmap)
    _refuse(counts > outliers, f"at most {outliers} elements may be outliers")
    unused = np.arange(outliers) >= counts[..., None]
    _refuse((high != 0) & unused, f"unused high {what} must be zero")


def _check_index(fmt: SQFormat, index: Any, high: NDArray[np.int8], bitmap: NDArray[np.bool_]) -> None:
    """Refuses positions out of their segment, and a bitmap that is not theirs."""
    _check_array("Positions", index, np.uint8, high.shape)
    _refuse(index >= fmt.segment_size, f"a position must be at most {fmt.segment_size - 1}")
    rule = "the bitmap must mark the elements that slots name, and no others"
    _refuse(bitmap != named_elements(fmt, index, high), rule)


def _check_no_index(index: Any) -> None:
    if index is not None:
        raise ValueError("Positions must be None without the mask 'index'")


def _check_array(name: str, array: Any, dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, not {kind}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")


def _check_row_scale(scale: Any) -> None:
    _check_array("Row scales", scale, np.float32, (len(scale),))
    if not len(scale):
        raise ValueError("A tensor must have at least one row, not 0")
    bad = ~((scale >= _TINY) & np.isfinite(scale))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"Row {row}: the row scale must be positive, normal and finite, not {scale[row]}")


def _refuse(bad: NDArray[np.bool_], rule: str, *, first_bank: int = 0) -> None:
    """Raises ValueError naming the first row and bank in which `bad` [rows, banks, ...] is True."""
    if bad.any():
        row, bank = (int(i) for i in np.argwhere(bad)[0][:2])
        raise ValueError(f"Row {row}, bank {bank + first_bank}: {rule}")
