# amaranth: UnusedElaboratable=no
"""Command line: options become configurations, refusals are one line and leave nothing behind."""

import json
import re
from dataclasses import replace

import pytest

from sqhw import cli
from sqhw.config import PRESETS, PEConfig
from sqhw.options import selected
from sqhw.tools.synth import Report
from sqhw.tools.tools import ToolError
from sw_reference.format import DenseFormat, SQFormat

EVERY_OPTION = """
    --bank 8 --outliers 2 --high int8 --mask sentinel --dense-bits 8 --group 32
    --lanes 4 --outlier-lanes 2 --k-max 256 --ungated --output-stage serial
    --pipeline long
"""
EVERY_PARAMETER = PEConfig(
    SQFormat(8, 2, "int8", "sentinel"), DenseFormat(8, 32), 4, 2, 256, False, "serial", "long"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--bank 12", "Bank must be a power of two from 4 to 128, not 12"),
        ("--bank 256", "Bank must be a power of two from 4 to 128, not 256"),
        ("--outliers 17", "Outliers must be an integer from 0 to 16, not 17"),
        ("--outliers -1", "Outliers must be an integer from 0 to 16, not -1"),
        ("--high fp8", "High must be 'fp16' or 'int8', not 'fp8'"),
        ("--mask none", "Mask must be 'bitmap' or 'sentinel', not 'none'"),
        ("--dense-bits 5", "Dense bits must be 4 or 8, not 5"),
        ("--group 2", "Group must be an integer from 4 to 65536, not 2"),
        ("--dense-outliers 1", "Dense bank must be a power of two from 4 to 128, not None"),
        ("--dense-outliers 9 --dense-bank 8", "Dense outliers must be an integer from 1 to 8, not 9"),
        ("--group 24", "Group must be a multiple of the bank (16), not 24"),
        ("--lanes 32", "Lanes must be a power of two from 1 to 16, not 32"),
        ("--outlier-lanes 3", "Outlier lanes must be an integer from 1 to 2, not 3"),
        ("--outliers 0 --outlier-lanes 1", "Outlier lanes must be an integer from 0 to 0, not 1"),
        ("--lanes 0", "Lanes must be a power of two from 1 to 16, not 0"),
        ("--k-max 8", "K_max must be an integer from 16 to 1048576, not 8"),
        ("--output-stage none", "Output must be 'pipelined' or 'serial', not 'none'"),
        ("--pipeline deep", "Pipeline must be 'short' or 'long', not 'deep'"),
        ("--preset huge", "Preset must be one of default, compact, tiny, fp16, wide, paper, not 'huge'"),
        ("--preset tiny --name 9", "Module name must be a Verilog identifier, not '9'"),
        ("--name pe", "Module name must stand with one configuration: add --preset or parameters"),
        ("--bank many", "Invalid value for '--bank': 'many' is not a valid integer."),
        ("--colour red", "No such option '--colour'."),
    ],
)
def test_refusals(folder, capsys, options, message):
    assert cli.main(["verilog", *options.split()]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"Error: {message}\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["verilog", "lint", "synth"])
def test_every_command_refuses(folder, command):
    assert cli.main([command, "--bank", "12"]) == 2
    assert list(folder.iterdir()) == []


def test_missing_tool(folder, capsys, monkeypatch):
    def emit(*_):
        raise ToolError("Yosys is missing")

    monkeypatch.setattr(cli, "emit", emit)
    assert cli.main(["verilog", "--preset", "tiny"]) == 1
    assert capsys.readouterr().err == "Error: Yosys is missing\n"
    assert list(folder.iterdir()) == []


def test_every_parameter_has_an_option(folder):
    assert cli.main(["verilog", *EVERY_OPTION.split(), "--name", "mine", "--output", "out"]) == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["mine.json", "mine.v"]
    assert json.loads((folder / "out" / "mine.json").read_text())["parameters"] == {
        "sq": {"bank": 8, "outliers": 2, "high": "int8", "mask": "sentinel"},
        "dense": {"bits": 8, "group": 32, "outliers": 0, "bank": None},
        "lanes": 4,
        "outlier_lanes": 2,
        "k_max": 256,
        "gated": False,
        "output": "serial",
        "pipeline": "long",
    }


@pytest.mark.parametrize(
    ("label", "parameters", "configurations"),
    [
        (None, {}, PRESETS),
        ("wide", {}, {"wide": PRESETS["wide"]}),
        (None, {"k_max": 64}, {"custom": replace(PRESETS["default"], k_max=64)}),
        ("tiny", {"gated": False}, {"custom": replace(PRESETS["tiny"], gated=False)}),
        (None, {"outliers": 1}, {"custom": PEConfig(SQFormat(16, 1), outlier_lanes=1)}),
        (None, {"outliers": 0}, {"custom": PEConfig(SQFormat(16, 0), outlier_lanes=0)}),
        (None, {"group": 0}, {"custom": replace(PRESETS["default"], dense=DenseFormat(4))}),
        (
            None,
            {"dense_outliers": 1, "dense_bank": 32},
            {"custom": PEConfig(dense=DenseFormat(4, 64, 1, 32))},
        ),
    ],
)
def test_selection(label, parameters, configurations):
    assert selected(label, **parameters) == configurations


def test_selection_of_everything():
    names = {
        "bank": 8,
        "outliers": 2,
        "high": "int8",
        "mask": "sentinel",
        "dense_bits": 8,
        "group": 32,
        "lanes": 4,
        "outlier_lanes": 2,
        "k_max": 256,
        "gated": False,
        "output_stage": "serial",
        "pipeline": "long",
    }
    assert selected(None, **names) == {"custom": EVERY_PARAMETER}


def test_presets(capsys):
    assert cli.main(["presets"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in PRESETS)
    assert re.search(rf"accumulator bits +│ {PRESETS['default'].acc_bits} ", output)


def test_synth_writes_both_reports(folder, capsys, monkeypatch):
    def synthesize(verilog, top, target, **_):
        return Report(top, target.name, {"DFF": 3}, {top: {"DFF": 1}, f"{top}.pe.decoder": {"DFF": 2}})

    monkeypatch.setattr(cli.resources, "synthesize", synthesize)
    command = ["synth", "--preset", "tiny", "--target", "gates", "--output", "out"]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert "decoder" in captured.out
    assert captured.err == "Synthesized sq_pe_tiny for Generic gates\n"
    document = json.loads((folder / "out" / "synth.json").read_text())
    assert document["command"] == f"python -m sqhw {' '.join(command)}"
    results = document["designs"][0]["results"]
    assert list(results) == ["gates"]
    assert results["gates"]["total"] == {"GE": 12, "FF": 3}
    assert results["gates"]["blocks"]["decoder"] == {"GE": 8, "FF": 2}
    assert f"Made by `{document['command']}`" in (folder / "out" / "synth.md").read_text()


def test_help(capsys):
    commands = ("presets", "verilog", "lint", "synth", "quantize", "inspect", "ppa", "energy", "explore")
    for command in ("", *commands):
        assert cli.main([*command.split(), "--help"]) == 0
        assert capsys.readouterr().out.startswith("Usage: python -m sqhw")


def test_no_command_is_help(capsys):
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "sqhw, version 0.1.0\n"
