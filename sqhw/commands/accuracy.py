"""``sqhw measure accuracy``: perplexity of a language model under each scheme."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from sw_reference.accuracy.imported_study import exponents, floats, imported, scattered, sums
from sw_reference.accuracy.report import merged, outlier_positions, rows, versions
from sw_reference.accuracy.runner import Result, Study, calibrate, run, windows
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.study import INT8, default, extended, grid, quick
from sw_reference.accuracy.text import CALIBRATION, EVALUATION, Text, manual, novel, read_text
from sw_reference.accuracy.verify import PAIRS, verify
from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model

from ..console import Command, Outcome, Refused, command_line, progress, reading, say, table
from ..measure import tables
from ..measure.accuracy_page import COLUMNS
from ..packed.llama import model_hash
from ..tools import jobs
from .own_accuracy import is_own, own_options, own_study, schemes_of_own, write_for_lm_eval

__all__ = ["accuracy"]

LENGTH = 1024
CALIBRATION_WINDOWS = 4
WINDOWS = 8
QUICK_WINDOWS = 2

_STUDIES = {
    "default": default,
    "imported": imported,
    "exponents": exponents,
    "floats": floats,
    "sums": sums,
    "scattered": scattered,
    "quick": quick,
    "extended": extended,
    "grid": grid,
}
_MAPPED = ("default", "extended", "grid")
"""Studies whose reports say where outliers are."""
_OWN_COLUMNS = ("scheme", "bits A", "bits W", "perplexity", "against float", "KL x 100")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@own_options
@click.option("--study", type=click.Choice(list(_STUDIES)), help="Which schemes.  [default: default]")
@click.option("--quick", is_flag=True, help=f"The same as --study quick --windows {QUICK_WINDOWS}.")
@click.option("--only", metavar="TEXT", multiple=True, help="The scheme TEXT, or all that contain it.")
@click.option("--list", "only_list", is_flag=True, help="Print the schemes' names and stop.")
@click.option("--verify", is_flag=True, help="Compare the fast product with the golden model.")
@click.option("--report", "only_report", is_flag=True, help="Run nothing: report what is complete.")
@click.option("--add-to", type=_FILE, help="A report, to which what it lacks is added.")
@click.option("--windows", "count", type=click.IntRange(1), default=WINDOWS, help="Of the text.")
@click.option("--tokens", type=click.IntRange(2), default=LENGTH, help="Of a window.")
@click.option("--text", type=_FILE, help=f"Evaluation text.  [default: {EVALUATION}]")
@click.option(
    "--manual", "manual_text", is_flag=True, help="Evaluate on a manual: Debian's Developer's Reference."
)
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
    only: tuple[str, ...],
    only_list: bool,
    only_report: bool,
    count: int,
    tokens: int,
    text: Path | None,
    manual_text: bool,
    workers: int,
    scheduler: str | None,
    cache: Path,
    output: Path,
    **mode: Any,
) -> Outcome:
    """Measure perplexity of a real language model under each scheme.

    A study runs many formats on SmolLM2-135M-Instruct. With --model, --activations or --weights, it is your
    model and your formats, beside float, W8 A8 and NVFP4. A run that was stopped goes on where it stopped.
    """
    own = is_own(mode)
    if text and manual_text:
        raise Refused("--manual must come without --text: each names the evaluation text")
    with reading():
        _ = mode["model"] or only_list or find_model()  # what is missing is said before anything is fetched
    study = "quick" if mode["quick"] else mode["study"] or "default"
    schemes = _only(schemes_of_own(mode) if own else _STUDIES[study](), only)
    if mode["lm_eval"] and not only_list:
        return write_for_lm_eval(mode)
    if only_list:
        return Outcome([scheme.name for scheme in schemes], lambda: _list(schemes))
    with reading():
        texts = {"text": manual(cache) if manual_text else _text(text, EVALUATION, cache)}
        if own:
            chosen = own_study(mode, texts["text"], count, tokens, cache)
        else:
            texts["calibration_text"] = _text(mode["calibration_text"], CALIBRATION, cache)
            chosen = _study(texts, QUICK_WINDOWS if mode["quick"] else count, tokens, cache)
        if mode["verify"]:
            return _verify(chosen)
        if not only_report:
            with progress() as begin:
                pool = partial(jobs.run, workers=workers, python=True, scheduler=scheduler)
                run(chosen, schemes, pool, begin)
        return _report(chosen, schemes, texts, output, mode["add_to"], study in _MAPPED and not own)


def _list(schemes: tuple[Scheme, ...]) -> None:
    for scheme in schemes:
        say(scheme.name)


def _only(schemes: tuple[Scheme, ...], only: tuple[str, ...]) -> tuple[Scheme, ...]:
    """The schemes of these names, of a text that is none all whose names contain it, and those that all are
    compared with."""
    names = [scheme.name for scheme in schemes]
    wanted = {"float", INT8} if only else set(names)
    for text in only:
        found = [text] if text in names else [name for name in names if text in name]
        if not found:
            raise Refused(
                f"--only must match the name of a scheme (--list shows them), and {text!r} does not"
            )
        wanted.update(found)
    return tuple(scheme for scheme in schemes if scheme.name in wanted)


def _text(file: Path | None, title: str, cache: Path) -> Text:
    return read_text(file) if file else novel(title, cache)


def _study(texts: dict[str, Text], count: int, length: int, cache: Path) -> Study:
    if texts["text"] == texts["calibration_text"]:
        raise ValueError("The calibration text must be another one than the evaluation text")
    path = find_model()
    tokenizer = Tokenizer.from_metadata(GGUFFile(path).metadata)
    evaluation = windows(tokenizer, texts["text"].text, count, length, "evaluation")
    other = windows(tokenizer, texts["calibration_text"].text, CALIBRATION_WINDOWS, length, "calibration")
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
    study: Study,
    schemes: tuple[Scheme, ...],
    texts: dict[str, Text],
    output: Path,
    add_to: Path | None,
    mapped: bool,
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
            "tokens_per_window": len(study.evaluation[0]),
            "calibration_windows": len(study.calibration),
            "schemes": len(lines),
            "of": len(schemes),
        },
        "model": {"file": study.model.name, "sha256": model_hash(study.model)},
        **{name: {"source": text.source, "sha256": text.sha256} for name, text in texts.items()},
        "versions": versions(),
        "rows": lines,
    }
    if mapped:
        report["outlier_positions"] = outlier_positions(study.calibrated(), _blocks(study))
    if add_to:
        report = merged(json.loads(add_to.read_text()), report)
    write_text(output, as_json(report))

    columns = COLUMNS if study.calibration else {name: COLUMNS[name] for name in _OWN_COLUMNS}

    def show() -> None:
        table("Perplexity (lower is better)", *tables.rows(lines, columns))
        say(f"{output}: {len(lines)} of {len(schemes)} schemes")

    return Outcome(report, show)


def _blocks(study: Study) -> int:
    return int(GGUFFile(study.model).metadata["llama.block_count"])
