"""``sqhw measure speed torch`` and ``agreement``: PyTorch beside ``nn.Linear``, and beside the study."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sw_reference.accuracy.runner import windows
from sw_reference.accuracy.text import EVALUATION, novel
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.llm import GGUFFile, Tokenizer, find_model
from sw_reference.notation import parse_format

from ..console import Command, Outcome, Refused, command_line, progress, reading, refusing
from ..measure import torch_page
from .reports import outcome, report_option

__all__ = ["agreement", "speed"]


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
    return outcome(report, [(title, *torch_page.speed_rows(report))], output, part="speed", text=text)


@click.command(cls=Command)
@click.option("--activations", default="4/32 e3m2s index", help="Their format: SQ. Weights are imported.")
@click.option(
    "--tokens", type=click.IntRange(2, 1024), default=128, help="Of *Persuasion*, from its beginning."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), default="build/accuracy", help="Where the text is kept."
)
@report_option("torch")
def agreement(activations: str, tokens: int, cache: Path, output: Path) -> Outcome:
    """Compare SmolLM2 in Transformers, converted, with the accuracy study's own forward pass."""
    with refusing():
        sq = parse_format(activations)
    if not isinstance(sq, SQFormat):
        raise Refused(f"Activations must be SQ, not '{activations}'")
    torch_agreement = _optional("sqhw.measure.torch_agreement")
    with reading():
        file = GGUFFile(find_model())
        text = novel(EVALUATION, cache)
        (ids,) = windows(Tokenizer.from_metadata(file.metadata), text.text, 1, tokens, "evaluation")
    with progress() as begin:
        report = torch_agreement.measure(file, ids, sq, text.source, begin=begin, command=command_line())
    title = f"{report['model']}, {report['activations']}: {tokens} tokens of {report['text']}"
    shown = outcome(report, [(title, *torch_page.agreement_rows(report))], output, part="agreement")
    return replace(shown, passed=report["agree"])
