"""``python -m sw_reference.accuracy``: perplexity of a language model under each scheme."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from sw_reference.accuracy.report import TABLE_WIDTH, outlier_positions, rows, table, versions
from sw_reference.accuracy.runner import Result, Study, run, windows
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.study import INT8, default, extended, grid, quick
from sw_reference.accuracy.text import CALIBRATION, EVALUATION, Text, novel, read_text
from sw_reference.accuracy.verify import PAIRS, verify
from sw_reference.files import write_text
from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model

__all__ = ["main"]

LENGTH = 1024
CALIBRATION_WINDOWS = 4
WINDOWS = 8
QUICK_WINDOWS = 2

_COMMAND = "python -m sw_reference.accuracy"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=_COMMAND, description="Perplexity of a model under each scheme.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help=f"ten schemes, {QUICK_WINDOWS} windows")
    size.add_argument("--extended", action="store_true", help="further thresholds and outliers per bank")
    size.add_argument("--grid", action="store_true", help="the paper's whole grid of banks, s, widths")
    size.add_argument("--verify", action="store_true", help="fast product against golden model")
    size.add_argument("--list", action="store_true", help="print the schemes of the default study and stop")
    parser.add_argument("--only", metavar="TEXT", action="append", help="schemes whose names contain TEXT")
    parser.add_argument("--windows", type=int, help=f"windows of {LENGTH} tokens (default: {WINDOWS})")
    parser.add_argument("--text", type=Path, metavar="FILE", help=f"evaluation text (default: {EVALUATION})")
    parser.add_argument("--calibration-text", type=Path, metavar="FILE", help="other text (default: Emma)")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of about 2.5 GB each (default: 2)")
    parser.add_argument("--cache", type=Path, default=Path("build/accuracy"), help="what is kept")
    parser.add_argument("--output", type=Path, default=Path("build/accuracy/accuracy.json"))
    parser.add_argument("--report", action="store_true", help="run nothing: report what is complete")
    options = parser.parse_args(arguments)
    for name in ("windows", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"{name.capitalize()} must be at least 1, not {value}")
    if options.windows is None:
        options.windows = QUICK_WINDOWS if options.quick else WINDOWS
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; ends with a one-line message if something is missing or wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _options(arguments)
    console = Console()
    schemes = _schemes(options)
    if options.list:
        for scheme in schemes:
            console.print(scheme.name, markup=False, highlight=False, soft_wrap=True)
        return 0
    try:
        study, texts = _study(options)
        if options.verify:
            return _verify(study, console)
        if not options.report:
            run(study, schemes, options.jobs, console)
        return _report(study, schemes, options, texts, console, arguments)
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on where it stopped")


def _schemes(options: argparse.Namespace) -> tuple[Scheme, ...]:
    schemes = default()
    for name, make in (("quick", quick), ("extended", extended), ("grid", grid)):
        if getattr(options, name):
            schemes = make()
    if options.only:
        always = ("float", INT8)  # what the others are compared with
        chosen = [s for s in schemes if s.name in always or any(text in s.name for text in options.only)]
        return tuple(chosen)
    return schemes


def _study(options: argparse.Namespace) -> tuple[Study, dict[str, Text]]:
    path = find_model()
    tokenizer = Tokenizer.from_metadata(GGUFFile(path).metadata)
    chosen = {
        "text": (options.text, EVALUATION),
        "calibration_text": (options.calibration_text, CALIBRATION),
    }
    texts = {
        name: read_text(file) if file else novel(title, options.cache)
        for name, (file, title) in chosen.items()
    }
    if texts["text"] == texts["calibration_text"]:
        raise ValueError("The calibration text must be another one than the evaluation text")
    evaluation = windows(tokenizer, texts["text"].text, options.windows, LENGTH, "evaluation")
    other = windows(tokenizer, texts["calibration_text"].text, CALIBRATION_WINDOWS, LENGTH, "calibration")
    return Study(path, evaluation, other, options.cache), texts


def _verify(study: Study, console: Console) -> int:
    model = Model.from_gguf(GGUFFile(study.model))
    with Progress(console=console) as progress:
        if not study.calibrated().path.is_file():
            bar = progress.add_task("Calibration windows", total=len(study.calibration))
            study.calibrated().make(model, study.calibration, lambda: progress.advance(bar))
        found = verify(model, study.calibrated(), study.evaluation[0], progress)
    total, different = sum(c.results for c in found), sum(c.different for c in found)
    for comparison in found:
        if comparison.different:
            console.print(f"{comparison.layer}, {comparison.formats}: {comparison.different} results differ")
    rows_by_limbs = sum(c.limbs for c in found)
    console.print(
        f"{len(found)} products of {len(found) // len(PAIRS)} layers, {total} float32 results compared "
        f"both ways round, {different} differ in a bit; {rows_by_limbs} rows needed limbs",
        soft_wrap=True,
        highlight=False,
    )
    return int(different > 0 or total == 0)


def _report(
    study: Study,
    schemes: tuple[Scheme, ...],
    options: argparse.Namespace,
    texts: dict[str, Text],
    console: Console,
    arguments: list[str],
) -> int:
    complete = {scheme: Result.read(study, scheme) for scheme in schemes}
    results = {scheme: result for scheme, result in complete.items() if result is not None}
    if not {"float", INT8} <= {scheme.name for scheme in results}:
        raise ValueError(f"A report needs the schemes 'float' and {INT8!r}, which are not complete")
    lines = rows(results)
    report: dict[str, Any] = {
        "command": shlex.join([*_COMMAND.split(), *(a for a in arguments if a != "--report")]),
        "configuration": {
            "windows": options.windows,
            "tokens_per_window": LENGTH,
            "calibration_windows": CALIBRATION_WINDOWS,
            "schemes": len(lines),
            "of": len(schemes),
        },
        "model": {"file": study.model.name, "sha256": hashlib.sha256(study.model.read_bytes()).hexdigest()},
        **{name: {"source": text.source, "sha256": text.sha256} for name, text in texts.items()},
        "versions": versions(),
        "rows": [row.as_dict() for row in lines],
        "outlier_positions": outlier_positions(study.calibrated(), _blocks(study)),
    }
    write_text(options.output, json.dumps(report, indent=1) + "\n")
    Console(width=max(console.width, TABLE_WIDTH)).print(table(lines))
    console.print(f"{options.output}: {len(lines)} of {len(schemes)} schemes", soft_wrap=True)
    return 0


def _blocks(study: Study) -> int:
    return int(GGUFFile(study.model).metadata["llama.block_count"])


if __name__ == "__main__":
    sys.exit(main())
