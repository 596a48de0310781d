"""``python -m sqhw quantize`` and ``inspect``: a model's weights in SQ-format, and a look at such a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from sw_reference.codes import ScaleChoice
from sw_reference.files import as_json
from sw_reference.format import DenseFormat, SQFormat

from ..packed.convert import LINEAR, Recipe, convert, selected
from ..packed.packed_file import KEY, Packed, PackedFile
from ..packed.sources import open_source
from ..packed.tensor_file import Entry, TensorFile
from .common import print_whole

__all__ = ["inspect", "quantize"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ONLY = {"high": "sq", "mask": "sq", "bits": "dense", "group": "dense"}


class _Refused(click.ClickException):
    """A parameter is out of its range."""

    exit_code = 2


def _format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    operand = click.Choice(["sq", "dense"])
    options = [
        click.option(
            "--operand", type=operand, default="sq", show_default=True, help="Kind of tensor to make."
        ),
        click.option("--bank", type=int, help="Elements per bank.  [default: 16 (sq)]"),
        click.option(
            "--outliers", type=int, help="Outlier capacity of a bank.  [default: 2 (sq), 0 (dense)]"
        ),
        click.option("--high", help="High codes of an SQ operand: fp16 or int8.  [default: int8]"),
        click.option("--mask", help="Outlier mask of an SQ operand: bitmap or sentinel.  [default: bitmap]"),
        click.option("--bits", type=int, help="Width of a dense code: 4 or 8.  [default: 4]"),
        click.option(
            "--group", type=int, help="Elements per group scale (dense); 0 for none.  [default: 64]"
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("model", type=_FILE)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write."
)
@_format_options
@click.option(
    "--threshold", type=float, help="Outliers only above this multiple of a matrix's root mean square."
)
@click.option(
    "--importance",
    type=_FILE,
    help="safetensors file of a number per column: outliers by magnitude times it.",
)
@click.option(
    "--scale",
    type=click.Choice(["least_squares", "absmax"]),
    default="least_squares",
    show_default=True,
    help="How scales are chosen.",
)
@click.option(
    "--tensors",
    metavar="REGEX",
    default=LINEAR,
    show_default=True,
    help="Matrices with such names are quantized.",
)
def quantize(
    model: Path,
    output: Path,
    operand: str,
    threshold: float | None,
    importance: Path | None,
    scale: ScaleChoice,
    tensors: str,
    **parameters: Any,
) -> None:
    """Quantize the linear weights of MODEL, a .gguf or .safetensors file, to packed tensors."""
    try:
        fmt = _format(operand, parameters)
        recipe = Recipe(fmt, scale, threshold, TensorFile(importance) if importance else None)
    except (TypeError, ValueError) as error:
        raise _Refused(str(error)) from error
    if output.exists() and output.samefile(model):
        raise _Refused(f"Output must be another file than the model, not {output}")
    command = " ".join(["sqhw", *click.get_current_context().find_root().obj])
    try:
        source = open_source(model)
        names = selected(source, tensors)
        with _Progress(sum(math.prod(source.entries[name].shape) for name in names)) as done:
            made = {"command": command, "source": model.name}
            packed = convert(source, names, output, recipe, made=made, done=done)
    except (ModuleNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    print_whole(_packed_table(packed))
    others = sum(name not in packed for name in source.entries)
    click.echo(f"{output}: {output.stat().st_size:,} bytes; {others} other tensors unchanged")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_data", is_flag=True, help="Print JSON instead of tables.")
def inspect(file: Path, as_data: bool) -> None:
    """Show what FILE holds, and check every packed tensor in it."""
    try:
        if _is_packed(file):
            content = PackedFile(file)
            packed, others, made = content.packed, content.others, content.made
            with _Progress(sum(t.rows * t.k for t in packed.values())) as done:
                for name, t in packed.items():
                    content.tensor(name)
                    done(name, t.rows * t.k)
        else:
            packed, others, made = {}, open_source(file).entries, {}
    except (ModuleNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if as_data:
        tensors = {
            name: {"operand": t.operand, **asdict(t), "bits_per_element": t.bits_per_element}
            for name, t in packed.items()
        }
        rest = {name: {"dtype": entry.dtype, "shape": entry.shape} for name, entry in others.items()}
        click.echo(as_json({**made, "packed": tensors, "others": rest}), nl=False)
        return
    for what, value in made.items():
        click.echo(f"{what}: {value}")
    if packed:
        print_whole(_packed_table(packed))
    if others:
        print_whole(_others_table(others))
    if packed:
        click.echo(f"{len(packed)} packed tensors checked: every code is legal.")


def _is_packed(path: Path) -> bool:
    """Whether a file is safetensors with packed tensors; another file is for the sources to judge."""
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            return False
    return KEY in TensorFile(path).metadata


def _format(operand: str, parameters: dict[str, Any]) -> SQFormat | DenseFormat:
    """Returns the format that the options ask for."""
    given = {name: value for name, value in parameters.items() if value is not None}
    for name in given:
        if _ONLY.get(name, operand) != operand:
            raise ValueError(f"--{name} must stand with --operand {_ONLY[name]}, not {operand}")
    if operand == "sq":
        return SQFormat(**given)
    group = given.pop("group", 64)
    return DenseFormat(group=group or None, **given)


class _Progress:
    """Shows how far the work is: the tensor's name, a bar, the time that remains."""

    def __init__(self, elements: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=elements)

    def __enter__(self) -> Callable[[str, int], None]:
        self._bar.start()
        return lambda name, count: self._bar.update(self._task, advance=count, description=name)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _table(title: str, *columns: str, names: Iterable[str]) -> Table:
    """An empty table: the first two columns are words, the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(columns[0], min_width=max(map(len, names)), no_wrap=True)
    table.add_column(columns[1], no_wrap=True)
    for column in columns[2:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _packed_table(packed: dict[str, Packed]) -> Table:
    formats = {t.format for t in packed.values()}
    table = _table(
        f"Packed tensors, {'; '.join(map(_label, formats))}",
        *("tensor", "shape", "bits/element", "outliers", "relative squared error"),
        names=packed,
    )

    def add(label: str, shape: str, *values: float) -> None:
        table.add_row(label, shape, f"{values[0]:.3f}", f"{values[1]:.2%}", f"{values[2]:.3e}")

    for name, t in packed.items():
        add(name, _shape(t.rows, t.k), t.bits_per_element, t.outlier_share, t.relative_error)
    table.add_section()
    elements = np.array([t.rows * t.k for t in packed.values()])
    columns = [(t.bits_per_element, t.outlier_share, t.relative_error) for t in packed.values()]
    means = np.average(columns, axis=0, weights=elements).tolist()
    add("mean over elements", f"{len(packed)} tensors", *means)
    return table


def _others_table(others: dict[str, Entry]) -> Table:
    table = _table("Other tensors", "tensor", "shape", "type", names=others)
    for name, entry in others.items():
        table.add_row(name, _shape(*entry.shape), entry.dtype)
    return table


def _shape(*sizes: int) -> str:
    return " x ".join(map(str, sizes)) or "scalar"


def _label(fmt: SQFormat | DenseFormat) -> str:
    """A format in a few words."""
    bank = f"bank {fmt.bank}, outliers {fmt.outliers}"
    if isinstance(fmt, SQFormat):
        return f"SQ operand: {bank}, {fmt.high}, {fmt.mask}"
    group = f", group {fmt.group}" if fmt.group else ""
    return f"dense operand: INT{fmt.bits}{group}" + (f", {bank}" if fmt.bank else "")
