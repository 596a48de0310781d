"""``sqhw quantize`` and ``sqhw inspect``: a model's weights in SQ-format, and a look at such a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from sw_reference.format import DenseFormat, SQFormat, as_parameters
from sw_reference.notation import format_text, parse_format

from ..console import Command, Outcome, Refused, command_line, plain, progress, refusing, say, table
from ..packed.convert import convert
from ..packed.inputs import TOKENS, Inputs, InputsFile, TextInputs
from ..packed.packed_file import KEY, Packed, PackedFile
from ..packed.recipe import Import, Recipe
from ..packed.selection import LINEAR, has_codes, select
from ..packed.sources import open_source
from ..packed.tensor_file import TensorFile

__all__ = ["inspect", "quantize"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MODEL = click.Path(exists=True, path_type=Path)
_SUFFIX = ".safetensors"
_IMPORT = "import"
_SQ = "sq"
_SQ_FORMAT = "int4 g32 linear8 6/32 index"
"""What `sq` stands for: the weights of the preset `both`."""

_FILES = ("importance", "activations", "text", "tokenizer")
_OF_TEXT = ("tokens", "tokenizer")


def _format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option(
            "--weights",
            metavar="FORMAT",
            help=f'import: a quantized model\'s own codes; {_SQ}: "{_SQ_FORMAT}"; or a format such as '
            f'"int4 g32 linear8".  [default: import for a quantized model, else {_SQ}]',
        ),
        click.option("--group", type=int, help="Of import: cuts longer groups.  [default: the model's]"),
        click.option(
            "--threshold",
            type=float,
            help="Outliers only above this multiple of a matrix's root mean square.",
        ),
        click.option(
            "--importance",
            type=_FILE,
            help="safetensors file of a number per column: outliers by magnitude times it.",
        ),
        click.option(
            "--activations",
            type=_FILE,
            help="safetensors file of inputs [tokens, k] of each matrix: GPTQ compensates rounding for them.",
        ),
        click.option(
            "--text",
            type=_FILE,
            help="Text in UTF-8: GPTQ compensates for the inputs that the model has while it reads that.",
        ),
        click.option(
            "--tokens", type=click.IntRange(2), help=f"How many of --text are read.  [default: {TOKENS}]"
        ),
        click.option(
            "--tokenizer", type=_FILE, help="Of --text: a tokenizer.json.  [default: the model's own]"
        ),
        click.option(
            "--smooth",
            type=float,
            metavar="STRENGTH",
            help="With --text or --activations: divides large channels of inputs; 0.5 is usual.",
        ),
        click.option(
            "--scale",
            type=click.Choice(["least_squares", "absmax"]),
            help="How scales are chosen.  [default: least_squares]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("model", type=_MODEL)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="safetensors file to write.",
)
@_format_options
@click.option(
    "--tensors",
    metavar="REGEX",
    default=LINEAR,
    help="Matrices with such names are quantized.",
)
@click.option("--only-packed", is_flag=True, help="Leave all other tensors out of the file.")
def quantize(
    model: Path,
    output: Path,
    weights: str | None,
    tensors: str,
    only_packed: bool,
    **parameters: Any,
) -> Outcome:
    """Quantize the linear weights of MODEL to packed tensors.

    MODEL is a .gguf or .safetensors file, any part of a model in several files, their .index.json, or a
    folder with one model.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    read = [given[name] for name in _FILES if name in given]
    with refusing():
        recipe = _recipe(weights or _SQ, given)
    if output.suffix not in ("", _SUFFIX):
        raise Refused(f"Output must end in {_SUFFIX}, the format that is written, not in {output.suffix}")
    with _one_line():
        source = open_source(model)
        for path in (*source.paths, *read):
            if output.exists() and output.samefile(path):
                raise Refused(f"Output must be another file than what is read, not {output}")
        if weights is None and not given and has_codes(source, tensors):
            recipe = Import()
        selection = select(source, tensors, recipe if isinstance(recipe, Import) else None)
        total = sum(math.prod(source.entries[name].shape) for name in selection.names)
        made = {"command": command_line(), "source": model.resolve().name}
        with progress() as begin:
            if isinstance(recipe, Recipe) and isinstance(recipe.inputs, TextInputs):
                recipe.inputs.read(model, selection.names, output.parent, begin)
            done = begin("Packing", total)
            packed = convert(
                source, selection.names, output, recipe, made=made, done=done, only_packed=only_packed
            )
    size = output.stat().st_size
    document = {**made, "output": str(output), "bytes": size}
    document |= {"packed": _as_data(packed), "not_packed": selection.others}

    def show() -> None:
        _show_packed(packed)
        if selection.others:
            say("Not packed and left out:" if only_packed else "Not packed but passed on as they are:")
        for line in selection.reasons():
            say(f"  {_line(line)}")
        say(f"{output}: {size:,} bytes")

    return Outcome(document, show)


@click.command(cls=Command)
@click.argument("file", type=_MODEL)
def inspect(file: Path) -> Outcome:
    """Show what FILE holds, and check every packed tensor in it.

    FILE is one that quantize wrote, or any model that it reads.
    """
    packed: dict[str, Packed] = {}
    made: dict[str, Any] = {}
    with _one_line():
        source = open_source(file)
        others = source.entries
        if KEY in source.metadata and len(source.paths) == 1:
            content = PackedFile(source.paths[0])
            packed, others, made = content.packed, content.others, content.made
            with progress() as begin:
                done = begin("Checking", len(packed))
                for name in packed:
                    content.tensor(name)
                    content.order(name)
                    content.divisor(name)
                    done(name)
    rest = {name: {"dtype": entry.dtype, "shape": entry.shape} for name, entry in others.items()}
    document = {**made, "packed": _as_data(packed), "others": rest}

    def show() -> None:
        for what, value in made.items():
            say(_line(f"{what}: {value}"))
        if packed:
            _show_packed(packed)
        if others:
            rows = [(name, _shape(*entry.shape), entry.dtype) for name, entry in others.items()]
            table("Other tensors", ("tensor", "shape", "type"), rows)
        if packed:
            say(f"{len(packed)} packed tensors checked: every code is legal.")

    return Outcome(document, show)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turns what is wrong with a file into an error of one line, whatever its names hold."""
    try:
        yield
    except (ModuleNotFoundError, ValueError) as error:
        raise click.ClickException(_line(str(error))) from error


def _line(text: str) -> str:
    return plain(text).replace("\n", "\\n")


def _recipe(weights: str, given: dict[str, Any]) -> Recipe | Import:
    """Returns what the options ask for."""
    for name in given:
        if (name == "group") != (weights == _IMPORT):
            kind = _IMPORT if name == "group" else "FORMAT"
            raise ValueError(f"--{name} must come with --weights {kind}, not {weights}")
    if weights == _IMPORT:
        return Import(given.get("group"))
    given = dict(given)
    of_text = {name: given.pop(name) for name in _OF_TEXT if name in given}
    for name in of_text:
        if "text" not in given:
            raise ValueError(f"--{name} must come with --text")
    if {"activations", "text"} <= given.keys():
        raise ValueError("--text must come without --activations: each says what inputs are")
    inputs: Inputs | None = None
    if "activations" in given:
        inputs = InputsFile(TensorFile(given.pop("activations")))
    elif "text" in given:
        inputs = TextInputs(given.pop("text"), **of_text)
    if "importance" in given:
        given["importance"] = TensorFile(given["importance"])
    return Recipe(parse_format(_SQ_FORMAT if weights == _SQ else weights), inputs=inputs, **given)


def _as_data(packed: dict[str, Packed]) -> dict[str, Any]:
    return {
        name: {"operand": t.operand, **as_parameters(t), "bits_per_element": t.bits_per_element}
        for name, t in packed.items()
    }


def _show_packed(packed: dict[str, Packed]) -> None:
    formats = dict.fromkeys(_label(t.format) for t in packed.values())
    say(f"Packed tensors, {'; '.join(formats)}")
    imported = any(t.origin for t in packed.values())
    columns: tuple[str, ...] = ("tensor", "shape", "bits", "outliers", "error")
    title = "Bits per element, share of outliers, relative squared error"
    if imported:
        columns = ("tensor", "shape", "codes", "bits", "own error", "added error")
        title = "Codes and their own expected error; relative squared error that the import adds"

    def row(label: str, shape: str, codes: str, bits: float, second: float, error: float) -> tuple[str, ...]:
        if imported:
            return label, shape, codes, f"{bits:.3f}", f"{second:.3e}", f"{error:.3e}"
        return label, shape, f"{bits:.3f}", f"{second:.2%}", f"{error:.3e}"

    values = {
        name: (t.bits_per_element, t.origin.relative_error if t.origin else t.outlier_share, t.relative_error)
        for name, t in packed.items()
    }
    rows = [
        row(name, _shape(t.rows, t.k), t.origin.type if t.origin else "", *values[name])
        for name, t in packed.items()
    ]
    means = np.average(list(values.values()), axis=0, weights=[t.rows * t.k for t in packed.values()])
    mean = row("mean over elements", f"{len(packed)} tensors", "", *means.tolist())
    table(title, columns, [*rows, None, mean])
    smoothed = sum(t.smoothed for t in packed.values())
    if smoothed:
        say(f"Matrices that are smoothed: {smoothed}. Their inputs are divided by NAME.divisor first.")
    anew = sum(t.origin.requantized for t in packed.values() if t.origin)
    if anew:
        say(f"{anew:,} groups were quantized anew: no offset of the format comes near theirs.")


def _shape(*sizes: int) -> str:
    return " x ".join(map(str, sizes)) or "scalar"


def _label(fmt: SQFormat | DenseFormat) -> str:
    """A format in a few words."""
    return f"{'SQ' if isinstance(fmt, SQFormat) else 'dense'} operand {format_text(fmt)}"
