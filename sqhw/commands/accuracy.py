"""``sqhw measure accuracy``: perplexity of a language model under each scheme."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from sw_reference.accuracy.report import merged, outlier_positions, rows, versions
from sw_reference.accuracy.runner import Result, Study, calibrate, run, windows
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.study import INT8, default, extended, grid, imported, quick
from sw_reference.accuracy.text import CALIBRATION, EVALUATION, Text, novel, read_text
from sw_reference.accuracy.verify import PAIRS, verify
from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model

from ..console import Command, Outcome, command_line, progress, reading, say, table
from ..measure import tables
from ..measure.accuracy_page import COLUMNS
from ..tools import jobs

__all__ = ["accuracy"]

LENGTH = 1024
CALIBRATION_WINDOWS = 4
WINDOWS = 8
QUICK_WINDOWS = 2

_STUDIES = {"default": default, "imported": imported, "quick": quick, "extended": extended, "grid": grid}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.option("--study", type=click.Choice(list(_STUDIES)), default="default", help="Which schemes.")
@click.option("--quick", is_flag=True, help=f"The same as --study quick --windows {QUICK_WINDOWS}.")
@click.option("--only", metavar="TEXT", multiple=True, help="Schemes whose names contain TEXT.")
@click.option("--list", "only_list", is_flag=True, help="Print the schemes' names and stop.")
@click.option("--verify", "only_verify", is_flag=True, help="Compare the fast product with the golden model.")
@click.option("--report", "only_report", is_flag=True, help="Run nothing: report what is complete.")
@click.option("--add-to", type=_FILE, help="A report, to which schemes that it lacks are added.")
@click.option("--windows", "count", type=click.IntRange(1), default=WINDOWS, help=f"Of {LENGTH} tokens.")
@click.option("--text", type=_FILE, help=f"Evaluation text.  [default: {EVALUATION}]")
@click.option("--calibration-text", type=_FILE, help="Another text.  [default: Emma]")
@click.option("--jobs", "workers", type=click.IntRange(1), default=2, help="Processes, of 2.5 GB each.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers run instead.")
@click.option("--cache", type=click.Path(path_type=Path), default="build/accuracy", help="What is kept.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/accuracy/accuracy.json",
    help="The report.",
)
def accuracy(
    study: str,
    quick: bool,
    only: tuple[str, ...],
    only_list: bool,
    only_verify: bool,
    only_report: bool,
    add_to: Path | None,
    count: int,
    text: Path | None,
    calibration_text: Path | None,
    workers: int,
    scheduler: str | None,
    cache: Path,
    output: Path,
) -> Outcome:
    """Measure perplexity of a real language model under each scheme.

    A run that was stopped goes on where it stopped.
    """
    schemes = _schemes("quick" if quick else study, only)
    if only_list:
        return Outcome([scheme.name for scheme in schemes], lambda: _list(schemes))
    with reading():
        find_model()  # what is missing is said before anything is fetched
        texts = _texts(text, calibration_text, cache)
        chosen = _study(texts, QUICK_WINDOWS if quick else count, cache)
        if only_verify:
            return _verify(chosen)
        if not only_report:
            with progress() as begin:
                pool = partial(jobs.run, workers=workers, python=True, scheduler=scheduler)
                run(chosen, schemes, pool, begin)
        return _report(chosen, schemes, texts, output, add_to)


def _list(schemes: tuple[Scheme, ...]) -> None:
    for scheme in schemes:
        say(scheme.name)


def _schemes(study: str, only: tuple[str, ...]) -> tuple[Scheme, ...]:
    schemes = _STUDIES[study]()
    always = ("float", INT8)  # what the others are compared with
    return tuple(s for s in schemes if not only or s.name in always or any(text in s.name for text in only))


def _texts(text: Path | None, calibration_text: Path | None, cache: Path) -> dict[str, Text]:
    chosen = {"text": (text, EVALUATION), "calibration_text": (calibration_text, CALIBRATION)}
    texts = {name: read_text(file) if file else novel(title, cache) for name, (file, title) in chosen.items()}
    if texts["text"] == texts["calibration_text"]:
        raise ValueError("The calibration text must be another one than the evaluation text")
    return texts


def _study(texts: dict[str, Text], count: int, cache: Path) -> Study:
    path = find_model()
    tokenizer = Tokenizer.from_metadata(GGUFFile(path).metadata)
    evaluation = windows(tokenizer, texts["text"].text, count, LENGTH, "evaluation")
    other = windows(tokenizer, texts["calibration_text"].text, CALIBRATION_WINDOWS, LENGTH, "calibration")
    return Study(path, evaluation, other, cache)


def _verify(study: Study) -> Outcome:
    model = Model.from_gguf(GGUFFile(study.model))
    with progress() as begin:
        calibrate(study, begin)
        found = verify(model, study.calibrated(), study.evaluation[0], begin)
    document = {
        "command": command_line(),
        "layers": len(found) // len(PAIRS),
        "results": sum(c.results for c in found),
        "different": sum(c.different for c in found),
        "rows_by_limbs": sum(c.limbs for c in found),
    }

    def show() -> None:
        for comparison in found:
            if comparison.different:
                say(f"{comparison.layer}, {comparison.formats}: {comparison.different} results differ")
        say(
            f"{len(found)} products of {document['layers']} layers, {document['results']} float32 results "
            f"compared both ways round, {document['different']} differ in a bit; "
            f"{document['rows_by_limbs']} rows needed limbs"
        )

    return Outcome(document, show, bool(document["results"]) and not document["different"])


def _report(
    study: Study, schemes: tuple[Scheme, ...], texts: dict[str, Text], output: Path, add_to: Path | None
) -> Outcome:
    complete = {scheme: Result.read(study, scheme) for scheme in schemes}
    results = {scheme: result for scheme, result in complete.items() if result is not None}
    if not {"float", INT8} <= {scheme.name for scheme in results}:
        raise ValueError(f"A report needs the schemes 'float' and {INT8!r}, which are not complete")
    lines = rows(results)
    report: dict[str, Any] = {
        "command": command_line().replace(" --report", ""),
        "configuration": {
            "windows": len(study.evaluation),
            "tokens_per_window": LENGTH,
            "calibration_windows": CALIBRATION_WINDOWS,
            "schemes": len(lines),
            "of": len(schemes),
        },
        "model": {"file": study.model.name, "sha256": hashlib.sha256(study.model.read_bytes()).hexdigest()},
        **{name: {"source": text.source, "sha256": text.sha256} for name, text in texts.items()},
        "versions": versions(),
        "rows": lines,
        "outlier_positions": outlier_positions(study.calibrated(), _blocks(study)),
    }
    if add_to:
        report = merged(json.loads(add_to.read_text()), report)
    write_text(output, as_json(report))

    def show() -> None:
        table("Perplexity (lower is better)", *tables.rows(lines, COLUMNS))
        say(f"{output}: {len(lines)} of {len(schemes)} schemes")

    return Outcome(report, show)


def _blocks(study: Study) -> int:
    return int(GGUFFile(study.model).metadata["llama.block_count"])
