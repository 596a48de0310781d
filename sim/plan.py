"""The test plan: each test that docs/verification.md names ran and passed, by pytest's reports."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import click

from sim.report import Check, Failure, Report
from sqhw.console import Begin

__all__ = ["CHECK", "COMMAND", "check", "named_tests", "outcomes", "run", "slow_tests"]

PAGE = Path("docs/verification.md")
REPORTS = Path("build/tests")
SLOW = "pytest.mark.slow"
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def named_tests(page: str) -> list[str]:
    """Tests, or files of tests, in the last column of the page's tables."""
    rows = [line.rstrip("| ").rpartition("|")[2] for line in page.splitlines() if line.startswith("| ")]
    names = {name for row in rows for name in re.findall(r"`(tests/[^`]+)`", row)}
    return sorted(names)


def outcomes(reports: Iterable[Path]) -> dict[str, Counter[str]]:
    """Per test ``tests/x.py::name``: how many of its cases passed, failed, were skipped; over all reports."""
    found: dict[str, Counter[str]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            file = case.attrib["classname"].replace(".", "/")
            name = case.attrib["name"].partition("[")[0]
            kinds = {OUTCOMES[child.tag] for child in case if child.tag in OUTCOMES}
            (outcome,) = kinds or {"passed"}
            found.setdefault(f"{file}.py::{name}", Counter())[outcome] += 1
    return found


def slow_tests(path: Path) -> set[str]:
    """Names of the tests of a file that are marked slow; with them "", if they are all there are."""
    body = ast.parse(path.read_text()).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    whole = any(ast.unparse(node) == f"pytestmark = {SLOW}" for node in body if isinstance(node, ast.Assign))
    slow = {
        test.name
        for test in tests
        if whole or any(ast.unparse(decorator) == SLOW for decorator in test.decorator_list)
    }
    return slow | {""} if len(slow) == len(tests) else slow


def check(names: Iterable[str], found: dict[str, Counter[str]]) -> dict[str, list[str]]:
    """Sorts the plan's tests by what became of them.

    Returns
    -------
    dict of list of str
        ``passed``; ``failed``; ``skipped``, all of whose cases were; ``slow``, which did not run, but are
        marked slow; ``missing``, which did not run at all.
    """
    sorted_: dict[str, list[str]] = {key: [] for key in ("passed", "failed", "skipped", "slow", "missing")}
    for name in names:
        file, _, function = name.partition("::")
        total: Counter[str] = Counter()
        for test, counts in found.items():
            if test == name or (not function and test.startswith(f"{file}::")):
                total += counts
        if total["failed"]:
            sorted_["failed"].append(name)
        elif total["passed"]:
            sorted_["passed"].append(name)
        elif total["skipped"]:
            sorted_["skipped"].append(name)
        elif function in slow_tests(Path(file)):
            sorted_["slow"].append(name)
        else:
            sorted_["missing"].append(name)
    return sorted_


def run(folder: Path, begin: Begin, *, junit: Sequence[Path]) -> Report:
    """Check that each test that docs/verification.md names ran and passed, by pytest's reports."""
    reports = junit or sorted(REPORTS.rglob("*.xml"))
    if not reports:
        raise Failure(f"No report in {REPORTS}: run `make test` first")
    result = check(named_tests(PAGE.read_text()), outcomes(reports))
    counts = {f"{key}_tests": len(names) for key, names in result.items()}
    tests = [{"test": name, "outcome": key} for key, names in result.items() for name in names]
    problems = [f"{key}: {name}" for key in ("failed", "missing") for name in result[key]]
    if not result["passed"]:
        problems.append("no test passed")
    return Report(counts | {"all_tests": len(tests)}, {"tests": tests}, problems, {"tests": ()})


CHECK = Check(
    "plan",
    "Test plan",
    run,
    "{passed_tests} of {all_tests} ran and passed; {slow_tests} slow ones did not run, {skipped_tests} "
    "skipped",
    (),
    options=(
        click.Option(
            ["--junit"],
            multiple=True,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help=f"Reports of pytest; by default those in {REPORTS}.",
        ),
    ),
    seeded=False,
)
COMMAND = CHECK.command()
