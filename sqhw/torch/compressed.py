"""compressed-tensors: a compressor called "sq", and converters of whole checkpoints, codes unchanged.

The package's format ``pack-quantized`` holds INT4 or INT8 codes with a float scale and maybe a zero point per
group. As a dense operand the codes stay as they are, scales become integers of 8 bits times a row scale (each
rounded once), and a zero point is an offset of whole codes. INT8 codes alone take up their zero point, as far
as there is room: code and zero point change by the same number.
"""

from __future__ import annotations

import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.config import CompressionFormat
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
)
from torch import Tensor, nn

from sw_reference.checkpoints.compressed_tensors import compressed_tensors
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.codes import group_scale_values
from sw_reference.format import DenseFormat
from sw_reference.pack import pack_dense
from sw_reference.tensors import DenseTensor

from ..packed.packed_file import unpacked
from .convert import FormatOrText, as_format
from .hugging_face import METHOD, SQConfig

__all__ = ["FromPackQuantized", "SQCompressor", "ToPackQuantized", "from_pack_quantized", "to_pack_quantized"]

State = dict[str, Tensor]
"""Tensors by name: those of one layer without its name, or those of a file."""

_PACK = CompressionFormat.pack_quantized.value
_PARTS = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx")
_OURS = ("weight_packed", "weight_row_scale", "weight_shape")
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
    for name in _PARTS:
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


def _ours(tensor: DenseTensor) -> State:
    """Returns what ``SQLinear`` keeps of its weights."""
    arrays = pack_dense(tensor), tensor.row_scale.view(np.int32), np.array(tensor.codes.shape)
    return {
        name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in zip(_OURS, arrays, strict=True)
    }


def _dense(state: State, fmt: DenseFormat) -> DenseTensor:
    """Returns the dense operand of what ``SQLinear`` keeps."""
    packed, row_scale, shape = (state[name].cpu().numpy() for name in _OURS)
    tensor = unpacked(fmt, int(shape[1]), packed, row_scale.view(np.float32))
    assert isinstance(tensor, DenseTensor)
    return tensor


@BaseCompressor.register(name=METHOD)
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
        return _OURS

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
        state = dict(BaseCompressor.get_value_from_registry(_PACK).compress(state_dict, scheme))
        tensor = from_pack_quantized(state, fmt)
        return {name: value for name, value in state.items() if name not in _PARTS} | _ours(tensor)

    @classmethod
    def decompress(cls, state_dict: State, scheme: QuantizationScheme) -> State:
        """Returns a layer's tensors with its weights in float32."""
        tensor = _dense(state_dict, _format_of(scheme))
        state = {name: value for name, value in state_dict.items() if name not in _OURS}
        state |= to_pack_quantized(tensor)
        return dict(BaseCompressor.get_value_from_registry(_PACK).decompress(state, scheme))


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


class FromPackQuantized:
    """From ``pack-quantized`` to a model that ``from_pretrained`` loads with layers ``SQLinear``.

    For ``compressed_tensors.entrypoints.convert.convert_checkpoint(folder, output, converter)``.

    Parameters
    ----------
    activations
        Their format, or its text.
    options
        As ``SQConfig`` takes them: mode, scale.
    """

    def __init__(self, activations: FormatOrText, **options: Any) -> None:
        self._activations, self._options = as_format(activations), options
        self._formats: dict[str, DenseFormat] = {}
        self._ignored: list[str] = []

    def process(self, tensors: State) -> State:
        """Returns the tensors of a file with the weights of layers packed anew."""
        result = dict(tensors)
        for layer, own in _layers(result, _PARTS).items():
            tensor = from_pack_quantized(own)
            self._formats[layer] = tensor.format
            result |= {f"{layer}.{name}": value for name, value in _ours(tensor).items()}
        return result

    def validate(self, tensors: State) -> State:
        """Raises ValueError unless layers have all their tensors; returns names as ``process`` does."""
        result = dict(tensors)
        for layer, own in _layers(result, _PARTS).items():
            result |= {f"{layer}.{name}": own["weight_packed"] for name in _OURS}
        return result

    def get_dependencies(self, weight_name: str) -> set[str]:
        """Returns the tensors that one needs beside it."""
        layer, _, name = weight_name.rpartition(".")
        needed = {
            "weight_packed": ("weight_scale", "weight_shape"),
            "weight_zero_point": _PARTS[:3],
            "weight_g_idx": _PARTS[:3],
        }
        return {f"{layer}.{part}" for part in needed.get(name, ())}

    def update_config(self, config: QuantizationConfig | None) -> None:
        """Notes which layers the former configuration ignores."""
        self._ignored = list(config.ignore or ()) if config is not None else []

    def update_model_config(self, model_config: dict[str, Any]) -> dict[str, Any]:
        """Returns the model's configuration with the quantization."""
        skip = [name[3:] if name.startswith("re:") else f"^{re.escape(name)}$" for name in self._ignored]
        config = SQConfig.of_formats(self._activations, self._formats, skip=skip, **self._options)
        return model_config | {"quantization_config": config.to_dict()}


class ToPackQuantized:
    """From a model with layers ``SQLinear`` and dense weights back to ``pack-quantized``.

    Parameters
    ----------
    folder
        The model, as ``save_pretrained`` or :class:`FromPackQuantized` made it.

    Raises
    ------
    ValueError
        If the folder is no such model, or its layers have several formats.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        described = json.loads((Path(folder) / "config.json").read_text())
        own = described.get("quantization_config", {})
        if own.get("quant_method") != METHOD:
            raise ValueError(
                f"{folder} must hold a model quantized by {METHOD!r}, not {own.get('quant_method')!r}"
            )
        self._config = SQConfig(**own)
        if any("weights" in layer or layer.get("smoothed") for layer in self._config.layers.values()):
            raise ValueError(f"Layers of {folder} must have one format of weights, and no divisors")
        fmt = as_format(self._config.weights)
        if not isinstance(fmt, DenseFormat):
            raise ValueError(f"Weights of {folder} must be dense, not {self._config.weights!r}")
        self._format = fmt

    def process(self, tensors: State) -> State:
        """Returns the tensors of a file with the weights of layers as ``pack-quantized`` has them."""
        result = dict(tensors)
        for layer, own in _layers(result, _OURS).items():
            packed = to_pack_quantized(_dense(own, self._format))
            result |= {f"{layer}.{name}": value for name, value in packed.items()}
        return result

    def validate(self, tensors: State) -> State:
        """Raises ValueError unless layers have all their tensors; returns names as ``process`` does."""
        result = dict(tensors)
        parts = _PARTS[: 4 if self._format.offset else 3]
        for layer, own in _layers(result, _OURS).items():
            result |= {f"{layer}.{name}": own["weight_packed"] for name in parts}
        return result

    def get_dependencies(self, weight_name: str) -> set[str]:
        """Returns the tensors that one needs beside it."""
        layer, _, name = weight_name.rpartition(".")
        return {f"{layer}.weight_row_scale"} if name == "weight_packed" else set()

    def update_config(self, config: QuantizationConfig | None) -> QuantizationConfig:
        """Returns the package's configuration."""
        fmt = self._format
        args = QuantizationArgs(
            num_bits=fmt.bits,
            symmetric=not fmt.offset,
            strategy="group" if fmt.group else "channel",
            group_size=fmt.group,
        )
        return QuantizationConfig(
            config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=args, format=_PACK)},
            format=_PACK,
            ignore=[
                f"re:.*(?:{pattern})" if pattern != "lm_head" else pattern for pattern in self._config.skip
            ],
            quantization_status=QuantizationStatus.COMPRESSED,
        )

    def update_model_config(self, model_config: dict[str, Any]) -> dict[str, Any]:
        """Returns the model's configuration as it is."""
        return model_config


def _layers(tensors: State, parts: tuple[str, ...]) -> dict[str, State]:
    """Takes the tensors of layers out of those of a file; returns them by layer.

    Raises ValueError if a layer lacks one of those that it must have.
    """
    names = [name.rpartition(".") for name in tensors]
    layers = sorted({layer for layer, _, part in names if part in parts})
    found = {}
    for layer in layers:
        own = {part: tensors.pop(f"{layer}.{part}") for part in parts if f"{layer}.{part}" in tensors}
        missing = [part for part in parts[:3] if part not in own]
        if missing:
            raise ValueError(f"{layer} must have {missing[0]}")
        found[layer] = own
    return found
