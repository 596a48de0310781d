"""A linear layer as the hardware computes it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sw_reference.accuracy.operand import Operand, product
from sw_reference.checks import check_choice
from sw_reference.codes import SCALE_CHOICES, ScaleChoice
from sw_reference.format import DenseFormat, SQFormat, check_pair
from sw_reference.pack import pack_dense, pack_sq
from sw_reference.policy import LargestMagnitude, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize
from sw_reference.tensors import DenseTensor, SQTensor

from ..packed.packed_file import bytes_per_row, unpacked
from .encode import encode
from .quantized import numpy_matrix

__all__ = ["Mode", "SQLinear"]

Mode = Literal["exact", "fast"]
_MODES = ("exact", "fast")


class SQLinear(nn.Module):
    """A linear layer whose activations and weights are quantized: one of them SQ, the other dense.

    ``"exact"`` gives the float32 results of the golden model, and so of the hardware, to the last bit, on a
    CPU. Its integers are multiplied in float64: as long as the sum of the magnitudes of a row times the
    largest magnitude of the other operand, in units of their lowest bits, stays below 2**53, every partial
    sum of any order is exact. Rows beyond that bound are cut into limbs that keep it. A bias is added to
    the result in float32. ``"fast"`` multiplies the quantized values in its input's dtype, on its device.

    The weights are kept packed, as a file of ``sqhw quantize`` holds them. There is no gradient.

    Parameters
    ----------
    in_features, out_features
        Size of the input and of the output.
    activations, weights
        Their formats.
    bias
        Whether there is a bias.
    mode
        ``"exact"`` or ``"fast"``; may be set later.
    scale
        How scales of activations are chosen. None: as the encoder in hardware does, ``"saturating"``, for
        SQ and ``"absmax"`` for dense activations.
    threshold
        If given, only larger magnitudes of SQ activations are outliers.
    smoothed
        Whether the input is divided by ``divisor`` first.
    device, dtype
        Where the buffers are, and of what dtype the bias is.

    Members
    -------
    weight_packed: Tensor
        uint8[out_features, bytes per row].
    weight_row_scale: Tensor
        int32[out_features]: the bits of float32 row scales. Casting a model leaves integers alone.
    weight_shape: Tensor
        int64[2]: what a file tells others that read it.
    divisor: Tensor | None
        int32[in_features]: the bits of float32 numbers.

    Raises
    ------
    TypeError, ValueError
        If the formats are no pair of an SQ and a dense operand, or do not fit each other.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activations: SQFormat | DenseFormat,
        weights: SQFormat | DenseFormat,
        *,
        bias: bool = False,
        mode: Mode = "fast",
        scale: ScaleChoice | None = None,
        threshold: float | None = None,
        smoothed: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_formats(activations, weights)
        is_sq = isinstance(activations, SQFormat)
        scale = scale or ("saturating" if is_sq else "absmax")
        check_choice("Scale", scale, SCALE_CHOICES if is_sq else ("least_squares", "absmax"))
        if threshold is not None and not is_sq:
            raise ValueError(f"Threshold must be None with dense activations, not {threshold!r}")
        self.in_features, self.out_features = in_features, out_features
        self.activations, self.weights = activations, weights
        self.scale: ScaleChoice = scale
        self.policy = LargestMagnitude() if threshold is None else Threshold(threshold)
        self.mode = mode
        size = out_features, bytes_per_row(weights, in_features)
        packed = torch.zeros(size, dtype=torch.uint8, device=device)
        self.register_buffer("weight_packed", packed)
        ones = torch.ones(out_features, dtype=torch.float32, device=device)
        self.register_buffer("weight_row_scale", ones.view(torch.int32))
        shape = torch.tensor((out_features, in_features), device=device)
        self.register_buffer("weight_shape", shape)
        divisor = torch.ones(in_features, dtype=torch.float32, device=device).view(torch.int32)
        self.register_buffer("divisor", divisor if smoothed else None)
        zeros = torch.zeros(out_features, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if zeros is None else nn.Parameter(zeros, requires_grad=False))
        self._made: dict[Any, Any] = {}

    @classmethod
    def from_linear(
        cls,
        linear: nn.Linear,
        activations: SQFormat | DenseFormat,
        weights: SQFormat | DenseFormat | SQTensor | DenseTensor,
        *,
        divisor: Tensor | None = None,
        **options: Any,
    ) -> SQLinear:
        """Returns a layer made from another one, on its device.

        Parameters
        ----------
        linear
            The layer.
        activations
            Their format.
        weights
            Their format: the largest magnitudes are outliers, scales are of least squared error. Or the
            weights quantized already, of a checkpoint's codes or by another rule.
        divisor
            float32[in_features], if given: the input is divided by it, and the weights, unless they are
            quantized already, are multiplied by it.
        options
            As the class takes them: mode, scale, threshold.
        """
        weight = linear.weight.detach()
        if isinstance(weights, SQFormat | DenseFormat):
            scaled = weight.float() if divisor is None else weight.float() * divisor.to(weight.device)
            matrix = numpy_matrix(scaled)
            if isinstance(weights, SQFormat):
                weights = quantize_sq(matrix, weights)
            else:
                weights = quantize_dense(matrix, weights)
        options |= {"bias": linear.bias is not None, "smoothed": divisor is not None}
        layer = cls(
            weights.k,
            weights.rows,
            activations,
            weights.format,
            device=weight.device,
            dtype=weight.dtype,
            **options,
        )
        layer.set_weights(weights)
        if linear.bias is not None:
            layer.bias.data.copy_(linear.bias.detach())
        if divisor is not None:
            layer.divisor.copy_(divisor.float().view(torch.int32))
        return layer

    def set_weights(self, tensor: SQTensor | DenseTensor) -> None:
        """Takes quantized weights of the layer's format and size."""
        if (tensor.format, tensor.rows, tensor.k) != (self.weights, self.out_features, self.in_features):
            raise ValueError(
                f"Weights must be {self.out_features} x {self.in_features} of {self.weights}, "
                f"not {tensor.rows} x {tensor.k} of {tensor.format}"
            )
        packed = pack_sq(tensor) if isinstance(tensor, SQTensor) else pack_dense(tensor)
        self.weight_packed.copy_(torch.from_numpy(packed))
        self.weight_row_scale.copy_(torch.from_numpy(tensor.row_scale.view(np.int32)))
        self._made.clear()

    def golden_weights(self) -> SQTensor | DenseTensor:
        """Returns the weights as the golden model's tensor."""
        packed = self.weight_packed.cpu().numpy()
        row_scale = self.weight_row_scale.cpu().numpy().view(np.float32)
        return unpacked(self.weights, self.in_features, packed, row_scale)

    @property
    def weight(self) -> Tensor:
        """The weights as numbers: [out_features, in_features], of the bias's dtype or float32."""
        return self._values(
            torch.float32 if self.bias is None else self.bias.dtype, self.weight_packed.device
        )

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Returns the product with the weights, [..., out_features], of x's dtype.

        In the mode "exact" that is the golden model's float32 result, plus a bias, rounded to x's dtype.

        Raises
        ------
        ValueError
            If x has another size than [..., in_features], holds NaN or Inf, or is not on a CPU in the
            mode "exact".
        """
        if x.shape[-1] != self.in_features:
            raise ValueError(f"Input must have shape [..., {self.in_features}], not {tuple(x.shape)}")
        check_choice("Mode", self.mode, _MODES)
        rows = x.reshape(-1, self.in_features)
        if self.divisor is not None:
            rows = rows.float() / self.divisor.view(torch.float32)
        if not len(rows):
            return x.new_zeros((*x.shape[:-1], self.out_features))
        y = (self._exact if self.mode == "exact" else self._fast)(rows, x.dtype)
        return y.view(*x.shape[:-1], self.out_features)

    def _fast(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        if isinstance(self.activations, SQFormat):
            values = encode(rows, self.activations, self.policy, self.scale).values()
        else:
            tensor = quantize_dense(numpy_matrix(rows), self.activations, self.scale)
            values = torch.from_numpy(dequantize(tensor)).to(rows.device)
        bias = None if self.bias is None else self.bias.to(dtype)
        return nn.functional.linear(values.to(dtype), self._values(dtype, rows.device), bias)

    def _exact(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        if rows.device.type != "cpu":
            raise ValueError(f"Device must be cpu in the mode 'exact', not {rows.device}")
        if isinstance(self.activations, SQFormat):
            found = encode(rows, self.activations, self.policy, self.scale)
            units, row_scale = found.units().numpy(), found.row_scale().numpy()
            operand = Operand(units, row_scale, self.activations.unit_exponent)
        else:
            operand = Operand.from_tensor(quantize_dense(numpy_matrix(rows), self.activations, self.scale))
        if "operand" not in self._made:
            self._made["operand"] = Operand.from_tensor(self.golden_weights())
        y = torch.from_numpy(product(operand, self._made["operand"], _matmul)[0])
        return (y if self.bias is None else y + self.bias.float()).to(dtype)

    def _values(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Returns the weights as numbers; they are kept."""
        key = dtype, device
        if key not in self._made:
            self._made[key] = torch.from_numpy(dequantize(self.golden_weights())).to(device, dtype)
        values: Tensor = self._made[key]
        return values

    def _apply(self, *arguments: Any, **options: Any) -> SQLinear:
        self._made.clear()
        return super()._apply(*arguments, **options)

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        self._made.clear()
        super()._load_from_state_dict(*arguments, **options)

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}, {self.activations}, {self.weights}, mode={self.mode!r}"
        )


def _matmul(a: Any, b: Any) -> Any:
    """Multiplies NumPy's matrices in PyTorch: one library has the threads."""
    return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


def _check_formats(activations: Any, weights: Any) -> None:
    """Raises TypeError or ValueError unless one format is SQ, the other dense, and they fit each other."""
    for name, fmt in (("Activations", activations), ("Weights", weights)):
        if not isinstance(fmt, SQFormat | DenseFormat):
            raise TypeError(f"{name} must be an SQFormat or a DenseFormat, not {fmt!r}")
    if isinstance(activations, SQFormat) == isinstance(weights, SQFormat):
        both = "SQFormat" if isinstance(weights, SQFormat) else "DenseFormat"
        raise ValueError(
            f"One operand must be SQ and the other dense, not both {both}; "
            "for SQ x SQ give the DenseFormat outliers"
        )
    pair = (activations, weights) if isinstance(activations, SQFormat) else (weights, activations)
    check_pair(*pair)
