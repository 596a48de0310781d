"""``sqhw data`` and ``sqhw measure reference``: the embedded activations, their model, the golden model."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import click

from sw_reference import bench
from sw_reference.activations import COLUMNS, load_activations, rows
from sw_reference.capture import PROMPTS, check, write_npz
from sw_reference.capture import capture as make
from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model, generate

from ..console import Command, Outcome, command_line, progress, reading, say, table

__all__ = ["capture", "continue_text", "reference", "show"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("file", type=_FILE, required=False)
def show(file: Path | None) -> Outcome:
    """Show the captured sites of FILE; by default those inside the package."""
    with reading():
        cells = rows(load_activations(file))
    document = [dict(zip(COLUMNS, row, strict=True)) for row in cells]
    return Outcome(document, lambda: table("", COLUMNS, cells))


@click.command(cls=Command)
@click.option("--check", "only_check", is_flag=True, help="Write nothing: compare the file.")
@click.option("--output", "-o", type=_FILE, help="File to write.  [default: the one inside the package]")
def capture(only_check: bool, output: Path | None) -> Outcome:
    """Make the embedded activations from the model's weights."""
    with as_file(files("sw_reference") / "data" / "activations.npz") as embedded, reading():
        path = output or embedded
        with progress() as begin:
            arrays = make(find_model(), begin("Prompts", len(PROMPTS)))
        if only_check:
            found = check(path, arrays)
            text = f"{path}: record and weights are equal, activations differ by {found:.1e} of their row"
            return Outcome({"file": str(path), "difference": found}, lambda: say(text))
        write_npz(path, arrays)
        sites = load_activations(path).sites
    document = {
        "file": str(path),
        "sites": len(sites),
        "products": sum(len(site.x) * len(site.weight) for site in sites),
        "bytes": path.stat().st_size,
    }
    return Outcome(
        document, lambda: say("{file}: {sites} sites, {products} products, {bytes} bytes".format(**document))
    )


@click.command("continue", cls=Command)
@click.argument("text")
@click.option("--tokens", type=click.IntRange(1), default=48, help="At most so many new ones.")
def continue_text(text: str, tokens: int) -> Outcome:
    """Continue TEXT greedily with the model, to see that it works."""
    with reading(), progress() as begin:
        begin("Loading the model, continuing the text")
        file = GGUFFile(find_model())
        model, tokenizer = Model.from_gguf(file), Tokenizer.from_metadata(file.metadata)
        new = tokenizer.decode(generate(model, tokenizer.encode(text), tokens, end=tokenizer.end))
    return Outcome({"text": text, "continuation": new}, lambda: say(text + new))


@click.command(cls=Command)
@click.option("--repetitions", type=click.IntRange(1), default=31, help="Odd, for a median.")
@click.option("--output", "-o", type=_FILE, default=Path("build/reference.json"), help="The report.")
def reference(repetitions: int, output: Path) -> Outcome:
    """Measure the golden model's speed against plain NumPy; fails beyond its limits."""
    with progress() as begin:
        results = bench.measure(repetitions, begin("Repetitions", bench.CASES * repetitions))
    document = bench.document(results, repetitions, command=command_line())
    write_text(output, as_json(document))
    cells = []
    for r in results:
        times = (f"{1e3 * seconds:.3f}" for seconds in (r.seconds, r.yardstick_seconds))
        verdict = "" if r.ratio <= r.limit else "too slow"
        cells.append((r.name, r.yardstick, *times, f"{r.ratio:.1f}", f"{r.limit:g}", verdict))
    columns = ("function", "against", "ms", "ms", "ratio", "limit", "")

    def show() -> None:
        table("", columns, cells)
        say(output)

    return Outcome(document, show, all(r.ratio <= r.limit for r in results))
