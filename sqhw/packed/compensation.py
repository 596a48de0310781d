"""Dense operands whose rounding is compensated for the inputs that a matrix meets (GPTQ)."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.compensation import compensated_dense
from sw_reference.accuracy.smoothing import smoothing_factor
from sw_reference.codes import checked_matrix
from sw_reference.format import DenseFormat
from sw_reference.policy import Policy
from sw_reference.tensors import DenseTensor

from .inputs import Inputs
from .rows import Rows, parts
from .source import Source

__all__ = ["Compensation"]

_DAMPING = 0.01


class Compensation:
    """How the rows of one matrix are made.

    Parameters
    ----------
    source, name
        The matrix.
    fmt
        A format with groups.
    policy
        Which elements are outliers.
    inputs
        What is known of the inputs of the matrix.
    strength
        If given, the weights are smoothed first, with this strength.

    Members
    -------
    divisor: NDArray[np.float32] | None
        float32[k]: what columns are multiplied by, and inputs divided by. None: not smoothed.

    Raises
    ------
    ValueError
        If nothing is known of them; if smoothing meets NaN or Inf.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        fmt: DenseFormat,
        policy: Policy,
        inputs: Inputs,
        strength: float | None,
    ) -> None:
        self._source, self._name, self._fmt, self._policy = source, name, fmt, policy
        self._inputs = inputs
        inputs.check(name, source.entries[name].shape[1])
        self.divisor = None if strength is None else self._smoothing(strength)

    def rows(self, rows: slice) -> Rows:
        """Returns some rows of one part.

        Sums are of float64, whose last bits depend on how many rows are worked on at once. So all rows of a
        part are made, whichever are asked for.
        """
        shape = self._source.entries[self._name].shape
        first = next(part.start for part in parts(shape) if rows.stop <= part.stop)
        w, tensor = _part(self, first)
        only = slice(rows.start - first, rows.stop - first)
        values = ((field.name, getattr(tensor, field.name)) for field in fields(tensor))
        per_row: dict[str, Any] = {name: v[only] for name, v in values if isinstance(v, np.ndarray)}
        return Rows(w[only], replace(tensor, **per_row))

    def made(self, first: int) -> tuple[NDArray[np.float32], DenseTensor]:
        """Returns the part whose first row is `first`, before and after."""
        shape = self._source.entries[self._name].shape
        part = next(part for part in parts(shape) if part.start == first)
        w = checked_matrix(self._source.part(self._name, part), first)
        inverse = _inverse_hessian(self._inputs, self._name)
        if self.divisor is not None:
            with np.errstate(over="ignore"):
                w = checked_matrix(w * self.divisor, first)
            inverse = inverse * self.divisor * self.divisor[:, None]
        bitmap = self._policy.mark(w, self._fmt.outlier_format) if self._fmt.bank else None
        return w, compensated_dense(w, self._fmt, bitmap, inverse)

    def _smoothing(self, strength: float) -> NDArray[np.float32]:
        name = self._name
        shape = self._source.entries[name].shape
        try:
            largest = [
                np.abs(checked_matrix(self._source.part(name, part), part.start)).max(axis=0)
                for part in parts(shape)
            ]
            peak = self._inputs.peak(name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        factor = smoothing_factor(peak, np.max(largest, axis=0), strength)
        return factor.astype(np.float32)


@lru_cache(maxsize=1)
def _part(matrix: Compensation, first: int) -> tuple[NDArray[np.float32], DenseTensor]:
    """The last part of any matrix: several rows of it may be asked for."""
    return matrix.made(first)


@lru_cache(maxsize=1)
def _inverse_hessian(inputs: Inputs, name: str) -> NDArray[np.float64]:
    """Of the last matrix alone: a large model's would fill the memory."""
    hessian = inputs.hessian(name)
    damping = _DAMPING * float(np.median(np.diag(hessian)))
    inverse: NDArray[Any] = np.linalg.inv(hessian + (damping or 1) * np.eye(len(hessian)))
    return inverse
