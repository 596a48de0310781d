"""``sqhw measure generate``: a whole answer through the emitted Verilog, and each option once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text

from ..console import Command, Outcome, say
from .generate import generate
from .reports import report_option

__all__ = ["ANSWER", "VARIANTS", "answers"]

ANSWER = (
    "Paris is the capital of France, Rome is the capital of Italy and Madrid is the capital of Spain. "
    "What is the capital of Italy?",
)
"""The question of the whole answer."""

_QUESTION, _OTHER = "What is the capital of France?", "Why is the sky blue?"
_FEW = ("--tokens", "3")
VARIANTS: dict[str, tuple[str, ...]] = {
    "fine": (_QUESTION, "--preset", "fine", *_FEW),
    "both": (_QUESTION, "--preset", "both", *_FEW),
    "head": (_QUESTION, "--head", "engine", *_FEW),
    "batch": (_QUESTION, "--batch", "4", *_FEW),
    "prompts": (_QUESTION, _OTHER, *_FEW),
    "encode": (_QUESTION, "--encode", "engine", *_FEW),
    "all": (_QUESTION, _OTHER, "--preset", "fine", "--head", "engine", "--encode", "engine", *_FEW),
}
"""What is typed behind ``sqhw generate``, by name."""
_WHOLE = "answer"
_FIGURES = (
    "tokens",
    "prompt_tokens",
    "products",
    "compared",
    "mismatches",
    "cycles_prefill_per_token",
    "cycles_decode_per_token",
    "utilization_prefill",
    "stream_share_decode",
    "bytes_per_token",
    "seconds_per_prompt_token",
    "seconds_per_token",
    "processor_seconds_per_prompt_token",
    "processor_seconds_per_token",
    "versions",
)
_LINE = "{compared:,} sums, {mismatches} differ; {cycles_decode_per_token:,.0f} cycles per decoded token\n"


@click.command(cls=Command)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([_WHOLE, *VARIANTS]),
    help="These; what the report says of the others stays.",
)
@report_option("generate")
def answers(only: tuple[str, ...], output: Path) -> Outcome:
    """Let SmolLM2-135M-Instruct answer through the emitted Verilog: a whole answer, then each option once.

    Every sum is compared, and each text with that of the golden model. A run that was stopped goes on where
    it was.
    """
    document: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    chosen = [name for name in (_WHOLE, *VARIANTS) if not only or name in only]
    kept = {record["variant"]: record for record in document.get("variants", ())}
    for name in chosen:
        if name == _WHOLE:
            document = _answered(*ANSWER, "--backend", "rtl")
        else:
            kept[name] = _variant(name, VARIANTS[name])
        document["variants"] = [kept[each] for each in VARIANTS if each in kept]
        write_text(output, as_json(document))

    def show() -> None:
        for record in document["variants"]:
            say(f"$ {record['command']}")
            for text in record["texts"]:
                say(text)
            say(_LINE.format_map(record))
        say(output)

    return Outcome(document, show, all(record["same_as_golden"] for record in document["variants"]))


def _variant(name: str, typed: tuple[str, ...]) -> dict[str, Any]:
    """The record of one variant, computed by the golden model and then by the Verilog."""
    wanted, found = (_answered(*typed, "--backend", backend) for backend in ("golden", "rtl"))
    texts = _texts(found)
    same = {"texts": texts, "same_as_golden": texts == _texts(wanted)}
    return {"variant": name, "command": found["command"], **same} | {key: found[key] for key in _FIGURES}


def _texts(document: dict[str, Any]) -> list[str]:
    return [document["text"], *(other["text"] for other in document["others"])]


def _answered(*typed: str) -> dict[str, Any]:
    """The report of ``sqhw generate``, which is run as it is typed."""
    with generate.make_context(generate.name, list(typed), obj=(generate.name, *typed)) as context:
        del context.params["as_data"]
        assert generate.callback is not None
        outcome: Outcome = context.invoke(generate.callback, **context.params)
    return dict(outcome.document)
