"""``python -m sqhw`` where it cannot work: one line that says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def started(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("version", "works"),
    [((3, 9, 2), False), ((3, 10, 13), False), ((3, 14, 0), False), ((4, 0, 0), False), (None, True)],
)
def test_other_pythons_are_named(version, works):
    text = ".".join(map(str, version or ()))
    pretend = f"sys.version_info, sys.version = {version}, '{text} (main)'" if version else "pass"
    result = started("-c", f"import runpy, sys\n{pretend}\nrunpy.run_module('sqhw', run_name='__main__')")
    if works:
        assert "Usage: sqhw" in result.stdout + result.stderr
    else:
        message = f"Error: Python must be 3.11, 3.12 or 3.13, not {text}\n"
        assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


def test_before_the_install(tmp_path):
    """-S hides installed packages."""
    result = started("-S", "-m", "sqhw", "--help", PYTHONPATH=str(ROOT))
    message = f"Error: Python's package click is needed, but {sys.executable} lacks it: "
    remedy = "run `make venv`, then `.venv/bin/sqhw`\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message + remedy)


def test_a_home_that_cannot_be_written(tmp_path):
    """Commands that need no tool do not look at HOME; without one nothing fails either."""
    for home in ({"HOME": "/dev/null"}, {"HOME": ""}, {"HOME": str(tmp_path / "none")}):
        result = started("-m", "sqhw", "presets", "--json", **home)
        assert (result.returncode, result.stderr) == (0, "")


SHOW = """
import click, sys
from sqhw.console import Command, Outcome, progress, run, say, table
@click.command(cls=Command)
def show():
    with progress() as begin:
        done = begin("stage", 2)
        say("while it works", err=True)
        table("", ["a"], [[1]])
        done("half")
    return Outcome({}, lambda: table("title", ["a", "b"], [[1, 2]] * 9999), sys.argv[2] == "right")
sys.exit(run(show, sys.argv[3:]))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-m", "sqhw", "presets"], 0),
        (["-m", "sqhw", "presets", "--json"], 0),
        (["-m", "sqhw", "--help"], 0),
        (["-m", "sqhw", "registers", "-h"], 0),
        (["-m", "sqhw", "nothing"], 2),
        (["-c", SHOW, "", "right"], 0),
        (["-c", SHOW, "", "wrong"], 1),
        (["-c", SHOW, "", "wrong", "--json"], 1),
    ],
)
@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_reader_that_has_enough(arguments, code, closed):
    """The command works to its end, says nothing of the pipe, and its exit code is the truth."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=writer,
            stderr=writer if closed == "both" else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert result.returncode == code
    assert "pipe" not in (result.stderr or "").lower()
