"""Quantized matrices: their codes as PyTorch tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sw_reference.codes import ScaleChoice
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import LargestMagnitude, Policy
from sw_reference.quantize import quantize_dense
from sw_reference.split import dequantize
from sw_reference.tensors import DenseTensor, SQTensor

from .encode import checked, encode

__all__ = ["QuantizedTensor", "numpy_matrix", "quantize", "tensors_of"]


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A quantized matrix, its codes on the device of what it was made from.

    Parameters
    ----------
    format
        SQ or dense.
    k
        Elements of a row.
    arrays
        By name what an ``SQTensor`` or a ``DenseTensor`` of the golden model holds, same types and shapes.
    """

    format: SQFormat | DenseFormat
    k: int
    arrays: dict[str, Tensor]

    def golden(self) -> SQTensor | DenseTensor:
        """Returns the golden model's tensor, which checks every rule of the format."""
        arrays: dict[str, Any] = {name: array.cpu().numpy() for name, array in self.arrays.items()}
        if isinstance(self.format, SQFormat):
            return SQTensor(self.format, self.k, **arrays)
        return DenseTensor(self.format, self.k, **({"group_scale": None} | arrays))

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns the elements, [rows, k], rounded to `dtype`."""
        values = torch.from_numpy(dequantize(self.golden()))
        return values.to(self.arrays["row_scale"].device, dtype)


def quantize(
    x: Tensor,
    fmt: SQFormat | DenseFormat,
    policy: Policy | str = LargestMagnitude(),  # noqa: B008
    scale: ScaleChoice = "least_squares",
) -> QuantizedTensor:
    """Quantizes a matrix; the codes are those of the golden model, bit for bit.

    Parameters
    ----------
    x
        [rows, k], of a float dtype, on any device; float64 is rounded to float32 first.
    fmt
        The format. SQ is encoded on x's device, dense by the golden model on the CPU.
    policy
        Which elements are outliers: ``LargestMagnitude()``, ``Threshold(limit)``,
        ``LargestImportance(importance)``, ``GivenMask(mask)``.
    scale
        ``"absmax"`` or ``"least_squares"``; for SQ also ``"two_candidates"`` and ``"saturating"``, the rule
        of the encoder in hardware.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or x holds NaN or Inf.
    """
    if isinstance(fmt, SQFormat):
        return QuantizedTensor(fmt, x.shape[-1], encode(x, fmt, policy, scale).arrays())
    tensor = quantize_dense(numpy_matrix(x), fmt, scale, policy)
    arrays = {name: array.to(x.device) for name, array in tensors_of(tensor).items()}
    return QuantizedTensor(fmt, tensor.k, arrays)


def numpy_matrix(x: Tensor) -> Any:
    """Returns a matrix as float32[rows, k] of NumPy; refuses what ``checked`` refuses."""
    return checked(x).cpu().numpy()


def tensors_of(tensor: SQTensor | DenseTensor) -> dict[str, Tensor]:
    """Returns the arrays of a tensor of the golden model that are not None, on the CPU."""
    arrays = ((name, value) for name, value in vars(tensor).items() if name not in ("format", "k"))
    return {name: torch.from_numpy(value) for name, value in arrays if value is not None}
