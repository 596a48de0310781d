"""What all commands share: JSON, exit codes, refusals, tables, progress."""

import io
import json
import sys
import time

import click
import pytest

from sqhw import cli, console
from sqhw.cli import Group
from sqhw.console import Command, Outcome, Refused, plain, progress, refusing, run, say, table
from sqhw.tools.tools import ToolError

ESCAPES = "[bold]a\x1b[31m\u2028b\x07"


def fail(error: BaseException) -> None:
    raise error


@click.command(cls=Command)
@click.option("--count", type=int, default=3, help="Of things.")
@click.option("--share", type=click.IntRange(1, 9), default=1, help="Of each.")
@click.option("--least", type=click.IntRange(1), default=1, help="At least.")
@click.option("--kind", type=click.Choice(["a", "b"]), default="a", help="Of thing.")
def things(count: int, **_: object) -> Outcome:
    """Count things."""
    with refusing():
        if count > 9:
            raise ValueError(f"Count must be 9 or less, not {count}")
    say(f"{count} things") if count < 0 else None
    return Outcome(
        {"count": count, "command": console.command_line()}, lambda: say(f"{count} things"), count > 0
    )


COMMANDS = {
    "things": (f"{__name__}:things", "Count things."),
    "sim": ("sim.no_such_module:sim", "Simulate."),
    "broken": ("no_such_package:broken", "Break."),
}
GROUP = Group("sqhw", "Do things.", COMMANDS, default="things")


@pytest.mark.parametrize(
    ("typed", "code", "out", "err"),
    [
        ("things", 0, "3 things\n", ""),
        ("", 0, "3 things\n", ""),
        ("--count 4", 0, "4 things\n", ""),
        ("things --count 0", 1, "0 things\n", ""),
        ("things --count 10", 2, "", "Error: Count must be 9 or less, not 10\n"),
        ("things --count x", 2, "", "Error: --count must be a valid integer, not 'x'\n"),
        ("--share 0", 2, "", "Error: --share must be from 1 to 9, not 0\n"),
        ("--least 0", 2, "", "Error: --least must be 1 or more, not 0\n"),
        ("--kind c", 2, "", "Error: --kind must be one of 'a', 'b', not 'c'\n"),
        ("nothing", 2, "", "Error: No such command 'nothing'.\n"),
        (
            "sim",
            1,
            "",
            "Error: sqhw sim needs a checkout of the project: `git clone` it, then `make venv` there\n",
        ),
        (
            "broken",
            1,
            "",
            "Error: Python's package no_such_package is needed, but it is not installed: run `make venv`\n",
        ),
    ],
)
def test_exit_codes(capsys, typed, code, out, err):
    assert run(GROUP, typed.split()) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (out, err)


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (ToolError("g++ is missing"), 1, "Error: g++ is missing\n"),
        (FileNotFoundError(2, "No such file", "a\x1b"), 1, "Error: [Errno 2] No such file: 'a\\x1b'\n"),
        (Refused("Bank must be 4, not 5"), 2, "Error: Bank must be 4, not 5\n"),
        (KeyboardInterrupt(), 130, "Interrupted\n"),
    ],
)
def test_errors_are_one_line(capsys, error, code, err):
    command = Command("fails", callback=lambda: fail(error))
    assert run(command, []) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err.lstrip("\n")) == ("", err)


def test_other_errors_are_faults_of_the_program():
    with pytest.raises(ZeroDivisionError):
        run(Command("fails", callback=lambda: 1 / 0), [])


def test_json_is_all_that_is_printed(capsys):
    assert run(GROUP, ["things", "--json", "--count", "0"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"count": 0, "command": "sqhw things --json --count 0"}
    assert captured.err == ""


def test_help_imports_no_command(capsys, monkeypatch):
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: pytest.fail(name))
    assert run(GROUP, ["-h"]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["things", "Count", "things.", "[default]"],
        ["sim", "Simulate."],
        ["broken", "Break."],
    ]


def test_help_shows_defaults(capsys):
    assert run(GROUP, ["things", "-h"]) == 0
    assert "Of things.  [default: 3]" in capsys.readouterr().out


def test_what_the_encoding_lacks_is_escaped(monkeypatch):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="ascii"))
    assert run(Command("prints", callback=lambda: Outcome({}, lambda: table("ä", ("n",), [["µ"]]))), []) == 0
    sys.stdout.flush()
    assert file.getvalue().decode("ascii").split() == ["\\xe4", "n", "----", "\\xb5"]


def test_names_are_never_markup_nor_control(capsys):
    assert plain(ESCAPES) == "[bold]a\\x1b[31m\\u2028b\\x07"
    say(ESCAPES)
    table("", ("name", "n"), [[ESCAPES, 1]])
    out = capsys.readouterr().out
    assert out.count(plain(ESCAPES)) == 2
    assert not set(out) & set("\x1b\x07\u2028")


def test_tables_wrap_text_and_keep_numbers_whole(capsys):
    words, numbers = " ".join(["word"] * 40), ["1,234,567.5"] * 4
    table("Title", ("text", *"abcd"), [[words, *numbers], None, ["", *numbers]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title"
    assert max(map(len, lines)) <= 80
    assert sum(line.count("word") for line in lines) == 40
    assert sum(line.count("1,234,567.5") for line in lines) == 8


def test_tables_of_too_many_numbers_are_wider_not_cut(capsys):
    table("", [f"n{i}" for i in range(12)], [["1,234,567.5"] * 12])
    assert capsys.readouterr().out.count("1,234,567.5") == 12


def test_tables_cut_no_cell(capsys):
    """Whatever the widths: cells of words wrap, and a table may be wider than the terminal."""
    compared = 0
    for words in (1, 3, 12):
        for numbers in (0, 4, 9, 14):
            text, number = " ".join(["vwxyzvwx"] * words), "1,234,567.5"
            columns = ["quiet banks of 16"] * (2 + numbers)
            table("", columns, [[text, f"3 of {text}", *[number] * numbers]])
            out = capsys.readouterr().out
            assert out.count("z") == 2 * words
            assert out.count(number) == numbers
            assert out.count("q") == 2 + numbers
            compared += 1
    assert compared == 12


def test_log_has_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(console, "LOG_SECONDS", 0.05)
    with progress() as begin:
        done, note = begin("Exploring", 3), begin("Compiling\x1b")
        done("bank 16")
        begin("Quick", 1)()
        note("yosys")
        time.sleep(0.3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Exploring: bank 16, 1 of 3, 0 s\n" in captured.err
    assert "Compiling" in captured.err
    assert "Quick" not in captured.err


def test_quick_work_writes_no_line(capsys):
    with progress() as begin:
        begin("Exploring", 1)("all")
    assert capsys.readouterr() == ("", "")
