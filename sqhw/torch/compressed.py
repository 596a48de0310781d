"""compressed-tensors: its layers as dense operands and back, codes unchanged; a compressor called "sq".

The package's format ``pack-quantized`` holds INT4 or INT8 codes with a float scale and maybe a zero point per
group. As a dense operand the codes stay as they are, scales become integers of 8 bits times a row scale (each
rounded once), and a zero point is an offset of whole codes. INT8 codes alone take up their zero point, as far
as there is room: code and zero point change by the same number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.config import CompressionFormat
from compressed_tensors.quantization import QuantizationScheme
from torch import Tensor, nn

from sw_reference.checkpoints.compressed_tensors import compressed_tensors
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.codes import group_scale_values
from sw_reference.format import DenseFormat
from sw_reference.pack import pack_dense
from sw_reference.tensors import DenseTensor

from ..packed.packed_file import unpacked
from .hugging_face import METHOD

__all__ = [
    "KEPT",
    "PACK",
    "PARTS",
    "SQCompressor",
    "State",
    "dense_of_kept",
    "from_pack_quantized",
    "kept_of",
    "to_pack_quantized",
]

State = dict[str, Tensor]
"""Tensors by name: those of one layer without its name, or those of a file."""

PACK = CompressionFormat.pack_quantized.value
"""The package's name of the format."""
PARTS = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx")
"""What that format has of a layer; the last two may be missing."""
KEPT = ("weight_packed", "weight_row_scale", "weight_shape")
"""What ``SQLinear`` keeps."""
_STEPS = 16  # of an offset per code


def from_pack_quantized(state: State, fmt: DenseFormat | None = None) -> DenseTensor:
    """Returns the weights of a layer as a dense operand.

    Parameters
    ----------
    state
        What ``pack-quantized`` has of the layer: ``weight_packed``, ``weight_scale``, ``weight_shape`` and
        maybe ``weight_zero_point``.
    fmt
        The format; by default the one that holds the layer's codes.

    Raises
    ------
    ValueError
        If the tensors contradict each other, or have other than 4 or 8 bits.
    """
    found: dict[str, Any] = {}
    for name in PARTS:
        if name in state:
            tensor = state[name].cpu()
            found[name] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    matrix = compressed_tensors(**found)
    return import_dense(matrix.part(slice(None)), fmt or dense_format(matrix)).tensor


def to_pack_quantized(tensor: DenseTensor) -> State:
    """Returns a dense operand as ``pack-quantized`` has it, scales in float32.

    Raises
    ------
    ValueError
        If the operand has outliers or other group scales than linear ones, or an offset is no whole number of
        codes that a zero point can be.
    """
    fmt = tensor.format
    if fmt.outliers or (fmt.group and fmt.scale != "linear8"):
        raise ValueError(f"Format must have no outliers and linear group scales, not be {fmt}")
    scale = tensor.row_scale[:, None]
    if tensor.group_scale is not None:
        scale = (scale * group_scale_values(fmt, tensor.group_scale)).astype(np.float32)
    state = {
        "weight_packed": pack_to_int32(torch.from_numpy(tensor.codes), fmt.bits),
        "weight_scale": torch.from_numpy(scale),
        "weight_shape": torch.tensor(tensor.codes.shape),
    }
    if tensor.offset is not None:
        zero, rest = np.divmod(-tensor.offset.astype(np.int16), _STEPS)
        bad = (rest != 0) | (zero < fmt.code_min) | (zero > fmt.code_max)
        if bad.any():
            row, group = (int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"Row {row}, group {group}: the offset must be whole codes from {-fmt.code_max} to "
                f"{-fmt.code_min}, not {tensor.offset[row, group] / _STEPS}"
            )
        state["weight_zero_point"] = pack_to_int32(
            torch.from_numpy(zero.astype(np.int8)), fmt.bits, packed_dim=0
        )
    return state


def kept_of(tensor: DenseTensor) -> State:
    """Returns what ``SQLinear`` keeps of its weights."""
    arrays = pack_dense(tensor), tensor.row_scale.view(np.int32), np.array(tensor.codes.shape)
    return {
        name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in zip(KEPT, arrays, strict=True)
    }


def dense_of_kept(state: State, fmt: DenseFormat) -> DenseTensor:
    """Returns the dense operand of what ``SQLinear`` keeps."""
    packed, row_scale, shape = (state[name].cpu().numpy() for name in KEPT)
    tensor = unpacked(fmt, int(shape[1]), packed, row_scale.view(np.float32))
    assert isinstance(tensor, DenseTensor)
    return tensor


class SQCompressor(BaseCompressor):
    """Weights as the hardware's dense operand reads them: ``BaseCompressor.get_value_from_registry("sq")``.

    It takes schemes of INT4 or symmetric INT8 weights in groups, or symmetric ones with a scale per row. A
    layer has ``weight_packed``, ``weight_row_scale`` and ``weight_shape``, as in ``SQLinear``. Codes are
    those of the package's own ``pack-quantized``. Look it up by name: a scheme's ``format`` takes no other
    names than the package's own.
    """

    @classmethod
    def compression_param_names(cls, scheme: QuantizationScheme) -> tuple[str, ...]:
        """Returns the names of the tensors of a layer's weights."""
        return KEPT

    @classmethod
    def can_compress(cls, module_type: type, scheme: QuantizationScheme) -> bool:
        """Whether a scheme is one that a dense operand holds."""
        try:
            _format_of(scheme)
        except ValueError:
            return False
        return issubclass(module_type, nn.Linear)

    @classmethod
    def compress(cls, state_dict: State, scheme: QuantizationScheme) -> State:
        """Returns a layer's tensors with its weights packed; ValueError if the scheme is no dense operand."""
        fmt = _format_of(scheme)
        state = dict(BaseCompressor.get_value_from_registry(PACK).compress(state_dict, scheme))
        tensor = from_pack_quantized(state, fmt)
        return {name: value for name, value in state.items() if name not in PARTS} | kept_of(tensor)

    @classmethod
    def decompress(cls, state_dict: State, scheme: QuantizationScheme) -> State:
        """Returns a layer's tensors with its weights in float32."""
        tensor = dense_of_kept(state_dict, _format_of(scheme))
        state = {name: value for name, value in state_dict.items() if name not in KEPT}
        state |= to_pack_quantized(tensor)
        return dict(BaseCompressor.get_value_from_registry(PACK).decompress(state, scheme))


BaseCompressor.register_value(SQCompressor, name=METHOD)


def _format_of(scheme: QuantizationScheme) -> DenseFormat:
    """Returns the dense format of a scheme's weights; ValueError if there is none."""
    args = scheme.weights
    if args is None or args.type != "int" or args.num_bits not in (4, 8):
        raise ValueError(f"Weights must be integers of 4 or 8 bits, not {args}")
    if args.num_bits == 8 and not args.symmetric:
        raise ValueError("Weights of 8 bits must be symmetric: an offset has no room for their zero points")
    if args.strategy == "group":
        return DenseFormat(args.num_bits, args.group_size, scale="linear8", offset=not args.symmetric)
    if args.strategy == "channel" and args.symmetric:
        return DenseFormat(args.num_bits)
    raise ValueError(f"Weights must be in groups, or symmetric with a scale per row, not {args}")
