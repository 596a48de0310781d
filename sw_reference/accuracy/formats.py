"""The formats of the golden model, ready for a linear layer of a language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.compensation import compensated_dense
from sw_reference.accuracy.operand import Operand
from sw_reference.accuracy.selection import Largest, Selection
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.codes import ScaleChoice
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["SQ", "Dense", "DenseSQ", "Format", "Imported", "Plain", "Stored"]


def _listed_if_set(value: Any) -> Any:
    """A parameter that is described only where it is not `value`: what is known of schemes from before it
    was one stays valid."""
    return field(default=value, metadata={"usual": value})


class Format(Protocol):
    """Quantizes the activations or the weights of a site."""

    @property
    def bits(self) -> float:
        """Stored bits per element, masks and scales of banks and groups included, row scales (32 / K) not."""

    @property
    def hardware(self) -> bool:
        """Whether a processing element takes this operand as it is, beside one that suits it."""

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand: ...


@dataclass(frozen=True)
class Plain:
    """float32, left alone."""

    bits: float = 32
    hardware: bool = False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        return Operand.from_values(x)


@dataclass(frozen=True)
class Dense:
    """The dense operand: integers with a scale per row (token) and, optionally, per group."""

    width: Literal[4, 8]
    group: int | None = None
    scale: ScaleChoice = "absmax"
    group_scale: Literal["e3m3", "linear8"] = _listed_if_set("e3m3")

    @property
    def format(self) -> DenseFormat:
        return DenseFormat(self.width, self.group, scale=self.group_scale)

    @property
    def bits(self) -> float:
        return self.format.bits_per_element

    @property
    def hardware(self) -> bool:
        return True

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        return Operand.from_tensor(quantize_dense(x, self.format, self.scale))


@dataclass(frozen=True)
class Imported:
    """Weights in the codes of their checkpoint, as a dense operand with linear group scales and offsets."""

    width: Literal[4, 8] = 4
    group: int = 32

    @property
    def format(self) -> DenseFormat:
        return DenseFormat(self.width, self.group, scale="linear8", offset=True)

    @property
    def bits(self) -> float:
        return self.format.bits_per_element

    @property
    def hardware(self) -> bool:
        return True

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        """Takes the codes of the site; ValueError if it has none, or others."""
        matrices = site.codes or ()
        if not matrices or any((m.bits, m.group) != (self.width, self.group) for m in matrices):
            found = ", ".join(f"{m.kind} in groups of {m.group}" for m in matrices) or "none"
            raise ValueError(
                f"Weights must have INT{self.width} codes in groups of {self.group}, not {found}"
            )
        tensors = [import_dense(matrix.part(slice(None)), self.format).tensor for matrix in matrices]
        return Operand.stacked([Operand.from_tensor(tensor) for tensor in tensors])


@dataclass(frozen=True)
class Stored:
    """Weights in the codes of their checkpoint, each matrix in the dense format that holds its codes.

    Parameters
    ----------
    bits
        The mean over the model's matrices.
    """

    bits: float
    hardware: bool = False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        """Takes the codes of the site; ValueError if it has none."""
        if not site.codes:
            raise ValueError("Weights must have codes to be imported, and these have none")
        tensors = [import_dense(m.part(slice(None)), dense_format(m)).tensor for m in site.codes]
        return Operand.stacked([Operand.from_tensor(tensor) for tensor in tensors])


@dataclass(frozen=True)
class DenseSQ:
    """The dense operand with outliers, for SQ x SQ: INT8 codes in nibbles, in units of the group scale; where
    asked for, with GPTQ's compensation of errors (weights)."""

    bank: int
    outliers: int
    group: int
    selection: Selection = Largest()  # noqa: RUF009
    group_scale: Literal["e3m3", "linear8"] = _listed_if_set("e3m3")
    mask: Literal["bitmap", "index"] = _listed_if_set("bitmap")
    compensate: bool = _listed_if_set(False)

    @property
    def format(self) -> DenseFormat:
        return DenseFormat(4, self.group, self.outliers, self.bank, self.group_scale, mask=self.mask)

    @property
    def bits(self) -> float:
        return self.format.bits_per_element

    @property
    def hardware(self) -> bool:
        return (self.mask, self.group_scale) in (("bitmap", "e3m3"), ("index", "linear8"))

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        policy = self.selection.policy(x, self.format.outlier_format, site)
        if self.compensate:
            bitmap = policy.mark(x, self.format.outlier_format)
            return Operand.from_tensor(compensated_dense(x, self.format, bitmap, site.inverse_hessian()))
        return Operand.from_tensor(quantize_dense(x, self.format, "least_squares", policy))


@dataclass(frozen=True)
class SQ:
    """The SQ operand. High codes are FP16 unless said otherwise, as the study began."""

    bank: int
    outliers: int
    selection: Selection = Largest()  # noqa: RUF009
    high: Literal["fp16", "int8"] = "fp16"
    mask: Literal["bitmap", "sentinel", "index"] = "bitmap"
    scale: ScaleChoice = "least_squares"
    bank_scale: str = _listed_if_set("e5m3")
    segment: int | None = _listed_if_set(None)

    @property
    def format(self) -> SQFormat:
        return SQFormat(self.bank, self.outliers, self.high, self.mask, self.bank_scale, self.segment)

    @property
    def bits(self) -> float:
        return self.format.bits_per_element

    @property
    def hardware(self) -> bool:
        return True

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        policy = self.selection.policy(x, self.format, site)
        return Operand.from_tensor(quantize_sq(x, self.format, policy, self.scale))
