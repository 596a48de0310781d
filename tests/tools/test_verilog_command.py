# amaranth: UnusedElaboratable=no
"""The commands verilog and measure resources: options become configurations, refusals leave no files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sqhw import cli
from sqhw.commands import verilog
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.options import parameters, selected
from sqhw.presets import ARRAYS, ENGINE_PRESETS, PRESETS
from sqhw.tools.synth import Report
from sqhw.tools.tools import ToolError
from sw_reference.format import DenseFormat, SQFormat, as_parameters

EVERY_OPTION = """
    --bank 8 --outliers 2 --high int8 --mask sentinel --dense-bits 8 --group 32
    --lanes 4 --outlier-lanes 2 --k-max 256 --output-stage serial --pipeline long
"""

EVERY_PARAMETER = PEConfig(
    SQFormat(8, 2, "int8", "sentinel"), DenseFormat(8, 32), 4, 2, 256, output="serial", pipeline="long"
)

EVERY_ENGINE_OPTION = """
    --bank 8 --outliers 2 --high int8 --mask sentinel --dense-bits 8 --group 32
    --lanes 4 --outlier-lanes 2 --k-max 64 --output-stage serial --pipeline long
    --rows 4 --columns 8 --axi-bits 256 --block-tiles 2 --m-max 64 --n-max 32 --output-stages 8
    --unpacking serial
"""

EVERY_ENGINE_PARAMETER = EngineConfig(
    ArrayConfig(replace(EVERY_PARAMETER, k_max=64), 4, 8), 256, 2, 64, 32, 8, "serial"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


PE_REFUSALS = [
    ("--bank 12", "Bank must be a power of two from 4 to 128, not 12"),
    ("--bank 256", "Bank must be a power of two from 4 to 128, not 256"),
    ("--outliers 17", "Outliers must be an integer from 0 to 16, not 17"),
    ("--outliers -1", "Outliers must be an integer from 0 to 16, not -1"),
    ("--high fp8", "--high must be one of 'fp16', 'int8', not 'fp8'"),
    ("--dense-bits 5", "--dense-bits must be one of '4', '8', not '5'"),
    ("--group 2", "Group must be an integer from 4 to 65536, not 2"),
    (
        "--dense-outliers 1",
        "Dense bank must be a power of two from 4 to 128, not None "
        "(--dense-outliers 1, --dense-bank is none in preset default)",
    ),
    (
        "--dense-outliers 9 --dense-bank 8",
        "Dense outliers must be an integer from 1 to 8, not 9 (--dense-outliers 9, --dense-bank 8)",
    ),
    (
        "--group 24",
        "Group must be a multiple of the bank (16), not 24 (--group 24, --bank is 16 in preset default)",
    ),
    (
        "--preset tiny --bank 128 --group 64",
        "Group must be a multiple of the bank (128), not 64 (--group 64, --bank 128)",
    ),
    (
        "--bank 128",
        "Group must be a multiple of the bank (128), not 64 (--bank 128, --group is 64 in preset default)",
    ),
    (
        "--lanes 32",
        "Lanes must be a power of two from 1 to 16, not 32 (--lanes 32, --bank is 16 in preset default)",
    ),
    ("--bank 16 --lanes 32", "Lanes must be a power of two from 1 to 16, not 32 (--lanes 32, --bank 16)"),
    (
        "--bank 8",
        "Lanes must be a power of two from 1 to 8, not 16 (--bank 8, --lanes is 16 in preset default)",
    ),
    ("--scale e3m2s", "Scale must be 'e5m3' in hardware without an index mask, not 'e3m2s'"),
    (
        "--segment 8",
        "Segment must be 16 in hardware without an index mask, not 8 (--segment 8, --bank is 16 in preset "
        "default)",
    ),
    ("--group-scale linear8", "Group scale must be 'e3m3' in hardware without an index mask, not 'linear8'"),
    ("--offset true", "Offset must be False in hardware without an index mask, not True"),
    (
        "--dense-outliers 1 --dense-bank 16 --dense-mask index",
        "Dense mask must be 'bitmap' in hardware without an index mask, not 'index'",
    ),
    (
        "--group 8",
        "Group must be a multiple of the bank (16), not 8 (--group 8, --bank is 16 in preset default)",
    ),
    (
        "--outliers 0 --outlier-lanes 1",
        "Outlier lanes must be an integer from 0 to 0, not 1 (--outlier-lanes 1, --outliers 0)",
    ),
    (
        "--k-max 8",
        "K_max must be an integer from 16 to 1048576, not 8 (--k-max 8, --bank is 16 in preset default)",
    ),
    (
        "--preset huge",
        "--preset must be one of 'default', 'tiny', 'paper', 'lean', 'fine', 'both', not 'huge'",
    ),
    ("--preset tiny --preset paper --bank 8", "Parameters must change one preset, not 2"),
    ("--preset tiny --name 9", "Module name must be a Verilog identifier, not '9'"),
    ("--name pe", "Module name must be for one configuration, not 6"),
    ("--bank many", "--bank must be a valid integer, not 'many'"),
    ("--colour red", "No such option '--colour'."),
]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        *((f"verilog {options}", message) for options, message in PE_REFUSALS),
        ("verilog array --rows 17", "Rows must be an integer from 1 to 16, not 17"),
        (
            "verilog encoder --elements 64",
            "Elements must be a power of two from 1 to 32, not 64 "
            "(--elements 64, --bank is 32 in preset lean)",
        ),
        (
            "verilog engine --encoder 8",
            "Mask must be 'index' in an encoder, not 'bitmap' (--mask is bitmap in preset 8x8)",
        ),
        (
            "verilog engine --preset lean --encoder 64",
            "Encoder must be a power of two from 1 to 32, not 64 (--encoder 64, --bank is 32 in preset lean)",
        ),
        (
            "verilog engine --preset lean --input bf16",
            "Input must be 'fp16' in an engine without an encoder, not 'bf16'",
        ),
        (
            "verilog engine --columns 3",
            "Output stages must divide the columns (3), not 4 "
            "(--columns 3, --output-stages is 4 in preset 8x8)",
        ),
        (
            "verilog engine --rows 4 --columns 4 --lanes 32 --axi-bits 256 --pipeline long",
            "Lanes must be a power of two from 1 to 16, not 32 (--lanes 32, --bank is 16 in preset 8x8)",
        ),
        ("verilog cell", "No such command 'cell'."),
        ("measure resources --bank 12", "Bank must be a power of two from 4 to 128, not 12"),
    ],
)
def test_refusals(folder, capsys, typed, message):
    assert cli.main(typed.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"Error: {message}\n")
    assert list(folder.iterdir()) == []


def test_missing_tool(folder, capsys, monkeypatch):
    def missing():
        raise ToolError("Yosys is missing")

    monkeypatch.setattr(verilog, "yosys", missing)
    assert cli.main(["verilog", "--preset", "tiny"]) == 1
    assert capsys.readouterr().err == "Error: Yosys is missing\n"
    assert list(folder.iterdir()) == []


def test_files_and_manifest(folder, capsys):
    assert cli.main(["verilog", *EVERY_OPTION.split(), "--name", "mine", "--output", "out"]) == 0
    assert capsys.readouterr() == ("out/mine.v\n", "")
    files = ["mine.json", "mine.v", "mine.vlt", "mine.xml"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == files
    manifest = json.loads((folder / "out" / "mine.json").read_text())
    assert manifest["parameters"] == json.loads(json.dumps(as_parameters(EVERY_PARAMETER)))


def test_json_of_verilog(folder, capsys):
    typed = ["verilog", "--preset", "tiny", "--json"]
    assert cli.main(typed) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == f"sqhw {' '.join(typed)}"
    assert list(document["files"]) == ["build/verilog/sq_pe_tiny.v"]
    assert document["files"]["build/verilog/sq_pe_tiny.v"]["parameters"]["lanes"] == PRESETS["tiny"].lanes


def test_array(folder, capsys):
    assert cli.main(["verilog", "array", "--preset", "tiny", "--rows", "1"]) == 0
    assert capsys.readouterr().out == "build/verilog/sq_array_custom.v\n"
    manifest = json.loads(Path("build/verilog/sq_array_custom.json").read_text())
    assert manifest["parameters"] == json.loads(json.dumps(as_parameters(replace(ARRAYS["tiny"], rows=1))))


def typed_options(kind: str, typed: str) -> dict[str, object]:
    """What the options come to, as the command's function gets it."""
    command = getattr(verilog, kind)
    values = command.make_context(kind, typed.split()).params
    return {p.name: values[p.name] for p in parameters(verilog.KINDS[kind].config)}


def test_every_parameter_has_an_option():
    for kind in verilog.KINDS:
        names = {p.name for p in parameters(verilog.KINDS[kind].config)}
        flags = [option for p in getattr(verilog, kind).params for option in p.opts]
        assert len(flags) == len(set(flags))
        assert {f"--{name.replace('_', '-')}" for name in names} <= set(flags)
        assert all(p.text for p in parameters(verilog.KINDS[kind].config))


@pytest.mark.parametrize(
    ("kind", "labels", "typed", "configurations"),
    [
        ("pe", (), "", PRESETS),
        ("pe", ("paper",), "", {"paper": PRESETS["paper"]}),
        ("pe", (), "--k-max 64", {"custom": replace(PRESETS["default"], k_max=64)}),
        ("pe", ("tiny",), "--pipeline long", {"custom": replace(PRESETS["tiny"], pipeline="long")}),
        ("pe", (), "--outliers 2", {"custom": PEConfig(SQFormat(16, 2), outlier_lanes=2)}),
        ("pe", (), "--outliers 0", {"custom": PEConfig(SQFormat(16, 0), outlier_lanes=0)}),
        ("pe", (), "--group 0", {"custom": replace(PRESETS["default"], dense=DenseFormat(4))}),
        (
            "pe",
            (),
            "--dense-outliers 1 --dense-bank 32",
            {"custom": PEConfig(dense=DenseFormat(4, 64, 1, 32))},
        ),
        ("pe", (), EVERY_OPTION, {"custom": EVERY_PARAMETER}),
        ("engine", (), "", ENGINE_PRESETS),
        ("engine", (), EVERY_ENGINE_OPTION, {"custom": EVERY_ENGINE_PARAMETER}),
        ("array", ("tiny", "lean"), "", {name: ARRAYS[name] for name in ("tiny", "lean")}),
        ("array", (), "--rows 4", {"custom": replace(ARRAYS["default"], rows=4)}),
    ],
)
def test_selection(kind, labels, typed, configurations):
    own = verilog.KINDS[kind]
    assert selected(own.presets, own.base, labels, typed_options(kind, typed)) == configurations


def test_resources_writes_the_report(folder, capsys, monkeypatch):
    def synthesize(verilog, top, target, **_):
        return Report(top, target.name, {"DFF": 3}, {top: {"DFF": 1}, f"{top}.pe.decoder": {"DFF": 2}})

    monkeypatch.setattr(verilog.synthesis, "synthesize", synthesize)
    command = ["measure", "resources", "--preset", "tiny", "--target", "gates", "--output", "out.json"]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert "decoder" in captured.out
    assert captured.err == ""
    document = json.loads((folder / "out.json").read_text())
    assert document["command"] == f"sqhw {' '.join(command)}"
    results = document["designs"][0]["results"]
    assert list(results) == ["gates"]
    assert results["gates"]["total"] == {"GE": 12, "FF": 3}
    assert results["gates"]["blocks"]["decoder"] == {"GE": 8, "FF": 2}
