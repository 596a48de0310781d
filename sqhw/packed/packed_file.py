"""Packed SQ tensors in a safetensors file: what is stored under which name, and reading it back.

A tensor NAME of [rows, k] becomes NAME.packed, uint8[rows, bytes per row] as ``sw_reference.pack`` lays it
out, and NAME.row_scale, float32[rows]. Where columns are in another order than the model's, NAME.order,
int32[k], says which they are. Where weights are smoothed, NAME.divisor, float32[k], says what inputs are
divided by. The metadata's entry ``sqhw`` describes them all, in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import DenseFormat, SQFormat, as_parameters
from sw_reference.pack import dense_bytes_per_row, sq_bytes_per_row, unpack_dense, unpack_sq
from sw_reference.tensors import DenseTensor, SQTensor

from .tensor_file import Entry, TensorFile

__all__ = ["KEY", "Origin", "Packed", "PackedFile", "bytes_per_row", "packed_entries", "unpacked"]

KEY = "sqhw"
"""The metadata's entry that describes the packed tensors."""
_VERSION = 1
_FORMATS: dict[str, Any] = {"sq": SQFormat, "dense": DenseFormat}


@dataclass(frozen=True)
class Origin:
    """Where imported codes come from.

    Parameters
    ----------
    type
        The other quantizer's name of its type.
    relative_error
        The error of its own that it is expected to have, counted like that of :class:`Packed`: a twelfth of a
        squared step per element.
    requantized
        Groups that were quantized anew, because no offset comes near their bias.
    """

    type: str
    relative_error: float
    requantized: int


@dataclass(frozen=True)
class Packed:
    """What a file says of a packed tensor.

    Parameters
    ----------
    format
        Its format, which also says which operand of a product it is.
    rows, k
        Its shape before packing.
    relative_error
        Sum of the squared errors of its elements, over the sum of their squares before quantization; of
        smoothed weights, after smoothing.
    outlier_share
        The share of elements that are outliers.
    origin
        Where the codes come from; None: they were made of numbers.
    ordered
        Whether the file says in which order the columns are.
    smoothed
        Whether columns were multiplied by what the file says that inputs are divided by.
    """

    format: SQFormat | DenseFormat
    rows: int
    k: int
    relative_error: float
    outlier_share: float
    origin: Origin | None = None
    ordered: bool = False
    smoothed: bool = False

    @property
    def unlisted(self) -> frozenset[str]:
        """The parameters that ``as_parameters`` leaves out."""
        usual = {
            "origin": self.origin is None,
            "ordered": not self.ordered,
            "smoothed": not self.smoothed,
        }
        return frozenset(name for name, is_usual in usual.items() if is_usual)

    @property
    def operand(self) -> str:
        return "sq" if isinstance(self.format, SQFormat) else "dense"

    @property
    def bits_per_element(self) -> float:
        """All that is stored of a row, its scale and padding included."""
        return 8 * (bytes_per_row(self.format, self.k) + 4) / self.k


def bytes_per_row(fmt: SQFormat | DenseFormat, k: int) -> int:
    """Bytes of a packed row of k elements, its row scale not included."""
    return sq_bytes_per_row(fmt, k) if isinstance(fmt, SQFormat) else dense_bytes_per_row(fmt, k)


def packed_entries(name: str, packed: Packed) -> dict[str, Entry]:
    """Returns the tensors of a file that hold the tensor `name`."""
    rows, k = packed.rows, packed.k
    width = bytes_per_row(packed.format, k)
    columns = {"order": Entry("I32", (k,), 4 * k)} if packed.ordered else {}
    columns |= {"divisor": Entry("F32", (k,), 4 * k)} if packed.smoothed else {}
    return {f"{name}.{end}": entry for end, entry in columns.items()} | {
        f"{name}.packed": Entry("U8", (rows, width), rows * width),
        f"{name}.row_scale": Entry("F32", (rows,), 4 * rows),
    }


def unpacked(
    fmt: SQFormat | DenseFormat, k: int, data: NDArray[np.uint8], row_scale: NDArray[np.float32]
) -> SQTensor | DenseTensor:
    """Returns the tensor of packed rows; ValueError names what breaks a rule of the format."""
    if isinstance(fmt, SQFormat):
        return unpack_sq(data, fmt, k, row_scale)
    return unpack_dense(data, fmt, k, row_scale)


def description(packed: Mapping[str, Packed], **more: Any) -> str:
    """Returns the metadata's entry KEY: the packed tensors by name, and how they were made."""
    tensors = {name: {"operand": t.operand, **as_parameters(t)} for name, t in packed.items()}
    return json.dumps({"version": _VERSION, **more, "tensors": tensors})


class PackedFile:
    """A file with packed tensors, opened for reading.

    Members
    -------
    packed: dict[str, Packed]
        The packed tensors by name.
    others: dict[str, Entry]
        The other tensors.
    made: dict[str, Any]
        How the packed tensors were made: command, source, policy, scale.

    Raises
    ------
    ValueError
        If the file is not safetensors, is cut short, holds no packed tensors, or its description is damaged.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.file = TensorFile(path)
        if KEY not in self.file.metadata:
            raise ValueError(f"{path} holds no packed tensors: its metadata has no entry {KEY}")
        try:
            self.made: dict[str, Any] = json.loads(self.file.metadata[KEY])
            json.dumps(self.made, allow_nan=False)  # JSON knows neither NaN nor Inf
            version, tensors = self.made.pop("version"), self.made.pop("tensors")
            if version != _VERSION:
                raise ValueError(f"Version must be {_VERSION}, not {version!r}")
            self.packed = {name: self._described(name, dict(fields)) for name, fields in tensors.items()}
        except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: the description of its packed tensors is damaged: {error}") from error
        used = {part for name, packed in self.packed.items() for part in packed_entries(name, packed)}
        self.others = {name: entry for name, entry in self.file.entries.items() if name not in used}

    def _described(self, name: str, fields: dict[str, Any]) -> Packed:
        fmt = _FORMATS[fields.pop("operand")](**fields.pop("format"))
        origin = fields.pop("origin", None)
        packed = Packed(fmt, **fields, origin=None if origin is None else Origin(**origin))
        numbers: list[tuple[Packed | Origin, str]] = [(packed, "relative_error"), (packed, "outlier_share")]
        numbers += [] if packed.origin is None else [(packed.origin, "relative_error")]
        for described, field in numbers:
            value = getattr(described, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{field} must be a number, not {value!r}")
        for field in ("ordered", "smoothed"):
            flag = getattr(packed, field)
            if not isinstance(flag, bool):
                raise TypeError(f"{field} must be true or false, not {flag!r}")
        for part, entry in packed_entries(name, packed).items():
            found = self.file.entries.get(part)
            if found != entry:
                raise ValueError(f"{part} must be {entry}, not {found}")
        return packed

    def order(self, name: str) -> NDArray[np.int32] | None:
        """Returns which of the model's columns each element of a packed row is, int32[k]; None where they are
        in order. Inputs x [tokens, k] are multiplied as ``x[:, order]``.

        Raises ValueError if a column is missing.
        """
        packed = self.packed[name]
        if not packed.ordered:
            return None
        order: NDArray[np.int32] = self.file.raw(f"{name}.order").view("<i4")
        if not np.array_equal(np.sort(order), np.arange(packed.k)):
            raise ValueError(f"{self.file.path}: {name}: order must hold each of {packed.k} columns once")
        return order

    def divisor(self, name: str) -> NDArray[np.float32] | None:
        """Returns what inputs of each of the model's columns are divided by, float32[k]; None: by nothing.

        Inputs x [tokens, k] are multiplied as ``x / divisor``, in :meth:`order` after that.

        Raises ValueError if a number is not positive and finite.
        """
        packed = self.packed[name]
        if not packed.smoothed:
            return None
        divisor: NDArray[np.float32] = self.file.part(f"{name}.divisor", slice(None))
        wrong = np.flatnonzero(~((divisor > 0) & (divisor < np.inf)))
        if wrong.size:
            column = int(wrong[0])
            raise ValueError(
                f"{self.file.path}: {name}: divisor must be positive and finite, "
                f"not {divisor[column]} in column {column}"
            )
        return divisor

    def tensor(self, name: str, rows: slice = slice(None)) -> SQTensor | DenseTensor:
        """Returns a packed tensor, or some of its rows; ValueError names what breaks a rule of the format."""
        packed = self.packed[name]
        data, row_scale = (self.file.part(f"{name}.{part}", rows) for part in ("packed", "row_scale"))
        try:
            return unpacked(packed.format, packed.k, data, row_scale)
        except ValueError as error:
            raise ValueError(f"{self.file.path}: {name}: {error}") from error
