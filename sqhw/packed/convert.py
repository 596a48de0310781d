"""From a model file to a file with packed SQ tensors, in pieces that do not depend on the model's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import ScaleChoice, checked_matrix
from sw_reference.files import replacing
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.pack import pack_dense, pack_sq
from sw_reference.policy import LargestImportance, LargestMagnitude, Policy, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize
from sw_reference.tensors import DenseTensor, SQTensor

from .packed_file import KEY, Packed, PackedFile, description, packed_entries, unpacked
from .source import Source
from .tensor_file import Entry, TensorFile, TensorFileWriter

__all__ = ["Recipe", "convert"]

_ELEMENTS = 1 << 20  # worked on at once
_CHECKED = 8  # rows of a matrix that are read again
_LONGEST = 0.12345678901234567e-300  # no number takes more characters in JSON


@dataclass(frozen=True)
class Recipe:
    """How the matrices are quantized.

    Parameters
    ----------
    format
        SQ or dense.
    scale
        ``"least_squares"`` or ``"absmax"``.
    threshold
        If given, outliers are only elements above this multiple of their matrix's root mean square.
    importance
        If given, a file with one number per column for each matrix, under the matrix's name: outliers are
        the elements of largest magnitude times that.
    """

    format: SQFormat | DenseFormat
    scale: ScaleChoice = "least_squares"
    threshold: float | None = None
    importance: TensorFile | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            if self.importance is not None:
                raise ValueError("Threshold must come without importance")
            Threshold(self.threshold)  # checks it
        if not self.format.outliers and (self.threshold is not None or self.importance is not None):
            raise ValueError("Threshold and importance must come with a format that has outliers")

    @property
    def policy(self) -> str:
        """The policy in words."""
        if self.threshold is not None:
            return f"above {self.threshold:g} times the root mean square"
        return "largest importance" if self.importance else "largest magnitude"


def convert(
    source: Source,
    names: list[str],
    output: Path,
    recipe: Recipe,
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
    policies = {name: _policy(source, name, recipe) for name in names}
    shapes = {name: source.entries[name].shape for name in names}
    packed = {name: Packed(recipe.format, rows, k, _LONGEST, _LONGEST) for name, (rows, k) in shapes.items()}
    others = [] if only_packed else [name for name in source.entries if name not in packed]
    parts = [packed_entries(name, recipe.format, *shape) for name, shape in shapes.items()]
    entries: dict[str, Entry] = {}
    for part in (*parts, *({name: source.passed_on(name)} for name in others)):
        if entries.keys() & part.keys():
            raise ValueError(f"Two tensors would be called {min(entries.keys() & part.keys())}")
        entries |= part
    how = {"policy": recipe.policy, "scale": recipe.scale, **made}

    def metadata() -> dict[str, str]:
        return source.metadata | {KEY: description(packed, **how)}

    with replacing(output) as path:
        with TensorFileWriter(path, entries, metadata()) as writer:
            for name in others:
                writer.write(name, source.raw(name))
            for name, policy in policies.items():
                packed[name] = _pack(writer, source, name, policy, recipe, done)
            writer.finish(metadata())
        _check(PackedFile(path), source, policies, recipe)
    return packed


def _pack(
    writer: TensorFileWriter,
    source: Source,
    name: str,
    policy: Policy,
    recipe: Recipe,
    done: Callable[[str, int], None],
) -> Packed:
    """Writes a matrix, reads it back, and returns what the file holds."""
    rows, k = source.entries[name].shape
    error = squares = outliers = 0.0
    for start, w in _parts(source, name):
        t = _quantize(w, policy, recipe, name, start)
        data = pack_sq(t) if isinstance(t, SQTensor) else pack_dense(t)
        stored: list[NDArray[Any]] = []
        for part, content in (("packed", data), ("row_scale", t.row_scale)):
            offset = start * content[0].nbytes
            writer.write(f"{name}.{part}", content, offset)
            found = writer.read(f"{name}.{part}", content.nbytes, offset)
            stored.append(np.frombuffer(found, content.dtype).reshape(content.shape))
        t = unpacked(recipe.format, k, *stored)
        error += float(((dequantize(t) - w) ** 2).sum())
        squares += float((w.astype(np.float64) ** 2).sum())
        outliers += 0 if t.bitmap is None else int(t.bitmap.sum())
        done(name, w.size)
    return Packed(recipe.format, rows, k, error / squares if squares else 0.0, outliers / (rows * k))


def _check(file: PackedFile, source: Source, policies: Mapping[str, Policy], recipe: Recipe) -> None:
    """Raises ValueError unless sample rows of each matrix are what the source's give."""
    for name, policy in policies.items():
        rows = source.entries[name].shape[0]
        for row in sorted({i * (rows - 1) // (_CHECKED - 1) for i in range(_CHECKED)}):
            only = slice(row, row + 1)
            want = dequantize(_quantize(source.part(name, only), policy, recipe, name))
            if not np.array_equal(dequantize(file.tensor(name, only)), want):
                raise ValueError(
                    f"{name}: row {row} of the file is not the model's: a disk fails, or the model changed"
                )


def _parts(source: Source, name: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """Gives the rows of a matrix a few at a time, each with the number of its first row.

    Rows are quantized each for itself, so how many come at once does not change a bit.
    """
    rows, k = source.entries[name].shape
    step = max(1, _ELEMENTS // k)
    for start in range(0, rows, step):
        yield start, source.part(name, slice(start, min(start + step, rows)))


def _policy(source: Source, name: str, recipe: Recipe) -> Policy:
    if recipe.importance is not None:
        entry = recipe.importance.entries.get(name)
        k = source.entries[name].shape[1]
        if entry is None or entry.dtype != "F32" or entry.shape != (k,):
            found = "nothing" if entry is None else f"{entry.dtype} {list(entry.shape)}"
            raise ValueError(f"{recipe.importance.path}: {name} must be F32 [{k}], not {found}")
        return LargestImportance(recipe.importance.part(name, slice(None)))
    if recipe.threshold is not None:
        rows, k = source.entries[name].shape
        squares = sum(float((w.astype(np.float64) ** 2).sum()) for _, w in _parts(source, name))
        return Threshold(recipe.threshold * float(np.sqrt(squares / (rows * k))))
    return LargestMagnitude()


def _quantize(
    w: NDArray[Any], policy: Policy, recipe: Recipe, name: str, first_row: int = 0
) -> SQTensor | DenseTensor:
    try:
        w = checked_matrix(w, first_row)
        if isinstance(recipe.format, SQFormat):
            return quantize_sq(w, recipe.format, policy, recipe.scale)
        return quantize_dense(w, recipe.format, recipe.scale, policy)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
