"""Command-line options for every parameter of a configuration, made from the dataclasses' fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

__all__ = ["Parameter", "options", "parameters", "selected"]

_SPELLED = {
    ("dense", "bits"): "dense_bits",
    ("dense", "outliers"): "dense_outliers",
    ("dense", "bank"): "dense_bank",
    ("dense", "scale"): "group_scale",
    ("dense", "mask"): "dense_mask",
    ("output",): "output_stage",  # --output is where files go
}
"""Fields whose option has another name."""

_BOUNDS = {
    "segment": ("bank",),
    "group": ("bank",),
    "lanes": ("bank",),
    "k_max": ("bank",),
    "elements": ("segment", "bank"),
    "outlier_lanes": ("outliers", "lanes"),
    "dense_outliers": ("dense_bank",),
    "dense_bank": ("dense_outliers",),
    "output_stages": ("axi_bits", "columns"),
    "encoder": ("segment", "bank", "axi_bits", "input"),
}
"""Parameters that set the limits of others."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a configuration.

    Parameters
    ----------
    name
        Its keyword, and with dashes its option.
    path
        Names of the fields that lead to it.
    hint
        Its type.
    text
        What it is.
    """

    name: str
    path: tuple[str, ...]
    hint: Any
    text: str

    def option(self) -> Callable[[Any], Any]:
        """The option; without it the preset's value stays."""
        hint: Any = next((a for a in get_args(self.hint) if a is not type(None)), self.hint)
        if get_origin(self.hint) is Literal:
            return click.option(self.flag, self.name, type=click.Choice(get_args(self.hint)), help=self.text)
        optional = "" if hint is self.hint else " 0 is none."
        return click.option(self.flag, self.name, type=hint, help=self.text + optional)

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def of(self, config: Any) -> Any:
        """Its value in a configuration."""
        for name in self.path:
            config = getattr(config, name)
        return config


def parameters(kind: Any) -> tuple[Parameter, ...]:
    """Every parameter of a kind of configuration, those of its parts first."""
    hints, texts = get_type_hints(kind), _texts(kind)
    found: list[Parameter] = []
    for field in fields(kind):
        hint: Any = hints[field.name]
        if is_dataclass(hint):
            for inner in parameters(hint):
                path = (field.name, *inner.path)
                name = _SPELLED.get(path, inner.name)
                text = inner.text if name == inner.name else f"Dense operand: {inner.text}"
                found.append(Parameter(name, path, inner.hint, text))
        else:
            name = _SPELLED.get((field.name,), field.name)
            found.append(Parameter(name, (field.name,), hint, texts[field.name]))
    return tuple(found)


def _texts(kind: Any) -> dict[str, str]:
    """What a docstring says about each parameter."""
    section = (inspect.getdoc(kind) or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for names, text in re.findall(r"^(\S.*)\n((?:    .*\n?)+)", section, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), re.sub(r'[`"]', "", " ".join(text.split())))
    return found


def options(kind: type) -> Callable[[Any], Any]:
    """Adds an option for every parameter of a kind of configuration; none has a default."""

    def add(command: Any) -> Any:
        for parameter in reversed(parameters(kind)):
            command = parameter.option()(command)
        return command

    return add


def selected(
    presets: Mapping[str, Any], base: str, labels: Sequence[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Configurations that options ask for, by label.

    Without parameters, the presets that are named, or all. With parameters, one configuration called
    ``custom``: a preset, in which they replace what it has. Outlier lanes that are not given are as many as
    a beat can hold outliers, so that none stalls.

    Parameters
    ----------
    presets
        Configurations of one kind.
    base
        The preset that parameters change where none is named.
    labels
        The presets that are named.
    values
        By the parameters' names; None where one is not given.

    Raises
    ------
    TypeError, ValueError
        As the configuration does; the message adds which options, and which of the preset's values, collide.
    """
    typed = {name: value for name, value in values.items() if value is not None}
    if not typed:
        return {label: presets[label] for label in labels or presets}
    if len(labels) > 1:
        raise ValueError(f"Parameters must change one preset, not {len(labels)}")
    label = labels[0] if labels else base
    known = {p.name: p for p in parameters(type(presets[label]))}
    own = {name: p.of(presets[label]) for name, p in known.items()}
    new = own | typed
    new |= {name: None for name in typed if type(None) in get_args(known[name].hint) and new[name] == 0}
    if "outlier_lanes" in known and "outlier_lanes" not in typed:
        new["outlier_lanes"] = _slots(**{name: new[name] for name in _SLOTS})
    try:
        return {"custom": _built(type(presets[label]), {p.path: new[name] for name, p in known.items()})}
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}{_collision(str(error), label, own, typed)}") from error


_SLOTS = ("bank", "segment", "outliers", "mask", "lanes")


def _slots(bank: int, segment: int | None, outliers: int, mask: str, lanes: int) -> int:
    """The most outliers of a beat; of parameters that are out of their ranges, any number."""
    segments = lanes // max(1, segment or bank) if mask == "index" else 1
    return max(0, min(outliers * segments, lanes))


def _built(kind: type, values: Mapping[tuple[str, ...], Any]) -> Any:
    """A configuration with these values by path."""
    hints = get_type_hints(kind)
    arguments = {path[0]: value for path, value in values.items() if len(path) == 1}
    for name in {path[0] for path in values if len(path) > 1}:
        inner = {path[1:]: value for path, value in values.items() if path[0] == name}
        arguments[name] = _built(hints[name], inner)
    return kind(**arguments)


def _collision(message: str, label: str, own: Mapping[str, Any], typed: Mapping[str, Any]) -> str:
    """Which values a message is about: those that were typed, and those of the preset."""
    subject = message.partition(" must")[0].lower().replace(" ", "_")
    subject = "output_stage" if subject == "output" else subject
    bounds = [
        name
        for name in _BOUNDS.get(subject, ())
        if name in own and (name in typed or re.search(rf"\b{own[name]}\b", message))
    ]
    if subject not in own or (subject in typed and not bounds):
        return ""
    given = [name for name in (subject, *bounds) if name in typed]
    flags = {name: f"--{name.replace('_', '-')}" for name in (subject, *bounds)}
    texts = [f"{flags[name]} {typed[name]}" for name in given]
    for name in flags.keys() - set(given):
        value = "none" if own[name] is None else own[name]
        texts.append(f"{flags[name]} is {value} in preset {label}")
    return f" ({', '.join(texts)})"
