"""Commands of the engine: its Verilog, its registers."""

from __future__ import annotations

from pathlib import Path

import click

from ..config import ENGINE_PRESETS
from ..emit import write
from ..emit_engine import emit_engine, engine_module_name
from ..engine.register_texts import c_header, markdown

__all__ = ["engine", "registers"]


@click.command()
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(list(ENGINE_PRESETS)), help="By default all."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default="build/verilog",
    show_default=True,
    help="Folder of the files.",
)
def engine(presets: tuple[str, ...], output: Path) -> None:
    """Emit Verilog of matrix engines, and a manifest of each."""
    designs = [
        emit_engine(ENGINE_PRESETS[name], engine_module_name(name)) for name in presets or ENGINE_PRESETS
    ]
    for path in write(designs, output):
        click.echo(path)


@click.command()
@click.option("--language", type=click.Choice(["markdown", "c"]), default="c", show_default=True)
def registers(language: str) -> None:
    """Print the engine's register map."""
    click.echo(markdown() if language == "markdown" else c_header(), nl=False)
