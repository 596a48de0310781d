"""Command line: ``python -m sqhw``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sim.formal.command import formal
from sw_reference.files import as_json, write_text

from . import __version__
from .commands import bitstream as board_commands
from .commands import quantize as quantize_commands
from .commands.common import command_line, print_whole
from .commands.common import progress as progress_display
from .commands.energy import energy
from .commands.engine import engine, registers
from .commands.explore import explore
from .commands.ppa import ppa
from .config import PRESETS, PEConfig
from .emit import Design, check_module_name, emit, module_name
from .emit import write as write_designs
from .measure import resources
from .options import pe_options, selected
from .tools.lint import lint as lint_file
from .tools.targets import TARGETS
from .tools.tools import ToolError

__all__ = ["cli", "main"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Refused(click.ClickException):
    """A parameter is out of its range."""

    exit_code = 2


def _output(default: str, text: str) -> Callable[[Any], Any]:
    folder = click.Path(file_okay=False, path_type=Path)
    return click.option("--output", "-o", type=folder, default=default, show_default=True, help=text)


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="sqhw")
def cli() -> None:
    """Generator of synthesizable hardware for the Sparse-Quantized format."""


@cli.command()
def presets() -> None:
    """List the presets and what follows from them."""
    table = Table("", *PRESETS)
    rows: dict[str, Callable[[PEConfig], object]] = {
        "bank": lambda config: config.sq.bank,
        "outliers": lambda config: config.sq.outliers,
        "high codes": lambda config: config.sq.high,
        "mask": lambda config: config.sq.mask,
        "dense bits": lambda config: config.dense.bits,
        "group": lambda config: config.dense.group or "none",
        "lanes": lambda config: config.lanes,
        "outlier lanes": lambda config: config.outlier_lanes,
        "k max": lambda config: config.k_max,
        "output stage": lambda config: config.output,
    }
    derived: dict[str, Callable[[PEConfig], object]] = {
        "bits per SQ element": lambda config: f"{config.sq.bits_per_element:g}",
        "bits per dense element": lambda config: f"{config.dense.bits_per_element:g}",
        "beats per bank": lambda config: config.beats_per_bank,
        "accumulator bits": lambda config: config.acc_bits,
    }
    for section in (rows, derived):
        for name, value in section.items():
            table.add_row(name, *(str(value(config)) for config in PRESETS.values()))
        table.add_section()
    print_whole(table)


@cli.command()
@pe_options
@click.option("--name", help="Name of the top module; by default sq_pe_ and the preset.")
@_output("build/verilog", "Folder of the files.")
def verilog(name: str | None, output: Path, **options: Any) -> None:
    """Emit Verilog and a manifest of each."""
    designs = _designs(options, name)
    for path in write_designs(designs, output):
        click.echo(path)


@cli.command()
@pe_options
def lint(**options: Any) -> None:
    """Emit Verilog and check it with Verilator."""
    designs = _designs(options)
    for path in write_designs(designs, Path("build/verilog")):
        lint_file(path, path.stem)
        click.echo(f"{path}: no warnings")


@cli.command()
@pe_options
@click.option(
    "--target", "targets", multiple=True, type=click.Choice(list(TARGETS)), help="Only these; by default all."
)
@_output("build/synth", "Folder of synth.json and synth.md.")
def synth(targets: tuple[str, ...], output: Path, **options: Any) -> None:
    """Report resources in gates and on FPGAs."""
    designs = _designs(options)
    chosen = targets or tuple(TARGETS)
    with progress_display() as progress:
        task = progress.add_task("Synthesizing", total=len(designs) * len(chosen))

        def done(what: str) -> None:
            progress.update(task, advance=1, description=f"Synthesized {what}")
            if not progress.console.is_terminal:
                progress.console.print(f"Synthesized {what}")

        reports = resources.survey(designs, chosen, done=done)
    document = resources.document(designs, reports, command=command_line())
    console = Console()
    console.width = max(console.width, resources.TABLE_WIDTH)
    for table in resources.tables(document):
        console.print(table)
    write_text(output / "synth.json", as_json(document))
    write_text(output / "synth.md", resources.markdown(document))
    click.echo(f"{output / 'synth.json'}, {output / 'synth.md'}")


cli.add_command(quantize_commands.quantize)
cli.add_command(quantize_commands.inspect)
cli.add_command(ppa)
cli.add_command(formal)
cli.add_command(board_commands.bitstream)
cli.add_command(board_commands.constraints_command)
cli.add_command(energy)
cli.add_command(explore)
cli.add_command(engine)
cli.add_command(registers)


def _designs(options: dict[str, Any], name: str | None = None) -> list[Design]:
    """Emits what the options ask for: all of it before anything is written."""
    try:
        configurations = selected(**options)
        if name is not None:
            check_module_name(name)
            if len(configurations) > 1:
                raise ValueError("Module name must stand with one configuration: add --preset or parameters")
    except (TypeError, ValueError) as error:
        raise _Refused(str(error)) from error
    with progress_display() as progress:
        task = progress.add_task("Emitting Verilog", total=len(configurations))
        designs = []
        for label, config in configurations.items():
            designs.append(emit(config, name or module_name(label)))
            progress.advance(task)
    return designs


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; a refusal is one line on standard error. Returns the exit code.

    0: done. 1: a tool is missing or failed. 2: the command line, or a parameter, is not acceptable.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = cli.main(typed, prog_name="python -m sqhw", standalone_mode=False, obj=tuple(typed))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return error.exit_code
    except (ToolError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except click.Abort:
        click.echo("Interrupted", err=True)
        return 130
    return result if isinstance(result, int) else 0
