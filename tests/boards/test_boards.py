# amaranth: UnusedElaboratable=no
"""The boards: constraints as committed, the flow with stand-ins for its tools, reports."""

import json
from pathlib import Path

import pytest

from sqhw import cli
from sqhw.boards import build as flow
from sqhw.boards.build import Bitstream, TimingError
from sqhw.boards.report import markdown
from sqhw.boards.targets import BOARDS, board
from sqhw.tools.tools import ToolError
from sw_reference.format import as_parameters

ROOT = Path(__file__).parents[2]
VERSIONS = {"nextpnr": "0"}


@pytest.mark.parametrize("name", BOARDS)
def test_committed_constraints(name):
    """`sqhw bitstream --constraints` writes them again."""
    file, text = flow.constraints(BOARDS[name])
    assert (ROOT / "constraints" / name / file).read_text() == text
    assert "uart_0__rx__io" in text


def test_board_by_name():
    assert board("ulx3s").title == "ULX3S 85F"
    with pytest.raises(ValueError) as caught:
        board("de0")
    names = "'ulx3s', 'ulx3s-imported', 'orangecrab', 'icebreaker' or 'arty-a7'"
    assert str(caught.value) == f"Board must be {names}, not 'de0'"


class Plan:
    """In the place of Amaranth's: writes nothing, and has a digest."""

    def __init__(self, content):
        self.content = content

    def digest(self):
        return self.content

    def extract(self, folder):
        assert folder.is_dir()


@pytest.fixture
def tools(monkeypatch):
    """No tool runs; the report is what the fixture holds. Counts the runs."""
    state = {"achieved": 50.0, "content": b"one", "runs": 0}

    def run(command, here, environment):
        state["runs"] += 1
        clock = {"achieved": state["achieved"], "constraint": 25.0}
        cells = {"TRELLIS_COMB": {"used": 100, "available": 1000}, "IOLOGIC": {"used": 0, "available": 9}}
        (here / "report.json").write_text(json.dumps({"fmax": {"clk": clock}, "utilization": cells}))
        (here / "top.bit").touch()

    monkeypatch.setattr(flow, "required_tools", lambda board: VERSIONS)
    monkeypatch.setattr(flow, "package_tool", lambda *names: type("Tool", (), {"path": "true"}))
    monkeypatch.setattr(flow, "_prepare", lambda board, config: Plan(state["content"]))
    monkeypatch.setattr(flow, "_run", run)
    return state


def test_bitstreams_are_kept_until_the_design_changes(tools, tmp_path):
    made = flow.build(BOARDS["ulx3s"], folder=tmp_path)
    assert made == Bitstream(
        "ulx3s", str(tmp_path / "ulx3s" / "top.bit"), {"LUT": 100}, {"LUT": 1000}, 50.0, 25.0
    )
    assert flow.build(BOARDS["ulx3s"], folder=tmp_path) == made
    assert tools["runs"] == 1
    tools["content"] = b"two"
    flow.build(BOARDS["ulx3s"], folder=tmp_path)
    assert tools["runs"] == 2


def test_a_clock_that_is_too_slow_is_an_error(tools, tmp_path):
    tools["achieved"] = 24.5
    for _ in range(2):
        with pytest.raises(TimingError) as caught:
            flow.build(BOARDS["ulx3s"], folder=tmp_path)
        assert str(caught.value) == (
            "ULX3S 85F: the clock must be 25 MHz, but the engine reaches 24.5 MHz "
            f"(log: {tmp_path / 'ulx3s' / 'top'}.tim)"
        )
    assert tools["runs"] == 1


def test_command(tools, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sqhw.commands.bitstream.required_tools", lambda board: VERSIONS)
    assert cli.main(["bitstream", "ulx3s", "--output", "out"]) == 0
    assert "ulx3s: build/boards/ulx3s/top.bit" in capsys.readouterr().out
    document = json.loads(Path("out/boards.json").read_text())
    assert document["boards"][0]["fmax_mhz"] == 50.0
    assert "| ULX3S 85F | ECP5 LFE5U-85F |" in Path("out/boards.md").read_text()
    assert "| 100 (10%) |" in Path("out/boards.md").read_text()
    tools["achieved"], tools["content"] = 20.0, b"slow"
    assert cli.main(["bitstream", "ulx3s", "--output", "out"]) == 1
    assert "the clock must be 25 MHz, but the engine reaches 20 MHz" in capsys.readouterr().out


def test_a_tool_that_fails(tmp_path):
    with pytest.raises(ToolError) as caught:
        flow._run(["sh", "-c", "echo ERROR: no room; exit 1"], tmp_path, {})
    assert str(caught.value) == (f"{tmp_path.name} could not be built: ERROR: no room (logs: {tmp_path})")


XDC = 'set_property LOC A9 [get_ports "rx"]\nset_property LOC D10 [get_ports "tx"]\n'
VERILOG = "module top(rx, tx);\n  input rx;\n  output tx;\nendmodule\n"


def test_constraints_and_ports_agree():
    flow._check_ports(XDC, VERILOG)
    for xdc, verilog, odd in (
        (XDC.replace('"tx"', '"tz"'), VERILOG, "tx, tz"),
        (XDC, VERILOG.replace("input rx", "input ry"), "rx, ry"),
    ):
        with pytest.raises(ToolError) as caught:
            flow._check_ports(xdc, verilog)
        assert str(caught.value) == f"Constraints and ports must agree, but differ in {odd}"


def test_committed_report():
    """The table is made from the document, and every board in it meets its clock."""
    document = json.loads((ROOT / "docs" / "results" / "boards.json").read_text())
    assert markdown(document) == (ROOT / "docs" / "results" / "boards.md").read_text()
    assert document["boards"]
    for entry in document["boards"]:
        assert entry["fmax_mhz"] is None or entry["fmax_mhz"] >= entry["clock_mhz"]
        assert entry["parameters"] == as_parameters(BOARDS[entry["board"]].config)
