"""``python -m sim.plan``: each test that docs/verification.md names ran and passed, by pytest's reports."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

__all__ = ["check", "named_tests", "outcomes", "slow_tests"]

PAGE = Path("docs/verification.md")
REPORTS = Path("build/test")
OUTPUT = Path("build/plan/plan.json")
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
    """Names of the functions of a file that are marked slow as a whole; with them "", if the file is."""
    body = ast.parse(path.read_text()).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef)]
    if any(ast.unparse(node) == f"pytestmark = {SLOW}" for node in body if isinstance(node, ast.Assign)):
        return {"", *(test.name for test in tests)}
    return {
        test.name
        for test in tests
        if any(ast.unparse(decorator) == SLOW for decorator in test.decorator_list)
    }


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


@click.command()
@click.argument("reports", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default=OUTPUT, show_default=True)
def main(reports: tuple[Path, ...], output: Path) -> None:
    """Check that the plan's tests ran and passed, by JUnit reports; by default those of `make test`."""
    console = Console()
    chosen = reports or tuple(sorted(REPORTS.glob("*.xml")))
    if not chosen:
        console.print(f"No report in {REPORTS}: run `make test` first", style="red", soft_wrap=True)
        sys.exit(1)
    result = check(named_tests(PAGE.read_text()), outcomes(chosen))
    counts = {key: len(names) for key, names in result.items()}
    document: dict[str, Any] = {
        "command": " ".join(["python -m sim.plan", *map(str, chosen)]),
        "counts": counts | {"all": sum(counts.values())},
        "tests": result,
    }
    write_text(output, as_json(document))
    for key in ("failed", "missing", "skipped", "slow"):
        for name in result[key]:
            text = "slow, and not in these reports" if key == "slow" else key
            console.print(f"{text}: {name}", highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"{counts['passed']} of {sum(counts.values())} tests of the plan ran and passed; {counts['slow']} "
        f"slow ones did not run, {counts['skipped']} were skipped; {output}",
        highlight=False,
        soft_wrap=True,
    )
    sys.exit(1 if result["failed"] or result["missing"] or not result["passed"] else 0)


if __name__ == "__main__":
    main()
