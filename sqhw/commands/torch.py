"""``sqhw measure speed torch``: layers in PyTorch beside ``nn.Linear``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import parse_format

from ..console import Command, Outcome, Refused, command_line, progress, reading, refusing
from .reports import outcome, report_option

__all__ = ["speed"]


def _optional(name: str) -> Any:
    """Imports a module that needs ``sqhw.torch``, and so packages that may be missing."""
    with reading():
        import_module("sqhw.torch")
        return import_module(name)


@click.command("torch", cls=Command)
@click.option("--activations", default="4/32 e3m2s index", help="Their format: SQ.")
@click.option("--weights", default="int4 g32 linear8", help="Their format: dense.")
@click.option("--repetitions", type=click.IntRange(1), default=50, help="Of each layer.")
@report_option("torch")
def speed(activations: str, weights: str, repetitions: int, output: Path) -> Outcome:
    """Time layers of `sqhw.torch` beside nn.Linear, on one core, and compare what they compute."""
    with refusing():
        sq, dense = parse_format(activations), parse_format(weights)
    if not isinstance(sq, SQFormat) or not isinstance(dense, DenseFormat):
        raise Refused(f"Activations must be SQ and weights dense, not '{activations}' and '{weights}'")
    torch_speed = _optional("sqhw.measure.torch_speed")
    with progress() as begin:
        report = torch_speed.measure(sq, dense, repetitions, begin=begin, command=command_line())
    first = {row["mode"]: row["ratio"] for row in reversed(report["rows"])}
    text = "; ".join(
        f"{mode}: {first[mode]} of at most {limit}" for mode, limit in torch_speed.LIMITS.items()
    )
    title = f"Layers of {report['activations']} x {report['weights']}, one core"
    return outcome(report, [(title, *torch_speed.table(report))], output, part="speed", text=text)
