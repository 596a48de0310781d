"""Layers for PyTorch, and plug-ins for Transformers and compressed-tensors: the tests that need these."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sim.plan import outcomes
from sim.report import Check, Failure, Report
from sqhw.console import Begin

__all__ = ["CHECK", "COMMAND", "run"]

_TESTS = ("tests/torch", "tests/docs/test_notebook.py")
_PACKAGES = ("torch", "transformers", "compressed-tensors")


def run(folder: Path, begin: Begin) -> Report:
    """Run the tests of sqhw.torch: codes and results against the golden model, models saved and loaded."""
    missing = [name for name in _PACKAGES if find_spec(name.replace("-", "_")) is None]
    if missing:
        raise Failure(f"Python's package {missing[0]} is needed, but it is not installed: run `make torch`")
    found = folder / "torch.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "torch", *_TESTS, f"--junitxml={found}"]
    step = begin("Tests", 1)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    step("")
    if not found.is_file():
        raise Failure(f"The tests broke off: {result.stdout.strip()[-1000:]}{result.stderr.strip()[-1000:]}")
    tests = outcomes([found])
    total = sum(tests.values(), Counter())
    counts = {f"{kind}_tests": total[kind] for kind in ("passed", "failed", "skipped")}
    rows = [{"test": name, **dict(cases)} for name, cases in tests.items()]
    problems = [f"failed: {name}" for name, cases in tests.items() if cases["failed"]]
    if not total["passed"]:
        problems.append("no test passed")
    tools = {name: version(name) for name in _PACKAGES}
    return Report(counts, {"tests": rows}, problems, {"tests": ()}, tools)


CHECK = Check(
    "torch",
    "PyTorch",
    run,
    "{passed_tests} tests of layers and plug-ins passed, {failed_tests} failed, {skipped_tests} skipped",
    (),
    seeded=False,
)
COMMAND = CHECK.command()
