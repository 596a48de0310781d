"""Converters of whole checkpoints for ``compressed_tensors.entrypoints.convert.convert_checkpoint``."""

from __future__ import annotations

import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
)

from sw_reference.format import DenseFormat

from .compressed import (
    KEPT,
    PACK,
    PARTS,
    State,
    dense_of_kept,
    from_pack_quantized,
    kept_of,
    to_pack_quantized,
)
from .hugging_face import METHOD, SQConfig
from .recipe import FormatOrText, as_format

__all__ = ["FromPackQuantized", "ToPackQuantized"]


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
        for layer, own in _layers(result, PARTS).items():
            tensor = from_pack_quantized(own)
            self._formats[layer] = tensor.format
            result |= {f"{layer}.{name}": value for name, value in kept_of(tensor).items()}
        return result

    def validate(self, tensors: State) -> State:
        """Raises ValueError unless layers have all their tensors; returns names as ``process`` does."""
        result = dict(tensors)
        for layer, own in _layers(result, PARTS).items():
            result |= {f"{layer}.{name}": own["weight_packed"] for name in KEPT}
        return result

    def get_dependencies(self, weight_name: str) -> set[str]:
        """Returns the tensors that one needs beside it."""
        layer, _, name = weight_name.rpartition(".")
        needed = {
            "weight_packed": ("weight_scale", "weight_shape"),
            "weight_zero_point": PARTS[:3],
            "weight_g_idx": PARTS[:3],
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
        for layer, own in _layers(result, KEPT).items():
            packed = to_pack_quantized(dense_of_kept(own, self._format))
            result |= {f"{layer}.{name}": value for name, value in packed.items()}
        return result

    def validate(self, tensors: State) -> State:
        """Raises ValueError unless layers have all their tensors; returns names as ``process`` does."""
        result = dict(tensors)
        parts = PARTS[: 4 if self._format.offset else 3]
        for layer, own in _layers(result, KEPT).items():
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
            config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=args, format=PACK)},
            format=PACK,
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
