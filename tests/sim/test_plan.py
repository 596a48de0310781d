"""The plan's checker: what ran, what did not, what is slow; a test that is named and did not run is told."""

import json
from pathlib import Path

import pytest

from sim import plan
from sqhw.cli import main

PAGE = """
| block | property | covered by |
|---|---|---|
| A | one | `tests/sim/test_plan.py::test_a`, `decoder` |
| B | two | `tests/sim/test_plan.py::test_b`, `tests/sim/test_netlist.py` |
| C | `tests/sim/test_plan.py::not_in_the_last_column` | `tests/sim/test_netlist.py::test_command` |
"""
CASES = """<testsuites><testsuite>
<testcase classname="tests.sim.test_plan" name="test_a[1]"/>
<testcase classname="tests.sim.test_plan" name="test_a[2]"><skipped/></testcase>
<testcase classname="tests.sim.test_plan" name="test_b"><failure>no</failure></testcase>
<testcase classname="tests.sim.test_netlist" name="test_c"><skipped/></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def report(tmp_path) -> Path:
    path = tmp_path / "junit.xml"
    path.write_text(CASES)
    return path


def test_names_are_those_of_the_last_column():
    assert plan.named_tests(PAGE) == [
        "tests/sim/test_netlist.py",
        "tests/sim/test_netlist.py::test_command",
        "tests/sim/test_plan.py::test_a",
        "tests/sim/test_plan.py::test_b",
    ]


def test_tests_are_sorted_by_what_became_of_them(report):
    names = [*plan.named_tests(PAGE), "tests/sim/test_plan.py::test_never"]
    assert plan.check(names, plan.outcomes([report])) == {
        "passed": ["tests/sim/test_plan.py::test_a"],
        "failed": ["tests/sim/test_plan.py::test_b"],
        "skipped": ["tests/sim/test_netlist.py"],
        "slow": ["tests/sim/test_netlist.py::test_command"],
        "missing": ["tests/sim/test_plan.py::test_never"],
    }


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("pytestmark = {mark}\ndef test_x(): pass\ndef test_y(): pass\n", {"", "test_x", "test_y"}),
        ("@{mark}\ndef test_x(): pass\ndef helper(): pass\n", {"", "test_x"}),
        ("@{mark}\ndef test_x(): pass\ndef test_y(): pass\n", {"test_x"}),
        ("other = {mark}\ndef test_x(): pass\n", set()),
    ],
)
def test_a_file_can_be_slow_as_a_whole(tmp_path, text, slow):
    path = tmp_path / "test_x.py"
    path.write_text(text.format(mark=plan.SLOW))
    assert plan.slow_tests(path) == slow


def run(*arguments):
    return main(["verify", "plan", *map(str, arguments)])


def test_a_test_that_did_not_run_fails_the_command(report, tmp_path, monkeypatch, capsys):
    output = tmp_path / "plan.json"
    assert run("--junit", report, "--output", output) == 1
    assert "missing: tests/pe/test_pe.py::test_agrees_with_the_golden_model" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text("| A | one | `tests/sim/test_plan.py::test_a` |\n")
    monkeypatch.setattr(plan, "PAGE", page)
    assert run("--junit", report, "--output", output) == 0
    assert json.loads(output.read_text())["passed_tests"] == 1


def test_without_a_report_it_says_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "REPORTS", tmp_path)
    assert run() == 1
    assert capsys.readouterr().err == f"Error: No report in {tmp_path}: run `make test` first\n"
