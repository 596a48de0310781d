"""Linear layers of a model replaced by quantized ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

from torch import nn

from sw_reference.accuracy.calibration import Site
from sw_reference.codes import ScaleChoice
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import parse_format
from sw_reference.tensors import DenseTensor

from .checkpoint import Checkpoint
from .linear import Mode, SQLinear
from .names import linear_names
from .statistics import compensated_weights, smoothing_divisor

__all__ = ["FormatOrText", "Recipe", "as_format", "replace_linears"]

FormatOrText = SQFormat | DenseFormat | str


def as_format(fmt: FormatOrText) -> SQFormat | DenseFormat:
    """Returns a format from itself or from its text, such as "4/32 e3m2s index"."""
    return parse_format(fmt) if isinstance(fmt, str) else fmt


def replace_linears(
    model: nn.Module, skip: Collection[str], make: Callable[[str, nn.Linear], SQLinear]
) -> dict[str, SQLinear]:
    """Replaces a model's linear layers by what `make` returns for their name and themselves, in place.

    Returns
    -------
    The new layers by name.
    """
    made = {}
    for name in linear_names(model, skip):
        parent, _, child = name.rpartition(".")
        made[name] = make(name, model.get_submodule(name))
        setattr(model.get_submodule(parent), child, made[name])
    return made


@dataclass(frozen=True)
class Recipe:
    """How layers are made: see ``sqhw.torch.convert``.

    Raises ValueError if parameters contradict each other.
    """

    activations: SQFormat | DenseFormat
    weights: SQFormat | DenseFormat | Literal["import"]
    mode: Mode = "fast"
    scale: ScaleChoice | None = None
    checkpoint: str | PathLike[str] | None = None
    calibration: Mapping[str, Site] | None = None
    smooth: bool = False
    compensate: bool = False
    percent: float | None = None

    def __post_init__(self) -> None:
        importing = self.weights == "import"
        if importing != (self.checkpoint is not None):
            raise ValueError("Checkpoint must come with weights 'import', and only with them")
        if importing and (self.smooth or self.compensate):
            raise ValueError("Smoothing and compensation must come with weights in a format, not 'import'")
        if self.compensate and not isinstance(self.weights, DenseFormat):
            raise ValueError(f"Compensation must come with dense weights, not {self.weights}")
        if self.smooth and self.percent is not None:
            raise ValueError("A percentile must come without smoothing, which changes magnitudes")
        if self.calibration is None and (self.smooth or self.compensate or self.percent is not None):
            raise ValueError("Smoothing, compensation and a percentile must come with calibration")

    def maker(self) -> Callable[[str, nn.Linear], SQLinear]:
        """Returns what makes a layer from its name and the one that it replaces."""
        checkpoint = None if self.checkpoint is None else Checkpoint(self.checkpoint)

        def make(name: str, linear: nn.Linear) -> SQLinear:
            options: dict[str, Any] = {"mode": self.mode, "scale": self.scale}
            weights: Any = self.weights
            if checkpoint is not None:
                weights = checkpoint.tensor(name, linear)
            elif self.calibration is not None:
                weights = self._calibrated(self._site(name), options)
            return SQLinear.from_linear(linear, self.activations, weights, **options)

        return make

    def _site(self, name: str) -> Site:
        if self.calibration is None or name not in self.calibration:
            raise ValueError(f"Calibration must have seen {name}")
        return self.calibration[name]

    def _calibrated(self, site: Site, options: dict[str, Any]) -> SQFormat | DenseFormat | DenseTensor:
        """Returns a layer's weights, or their format; adds what activations need to the options."""
        if self.percent is not None:
            options["threshold"] = site.percentile(self.percent)
        if self.smooth:
            options["divisor"] = smoothing_divisor(site)
        if self.compensate and isinstance(self.weights, DenseFormat):
            return compensated_weights(site, self.weights, divisor=options.get("divisor"))
        assert self.weights != "import"
        return self.weights
