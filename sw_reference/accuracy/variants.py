"""Study variants of the SQ format: other widths of low codes, other scales, other high codes, GPTQ.

They show what the choices of the format cost. Where the choices are the format's own (4-bit low codes, E5M3
bank scales, high codes in FP16 or INT8 ones in units of the bank scale), the values are ones that the golden
model can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.compensation import compensated
from sw_reference.accuracy.floats import E4M3, E5M2, E5M3, FP16
from sw_reference.accuracy.operand import Operand
from sw_reference.accuracy.selection import Largest, Selection, Unstructured
from sw_reference.format import SQFormat
from sw_reference.policy import to_banks

__all__ = ["Variant"]

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

High = Literal["fp16", "int8_bank", "int8_own", "int8_row", "int4_own", "e4m3", "e5m2"]
Scale = Literal["e5m3", "e8m0", "fp16"]

SEARCH = (1.0, 1.08, 0.93, 0.86, 0.79, 0.72)
"""Scales that least squares tries: factors of the one that maps the largest magnitude to the largest code."""

_HIGH_BITS = {"fp16": 16, "int4_own": 4}
_OWN_SCALE_BITS = 16
_INDEX_BITS = 16
# Of elements in row units: half of what the largest E5M3 scale and FP16 hold, room for GPTQ's corrections.
_LOW_LIMIT = 7 * E5M3.largest / 2
_HIGH_LIMIT = FP16.largest / 2


@dataclass(frozen=True)
class Variant:
    """SQ with every choice open.

    Parameters
    ----------
    bank, outliers
        As in ``SQFormat``.
    low_bits
        4, 3 or 2: symmetric codes up to 7, 3 or 1.
    scale
        Format of the bank scale: ``"e5m3"``, ``"e8m0"`` (powers of two), ``"fp16"``.
    search
        Least squares instead of the smallest scale that covers the largest magnitude.
    shared
        Elements that share one scale: None for the bank, 0 for the whole row.
    high
        High codes: ``"fp16"`` in row units; ``"int8_bank"``: integers in units of the bank scale;
        ``"int8_own"``, ``"int4_own"``: integers with an FP16 scale of their own per bank (the paper's);
        ``"int8_row"``: with one per row; ``"e4m3"``, ``"e5m2"``: floats with one per row.
    selection
        Which elements are outliers.
    compensate
        GPTQ error compensation (weights).
    mask
        ``"bitmap"``, ``"sentinel"`` (in band: no bits), or ``"static"`` (kept once for all tokens: no bits).
    """

    bank: int = 16
    outliers: int = 1
    low_bits: Literal[2, 3, 4] = 4
    scale: Scale = "e5m3"
    search: bool = True
    shared: int | None = None
    high: High = "fp16"
    selection: Selection = Largest()  # noqa: RUF009
    compensate: bool = False
    mask: Literal["bitmap", "sentinel", "static"] = "bitmap"

    def __post_init__(self) -> None:
        if self.compensate and self.shared is not None:
            raise ValueError("Shared must be None with compensation: scales are chosen bank by bank")

    @property
    def format(self) -> SQFormat:
        """The SQ format of its banks and outliers."""
        return SQFormat(self.bank, self.outliers, "fp16")

    @property
    def bits(self) -> float:
        shared = self.bank if self.shared is None else self.shared
        bits = self.low_bits + ((16 if self.scale == "fp16" else 8) / shared if shared else 0)
        if isinstance(self.selection, Unstructured):
            return bits + self.selection.share * (_HIGH_BITS["fp16"] + _INDEX_BITS)
        own = _OWN_SCALE_BITS if self.high.endswith("_own") and self.outliers else 0
        bits += (self.outliers * _HIGH_BITS.get(self.high, 8) + own) / self.bank
        return bits + (1 if self.mask == "bitmap" and self.outliers else 0)

    @property
    def hardware(self) -> bool:
        return (
            (self.low_bits, self.scale, self.shared) == (4, "e5m3", None)
            and self.high in ("fp16", "int8_bank")
            and not isinstance(self.selection, Unstructured)
        )

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        bitmap = self.selection.policy(x, self.format, site).mark(x, self.format)
        marked = bitmap.reshape(len(x), -1)[:, : x.shape[1]]
        exponent = np.maximum(
            np.frexp(np.abs(np.where(marked, 0, x)).max(axis=1) / _LOW_LIMIT)[1],
            np.frexp(np.abs(np.where(marked, x, 0)).max(axis=1) / _HIGH_LIMIT)[1],
        )
        unit = np.ldexp(1.0, exponent)[:, None]
        wide = x / unit
        row_high = np.abs(np.where(marked, wide, 0)).max(axis=1, keepdims=True)
        if self.compensate:
            values = self._compensated(wide, marked, row_high, site)
        else:
            values = self._plain(wide, marked, row_high)
        return Operand.from_values(values * unit, bitmap)

    def _plain(self, x: Float64, marked: Mask, row_high: Float64) -> Float64:
        rows, k = x.shape
        shared = self.bank if self.shared is None else self.shared or k
        low = to_banks(np.where(marked, 0, x), shared)
        bank_scale = self._scale(low)
        values = _codes(low, bank_scale, self._limit).reshape(rows, -1)[:, :k]
        high = to_banks(np.where(marked, x, 0), self.bank)
        shared_scale = bank_scale if self.shared is None else np.ones((1, 1, 1))
        values += self._high(high, shared_scale, row_high[..., None]).reshape(rows, -1)[:, :k]
        return values

    def _compensated(self, x: Float64, marked: Mask, row_high: Float64, site: Site) -> Float64:
        def start_bank(columns: slice, block: Float64) -> Callable[[int, Float64], Float64]:
            apart = marked[:, columns].T
            low = np.where(apart, 0, block).T
            bank_scale = self._scale(low)
            high_block = np.where(apart, block, 0).T
            own = np.abs(high_block).max(axis=1, keepdims=True)

            def round_column(i: int, column: Float64) -> Float64:
                coded = _codes(column, bank_scale[:, 0], self._limit)
                if not apart[i].any():
                    return coded
                high = self._high(column[:, None], bank_scale, row_high, own)[:, 0]
                return np.where(apart[i], high, coded)

            return round_column

        return compensated(x, site.inverse_hessian(), self.bank, start_bank)

    @property
    def _limit(self) -> int:
        return (1 << (self.low_bits - 1)) - 1

    def _scale(self, low: Float64) -> Float64:
        """Returns the scale of each block, [..., 1], for low [..., block]."""
        base = np.abs(low).max(axis=-1, keepdims=True) / self._limit
        best = self._covering(base)
        if not self.search:
            return best
        least = _error(low, best, self._limit)
        for factor in SEARCH[1:] if self.scale != "e8m0" else (0.5,):
            candidate = self._rounded(base * factor) if self.scale != "e8m0" else best * factor
            error = _error(low, candidate, self._limit)
            best = np.where(error < least, candidate, best)
            least = np.minimum(error, least)
        return best

    def _covering(self, base: Float64) -> Float64:
        """Returns the smallest scale of at least `base`."""
        if self.scale == "e8m0":
            fraction, exponent = np.frexp(base)
            return np.where(base > 0, np.ldexp(1.0, exponent - (fraction == 0.5)), 0)
        rounded = self._rounded(base)
        # To the next code: of 8..15 the factor leads 0.6 to 1.2 up, of 1024..2047 the other one as far.
        step = 1.08 if self.scale == "e5m3" else 1.0006
        return np.where(rounded < base, self._rounded(rounded * step), rounded)

    def _rounded(self, base: Float64) -> Float64:
        return E5M3.round(base) if self.scale == "e5m3" else FP16.round(base)

    def _high(
        self, x: Float64, bank_scale: Float64, row_high: Float64, own: Float64 | None = None
    ) -> Float64:
        """Returns the outliers [..., block] as their high codes stand for them; zeros stay zeros."""
        if self.high == "fp16":
            return FP16.round(x)
        if self.high in ("e4m3", "e5m2"):
            element = E4M3 if self.high == "e4m3" else E5M2
            scale = np.where(row_high > 0, row_high, 1) / element.largest
            return element.round(x / scale) * scale
        if self.high == "int8_bank":
            return _codes(x, bank_scale, 127)
        limit = 7 if self.high == "int4_own" else 127
        if self.high == "int8_row":
            return _codes(x, row_high / limit, limit)
        own = np.abs(x).max(axis=-1, keepdims=True) if own is None else own
        return _codes(x, FP16.round(own / limit), limit)


def _codes(x: Float64, scale: Float64, limit: int) -> Float64:
    codes: Float64 = np.clip(np.rint(x / np.where(scale > 0, scale, 1)), -limit, limit) * scale
    return codes


def _error(low: Float64, scale: Float64, limit: int) -> Float64:
    error: Float64 = np.square(_codes(low, scale, limit) - low).sum(axis=-1, keepdims=True)
    return error
