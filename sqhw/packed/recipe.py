"""How the rows of a matrix become rows of a packed tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.checkpoints.imported import CodedMatrix
from sw_reference.codes import ScaleChoice, checked_matrix
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import format_text
from sw_reference.policy import LargestImportance, LargestMagnitude, Policy, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

from .compensation import Compensation
from .inputs import Inputs
from .rows import Rows, parts
from .source import Source
from .tensor_file import TensorFile

__all__ = ["Import", "Making", "Recipe"]


@dataclass(frozen=True)
class Making:
    """How one matrix is made: its format, the type its codes come from (None: numbers), some rows, the order
    of its columns in them, int32[k] (None: as they are), and what columns were multiplied by, float32[k]
    (None: nothing)."""

    format: SQFormat | DenseFormat
    source_type: str | None
    rows: Callable[[slice], Rows]
    order: NDArray[np.int32] | None = None
    divisor: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Recipe:
    """Matrices of numbers are quantized.

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
    inputs
        If given, what is known of the inputs of each matrix: what rounding a column leaves is moved into
        later columns, so that products with such inputs change little (GPTQ).
    smooth
        If given, above 0 and below 1: columns are multiplied by largest activation ** smooth / largest
        weight ** (1 - smooth) first, for inputs that are divided by it.
    """

    format: SQFormat | DenseFormat
    scale: ScaleChoice = "least_squares"
    threshold: float | None = None
    importance: TensorFile | None = None
    inputs: Inputs | None = None
    smooth: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            if self.importance is not None:
                raise ValueError("Threshold must come without importance")
            Threshold(self.threshold)  # checks it
        if isinstance(self.format, DenseFormat) and self.format.offset:
            raise ValueError("Offsets must come from codes of a checkpoint: --weights import")
        if not self.format.outliers and (self.threshold is not None or self.importance is not None):
            raise ValueError("Threshold and importance must come with a format that has outliers")
        if self.inputs is not None:
            if isinstance(self.format, SQFormat) or self.format.group is None:
                raise ValueError(
                    "Calibration must come with a dense format in groups, such as 'int4 g32 linear8', "
                    f"not {format_text(self.format)!r}"
                )
            if self.scale != "least_squares":
                raise ValueError(f"Scale must be 'least_squares' with calibration, not {self.scale!r}")
        if self.smooth is not None:
            if not 0 < self.smooth < 1:
                raise ValueError(f"Smoothing must be above 0 and below 1, not {self.smooth!r}")
            if self.inputs is None:
                raise ValueError("Smoothing must come with a text or activations")
            if self.threshold is not None or self.importance is not None:
                raise ValueError("Smoothing changes magnitudes: no threshold or importance may come with it")

    @property
    def described(self) -> dict[str, str | float]:
        """The recipe in words, for a file's metadata."""
        if self.threshold is not None:
            policy = f"above {self.threshold:g} times the root mean square"
        else:
            policy = "largest importance" if self.importance else "largest magnitude"
        compensated = {"compensation": "GPTQ", **self.inputs.described} if self.inputs else {}
        smoothed = {} if self.smooth is None else {"smoothing": self.smooth}
        return {"policy": policy, "scale": self.scale, **compensated, **smoothed}

    def making(self, source: Source, name: str) -> Making:
        """Returns how the matrix `name` is made; ValueError if the importance or the inputs lack it."""
        policy = self._policy(source, name)
        if self.inputs is None:
            return Making(self.format, None, partial(self._rows, source, name, policy))
        assert isinstance(self.format, DenseFormat)
        made = Compensation(source, name, self.format, policy, self.inputs, self.smooth)
        return Making(self.format, None, made.rows, divisor=made.divisor)

    def _policy(self, source: Source, name: str) -> Policy:
        if self.importance is not None:
            entry = self.importance.entries.get(name)
            k = source.entries[name].shape[1]
            if entry is None or entry.dtype != "F32" or entry.shape != (k,):
                found = "nothing" if entry is None else f"{entry.dtype} {list(entry.shape)}"
                raise ValueError(f"{self.importance.path}: {name} must be F32 [{k}], not {found}")
            return LargestImportance(self.importance.part(name, slice(None)))
        if self.threshold is not None:
            rows, k = source.entries[name].shape
            matrices = (source.part(name, rows) for rows in parts(source.entries[name].shape))
            squares = sum(float((w.astype(np.float64) ** 2).sum()) for w in matrices)
            return Threshold(self.threshold * float(np.sqrt(squares / (rows * k))))
        return LargestMagnitude()

    def _rows(self, source: Source, name: str, policy: Policy, rows: slice) -> Rows:
        w = source.part(name, rows)
        x = checked_matrix(w, rows.start)
        if isinstance(self.format, SQFormat):
            return Rows(w, quantize_sq(x, self.format, policy, self.scale))
        return Rows(w, quantize_dense(x, self.format, self.scale, policy))


@dataclass(frozen=True)
class Import:
    """Matrices in codes of another quantizer keep their codes, as dense operands.

    Parameters
    ----------
    group
        If given, groups are cut into groups of so many elements.
    """

    group: int | None = None

    def __post_init__(self) -> None:
        if self.group is not None:
            DenseFormat(4, self.group, scale="linear8")  # checks it

    @property
    def described(self) -> dict[str, str]:
        """The recipe in words, for a file's metadata."""
        return {"weights": "import"}

    def making(self, source: Source, name: str) -> Making:
        """Returns how the matrix `name` is made; ValueError if no dense operand holds its codes."""
        matrix = source.coded(name)
        if matrix is None:
            raise ValueError(f"of type {source.entries[name].dtype}, whose codes cannot be imported")
        fmt = dense_format(matrix, self.group)
        return Making(fmt, matrix.kind, partial(self._rows, matrix, fmt), matrix.order)

    def _rows(self, matrix: CodedMatrix, fmt: DenseFormat, rows: slice) -> Rows:
        weights = matrix.grouped(rows)
        made = import_dense(weights, fmt)
        return Rows(weights.values(), made.tensor, weights.expected_error(), made.requantized)
