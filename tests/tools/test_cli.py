# amaranth: UnusedElaboratable=no
"""Command line: one documented tree, help everywhere, lists of presets and registers."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click

from sqhw import cli
from sqhw.console import Command
from sqhw.presets import ARRAYS, ENGINE_PRESETS, PRESETS

ROOT = Path(__file__).parents[2]


def test_presets(capsys):
    assert cli.main(["presets"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in (*PRESETS, *ARRAYS, *ENGINE_PRESETS, "icebreaker"))
    assert max(map(len, output.splitlines())) <= 80
    assert cli.main(["presets", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["pe", "array", "encoder", "engine", "board"]
    assert document["pe"]["default"]["accumulator bits"] == PRESETS["default"].acc_bits


def test_registers(capsys):
    assert cli.main(["registers", "--json"]) == 0
    offsets = [register["offset"] for register in json.loads(capsys.readouterr().out)]
    assert cli.main(["registers"]) == 0
    header = capsys.readouterr().out
    assert offsets
    assert all(f" 0x{offset:02X}u\n" in header for offset in offsets)


def commands(group: cli.Group, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Every command of the tree by what is typed."""
    found = {}
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        found[" ".join((*path, name))] = command
        if isinstance(command, cli.Group):
            found |= commands(command, (*path, name))
    return found


def test_every_command_has_help(capsys):
    tree = commands(cli.cli)
    assert len(tree) >= 25
    for typed, command in tree.items():
        for flag in ("-h", "--help"):
            assert cli.main([*typed.split(), flag]) == 0, typed
            assert capsys.readouterr().out.startswith(f"Usage: sqhw {typed} ["), typed
        assert command.help, typed
        assert isinstance(command, cli.Group | Command), typed  # so it has --json


def test_every_option_is_explained():
    for typed, command in commands(cli.cli).items():
        for option in command.params:
            if isinstance(option, click.Option) and option.opts != ["--help"]:
                assert option.help, f"{typed} {option.opts}"


def test_tree_is_the_documented_one():
    assert list(cli.cli.lazy) == [
        "presets",
        "verilog",
        "registers",
        "bitstream",
        "board",
        "quantize",
        "inspect",
        "generate",
        "compare",
        "sim",
        "verify",
        "measure",
        "data",
    ]


def test_help_imports_little():
    """`sqhw --help` answers at once: neither NumPy nor Amaranth is loaded."""
    program = (
        "import sys; from sqhw.cli import main; main(['--help']); main(['measure', '-h'])\n"
        "print([name for name in sys.modules if name in ('numpy', 'amaranth', 'cocotb', 'matplotlib')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_before_the_install(tmp_path):
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(name='click')\n")
    result = subprocess.run(
        [sys.executable, "-m", "sqhw", "presets"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: Python's package click is needed, but {sys.executable} lacks it: "
        "run `make venv`, then `.venv/bin/sqhw`\n"
    )


def test_sim_and_verify_need_a_checkout(capsys, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name="sim")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert cli.main(["verify", "formal"]) == 1
    assert capsys.readouterr().err == (
        "Error: sqhw verify needs a checkout of the project: `git clone` it, then `make venv` there\n"
    )


def test_no_command_is_help(capsys):
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "sqhw, version 0.1.0\n"
