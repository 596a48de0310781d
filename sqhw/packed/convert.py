"""From a model file to a file with packed SQ tensors, in pieces that do not depend on the model's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.files import replacing
from sw_reference.pack import pack_dense, pack_sq
from sw_reference.split import dequantize
from sw_reference.tensors import SQTensor

from .packed_file import KEY, Origin, Packed, PackedFile, description, packed_entries, unpacked
from .recipe import Import, Making, Recipe
from .rows import Rows, parts
from .source import Source
from .tensor_file import Entry, TensorFileWriter

__all__ = ["convert"]

_CHECKED = 8  # rows of a matrix that are read again
_LONGEST = 0.12345678901234567e-300  # no number takes more characters in JSON


def convert(
    source: Source,
    names: list[str],
    output: Path,
    recipe: Recipe | Import,
    *,
    made: Mapping[str, Any],
    done: Callable[[str, int], None],
    only_packed: bool = False,
) -> dict[str, Packed]:
    """Writes `output`: the matrices `names` packed, everything else in `source` as it is.

    Errors and shares of outliers are those of the file's bytes, read back. A sample of each matrix's rows
    is then read from the finished file and from the source again; both must give the same numbers.

    Parameters
    ----------
    made
        How the file came about, for its metadata.
    done
        Called with the name of a tensor and a number of its elements that are finished.
    only_packed
        Leave everything else out.

    Returns
    -------
    What became of each matrix.

    Raises
    ------
    ValueError
        If a matrix holds NaN or Inf, if the importance lacks one, if a tensor cannot be passed on, or if
        the file does not hold what the source gives; the message names it. No file is left.
    """
    if KEY in source.metadata:
        raise ValueError("The model holds packed tensors already: quantize what it was made from")
    makings = {name: recipe.making(source, name) for name in names}
    packed = {name: _stand_in(making, source.entries[name].shape) for name, making in makings.items()}
    others = [] if only_packed else [name for name in source.entries if name not in packed]
    made_of = [packed_entries(name, p) for name, p in packed.items()]
    entries: dict[str, Entry] = {}
    for part in (*made_of, *({name: source.passed_on(name)} for name in others)):
        if entries.keys() & part.keys():
            raise ValueError(f"Two tensors would be called {min(entries.keys() & part.keys())}")
        entries |= part
    how = {**recipe.described, **made}

    def metadata() -> dict[str, str]:
        return source.metadata | {KEY: description(packed, **how)}

    with replacing(output) as path:
        with TensorFileWriter(path, entries, metadata()) as writer:
            for name in others:
                writer.write(name, source.raw(name))
            for name, making in makings.items():
                packed[name] = _pack(writer, source.entries[name].shape, name, making, done)
            writer.finish(metadata())
        _check(PackedFile(path), source, makings)
    return packed


def _stand_in(making: Making, shape: tuple[int, ...]) -> Packed:
    """Returns a description that is at least as long as the one that the matrix will have."""
    rows, k = shape
    origin = None if making.source_type is None else Origin(making.source_type, _LONGEST, rows * k)
    return Packed(
        making.format,
        rows,
        k,
        _LONGEST,
        _LONGEST,
        origin,
        ordered=making.order is not None,
        smoothed=making.divisor is not None,
    )


def _pack(
    writer: TensorFileWriter,
    shape: tuple[int, ...],
    name: str,
    making: Making,
    done: Callable[[str, int], None],
) -> Packed:
    """Writes a matrix, reads it back, and returns what the file holds."""
    rows, k = shape
    if making.order is not None:
        writer.write(f"{name}.order", making.order.astype("<i4"))
    if making.divisor is not None:
        writer.write(f"{name}.divisor", making.divisor)
    error = squares = own = 0.0
    outliers = requantized = 0
    for part in parts(shape):
        made = _made(making, part, name)
        t = made.tensor
        data = pack_sq(t) if isinstance(t, SQTensor) else pack_dense(t)
        stored: list[NDArray[Any]] = []
        for end, content in (("packed", data), ("row_scale", t.row_scale)):
            offset = part.start * content[0].nbytes
            writer.write(f"{name}.{end}", content, offset)
            found = writer.read(f"{name}.{end}", content.nbytes, offset)
            stored.append(np.frombuffer(found, content.dtype).reshape(content.shape))
        t = unpacked(making.format, k, *stored)
        error += float(((dequantize(t) - made.w) ** 2).sum())
        squares += float((made.w.astype(np.float64) ** 2).sum())
        own += made.own_error
        requantized += made.requantized
        outliers += 0 if t.bitmap is None else int(t.bitmap.sum())
        done(name, made.w.size)
    share = 1 / squares if squares else 0.0
    origin = None if making.source_type is None else Origin(making.source_type, own * share, requantized)
    return replace(
        _stand_in(making, shape),
        relative_error=error * share,
        outlier_share=outliers / (rows * k),
        origin=origin,
    )


def _check(file: PackedFile, source: Source, makings: Mapping[str, Making]) -> None:
    """Raises ValueError unless sample rows of each matrix are what the source's give."""
    for name, making in makings.items():
        rows = source.entries[name].shape[0]
        if _columns(file.order(name)) != _columns(making.order):
            raise ValueError(f"{name}: the order of columns in the file is not the model's")
        if _columns(file.divisor(name)) != _columns(making.divisor):
            raise ValueError(f"{name}: the divisor in the file is not the one that was written")
        for row in sorted({i * (rows - 1) // (_CHECKED - 1) for i in range(_CHECKED)}):
            only = slice(row, row + 1)
            want = dequantize(_made(making, only, name).tensor)
            if not np.array_equal(dequantize(file.tensor(name, only)), want):
                raise ValueError(
                    f"{name}: row {row} of the file is not the model's: a disk fails, or the model changed"
                )


def _columns(numbers: NDArray[Any] | None) -> list[Any] | None:
    return None if numbers is None else numbers.tolist()


def _made(making: Making, rows: slice, name: str) -> Rows:
    try:
        return making.rows(rows)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
