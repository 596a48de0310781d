"""Command-line options for the parameters of a processing element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from .config import PRESETS, PEConfig, preset

__all__ = ["pe_options", "selected"]

# Keyword of the command → the dataclass that has it and its name there.
_PARAMETERS: dict[str, tuple[str, str]] = {
    "bank": ("sq", "bank"),
    "outliers": ("sq", "outliers"),
    "high": ("sq", "high"),
    "mask": ("sq", "mask"),
    "dense_bits": ("dense", "bits"),
    "group": ("dense", "group"),
    "dense_outliers": ("dense", "outliers"),
    "dense_bank": ("dense", "bank"),
    "lanes": ("pe", "lanes"),
    "outlier_lanes": ("pe", "outlier_lanes"),
    "k_max": ("pe", "k_max"),
    "gated": ("pe", "gated"),
    "output_stage": ("pe", "output"),
    "pipeline": ("pe", "pipeline"),
}


def pe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--preset`` and an option for each parameter; the command hands them to :func:`selected`."""
    options = [
        click.option("--preset", "label", metavar="NAME", help=f"Start from: {', '.join(PRESETS)}."),
        click.option("--bank", type=int, help="Elements per bank."),
        click.option("--outliers", type=int, help="Outlier capacity of a bank."),
        click.option("--high", help="High codes: fp16 or int8."),
        click.option("--mask", help="Outlier mask: bitmap or sentinel."),
        click.option("--dense-bits", type=int, help="Width of a dense code: 4 or 8."),
        click.option("--group", type=int, help="Elements per group scale of the dense operand; 0 for none."),
        click.option("--dense-outliers", type=int, help="Outlier capacity of a bank of the dense operand."),
        click.option("--dense-bank", type=int, help="Elements per bank of the dense operand."),
        click.option("--lanes", type=int, help="INT4 multipliers: elements per beat."),
        click.option(
            "--outlier-lanes", type=int, help="High-code multipliers; no more than a beat's outliers."
        ),
        click.option("--k-max", type=int, help="Longest dot product, in elements."),
        click.option("--gated/--ungated", default=None, help="Whether idle outlier lanes hold still."),
        click.option("--output-stage", help="Output stage: pipelined, or serial in an eighth of the gates."),
        click.option("--pipeline", help="Datapath: short, or long for a fast clock on FPGAs."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def selected(label: str | None, **parameters: Any) -> dict[str, PEConfig]:
    """Configurations that the options ask for, by label: one, or every preset when none is named.

    Parameters replace those of the preset (of ``default`` when none is named), and the result is
    called ``custom``. Outlier lanes that are not given are no more than a beat can hold outliers. Raises
    TypeError or ValueError, as the configuration does.
    """
    changes: dict[str, dict[str, Any]] = {"sq": {}, "dense": {}, "pe": {}}
    for keyword, value in parameters.items():
        if value is not None:
            part, name = _PARAMETERS[keyword]
            changes[part][name] = value
    if changes["dense"].get("group") == 0:
        changes["dense"]["group"] = None
    if not any(changes.values()):
        return dict(PRESETS) if label is None else {label: preset(label)}
    base = preset(label or "default")
    sq, dense = replace(base.sq, **changes["sq"]), replace(base.dense, **changes["dense"])
    pe = changes["pe"]
    pe.setdefault("outlier_lanes", min(base.outlier_lanes, sq.outliers, pe.get("lanes", base.lanes)))
    return {"custom": replace(base, sq=sq, dense=dense, **pe)}
