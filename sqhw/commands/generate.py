"""``sqhw generate``: a language model answers; its linear layers are computed as the hardware does."""

from __future__ import annotations

from pathlib import Path

import click

from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, Tokenizer, find_model

from ..console import Command, Outcome, command_line, plain, progress, reading, say
from ..generate import chat
from ..generate.answer import Setting, prepare, report
from ..presets import PRESETS

__all__ = ["generate"]

_FORMATS = [name for name, pe in PRESETS.items() if pe.sq.has_index]


@click.command(cls=Command)
@click.argument("prompt")
@click.option("--tokens", type=click.IntRange(1), default=48, help="At most so many of the answer.")
@click.option("--preset", type=click.Choice(_FORMATS), default="lean", help="Formats of both operands.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/generate/generate.json",
    help="The report.",
)
def generate(prompt: str, tokens: int, preset: str, output: Path) -> Outcome:
    """Answer PROMPT with SmolLM2-135M-Instruct, greedily.

    All 210 linear layers are products of SQ activations and the checkpoint's own 4-bit codes, exact to the
    last bit. A run that was stopped goes on where it was.
    """
    with reading():
        file = GGUFFile(find_model())
        tokenizer = Tokenizer.from_metadata(file.metadata)
        text = chat.prompt(file.metadata, prompt)
        setting = Setting(file, tuple(tokenizer.encode(text)), preset)
        with progress() as begin:
            session = prepare(setting, begin)
    shown = ""
    for _ in session.run(tokens):
        # A character may be several tokens: what is no whole one yet waits.
        so_far = tokenizer.decode(session.answer).rstrip("\ufffd")
        print(plain(so_far[len(shown) :]), end="", flush=True)
        shown = so_far
    answer = tokenizer.decode(session.answer)
    print(plain(answer[len(shown) :]), flush=True)
    document = {"command": command_line(), "prompt": prompt, "text": answer, **report(setting, session)}
    write_text(output, as_json(document))
    return Outcome(document, lambda: say(output))
