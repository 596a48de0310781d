"""Models of Transformers: a configuration and a quantizer called "sq", and conversion of a loaded model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from sw_reference.accuracy.calibration import Site
from sw_reference.checks import check_choice
from sw_reference.codes import ScaleChoice
from sw_reference.notation import format_text
from sw_reference.policy import Threshold

from ..presets import preset as pe_preset
from .linear import Mode, SQLinear
from .names import SKIPPED
from .recipe import FormatOrText, Recipe, as_format, replace_linears

__all__ = ["METHOD", "SQConfig", "SQQuantizer", "convert"]

METHOD = "sq"
"""What ``config.json`` calls the quantization."""


class SQConfig(QuantizationConfigMixin):
    """How a model's linear layers are quantized, for ``from_pretrained(..., quantization_config=...)``.

    Parameters
    ----------
    preset
        A processing element whose formats are taken, such as ``"fine"``; instead of the next two.
    activations, weights
        Formats, or texts of them such as ``"4/32 e3m2s index"`` and ``"int4 g32 linear8"``: one SQ, one
        dense.
    mode, scale
        As ``SQLinear`` takes them.
    skip
        Regular expressions: layers in whose names one is found are left alone.
    layers
        By name of a layer what it has of its own: ``weights``, a format; ``threshold``; ``smoothed``.

    Raises
    ------
    TypeError, ValueError
        If neither a preset nor both formats are given, or a parameter is not as above.
    """

    def __init__(
        self,
        preset: str | None = None,
        activations: FormatOrText | None = None,
        weights: FormatOrText | None = None,
        *,
        mode: Mode = "fast",
        scale: ScaleChoice | None = None,
        skip: Collection[str] = SKIPPED,
        layers: Mapping[str, Mapping[str, Any]] | None = None,
        quant_method: str = METHOD,
    ) -> None:
        check_choice("Quantization method", quant_method, (METHOD,))
        if preset is not None:
            if activations is not None or weights is not None:
                raise ValueError("A preset must come without formats")
            pe = pe_preset(preset)
            activations, weights = pe.sq, pe.dense
        if activations is None or weights is None:
            raise ValueError("Activations and weights must be given, or a preset")
        self.quant_method = METHOD
        self.activations = format_text(as_format(activations))
        self.weights = format_text(as_format(weights))
        self.mode: Mode = mode
        self.scale: ScaleChoice | None = scale
        self.skip = list(skip)
        self.layers = {name: dict(own) for name, own in (layers or {}).items()}
        self.scale = self.layer("", 1, 1).scale  # checks them all

    def layer(self, name: str, in_features: int, out_features: int, **options: Any) -> SQLinear:
        """Returns a layer of the model, with weights of zeros."""
        own = {"weights": self.weights} | self.layers.get(name, {})
        weights = as_format(own.pop("weights"))
        options |= {"mode": self.mode, "scale": self.scale, **own}
        return SQLinear(in_features, out_features, as_format(self.activations), weights, **options)

    @classmethod
    def of_formats(
        cls,
        activations: FormatOrText,
        weights: Mapping[str, FormatOrText],
        layers: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> SQConfig:
        """Returns the configuration of layers with weights of the given formats, by name.

        `layers` is what they have of their own beside that; `options` are mode, scale and skip.
        """
        texts = {name: format_text(as_format(fmt)) for name, fmt in weights.items()}
        usual = Counter(texts.values()).most_common(1)[0][0]
        own = {name: dict(found) for name, found in (layers or {}).items()}
        for name, text in texts.items():
            if text != usual:
                own.setdefault(name, {})["weights"] = text
        return cls(None, activations, usual, layers=own, **options)

    @classmethod
    def of_layers(cls, layers: Mapping[str, SQLinear], skip: Collection[str]) -> SQConfig:
        """Returns the configuration of layers that share the format of their activations, mode and scale."""
        first = next(iter(layers.values()))
        own: dict[str, dict[str, Any]] = {}
        for name, layer in layers.items():
            found: dict[str, Any] = {}
            if isinstance(layer.policy, Threshold):
                found["threshold"] = layer.policy.limit
            if layer.divisor is not None:
                found["smoothed"] = True
            own |= {name: found} if found else {}
        formats = {name: layer.weights for name, layer in layers.items()}
        options: dict[str, Any] = {"mode": first.mode, "scale": first.scale, "skip": skip}
        return cls.of_formats(first.activations, formats, own, **options)


class SQQuantizer(HfQuantizer):
    """Quantizes the layers of a model of floats, or makes those of a saved one ready to be loaded."""

    quantization_config: SQConfig

    def _process_model_before_weight_loading(self, model: nn.Module, **options: Any) -> None:
        if not self.pre_quantized:
            return

        def make(name: str, linear: nn.Linear) -> SQLinear:
            size = linear.in_features, linear.out_features
            like = {"bias": linear.bias is not None, "dtype": linear.weight.dtype}
            return self.quantization_config.layer(name, *size, device=linear.weight.device, **like)

        replace_linears(model, self.quantization_config.skip, make)

    def _process_model_after_weight_loading(self, model: nn.Module, **options: Any) -> nn.Module:
        config = self.quantization_config
        if not self.pre_quantized:
            activations, weights = as_format(config.activations), as_format(config.weights)
            recipe = Recipe(activations, weights, mode=config.mode, scale=config.scale)
            replace_linears(model, config.skip, recipe.maker())
        return model

    def is_serializable(self) -> bool:
        """Quantized models can be saved."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Layers have no gradient."""
        return False


register_quantization_config(METHOD)(SQConfig)
register_quantizer(METHOD)(SQQuantizer)


def convert(
    model: nn.Module,
    activations: FormatOrText,
    weights: FormatOrText,
    *,
    skip: Collection[str] = SKIPPED,
    mode: Mode = "fast",
    scale: ScaleChoice | None = None,
    checkpoint: str | PathLike[str] | None = None,
    calibration: Mapping[str, Site] | None = None,
    smooth: bool = False,
    compensate: bool = False,
    percent: float | None = None,
) -> nn.Module:
    """Replaces the linear layers of a model by quantized ones, in place.

    Parameters
    ----------
    model
        The model. One of Transformers can be saved afterwards, and ``from_pretrained`` loads it.
    activations
        Their format, or its text.
    weights
        Their format, or its text: the layers' weights are quantized to it, by largest magnitudes and least
        squared error. Or ``"import"``: the codes of `checkpoint`, as they are.
    skip
        Regular expressions: layers in whose names one is found are left alone.
    mode, scale
        As ``SQLinear`` takes them.
    checkpoint
        The file or folder that the model was loaded from, with weights in codes: GGUF, GPTQ, AWQ,
        compressed-tensors.
    calibration
        Statistics by layer, from ``calibrate``, for what follows.
    smooth
        Divide inputs and multiply weights by ``smoothing_divisor``.
    compensate
        Round dense weights in groups by ``compensated_weights``.
    percent
        Outliers of activations are only magnitudes above this percentile of a layer's inputs, one of
        ``PERCENTILES``.

    Returns
    -------
    The model.

    Raises
    ------
    TypeError, ValueError
        If formats do not fit each other, an expression of `skip` matches nothing, a layer's weights are not
        in the checkpoint, or parameters contradict each other.
    """
    taken: Any = "import" if weights == "import" else as_format(weights)
    recipe = Recipe(
        as_format(activations), taken, mode, scale, checkpoint, calibration, smooth, compensate, percent
    )
    layers = replace_linears(model, skip, recipe.maker())
    if isinstance(model, PreTrainedModel):
        config = SQConfig.of_layers(layers, skip)
        model.config.quantization_config = config
        model.hf_quantizer = SQQuantizer(config, pre_quantized=True)
        model.is_quantized, model.quantization_method = True, METHOD
    return model
