"""Synthesis: counts of a design small enough to count by hand, the cache, and the reports."""

import json

import pytest

from sqhw.emit import Design
from sqhw.measure.resources import ALL, OTHER, block_of, blocks, measure, page
from sqhw.tools import synth
from sqhw.tools.synth import Report, synthesize
from sqhw.tools.targets import GENERIC, TARGETS
from sqhw.tools.tools import ToolError

# Two registers of 3 bits behind an exclusive or of 3 bits, and one register of 2 bits at the top.
TEXT = """
module pair(input clk, input [2:0] a, input [2:0] b, output reg [2:0] o);
  always @(posedge clk) o <= a ^ b;
endmodule
module top(input clk, input [2:0] a, input [2:0] b, output [2:0] o, output reg [1:0] p);
  wire [2:0] x;
  pair first(.clk(clk), .a(a), .b(b), .o(x));
  pair second(.clk(clk), .a(x), .b(b), .o(o));
  always @(posedge clk) p <= a[1:0];
endmodule
"""


@pytest.mark.parametrize(
    ("target", "total", "pairs"),
    [
        ("gates", {"GE": 8 * 4 + 6 * 1.65 + 9 * 0.65, "FF": 8}, {"GE": 6 * 4 + 6 * 2.35, "FF": 6}),
        ("ecp5", {"LUT": 6, "FF": 8, "DSP": 0, "BRAM": 0}, {"LUT": 6, "FF": 6, "DSP": 0, "BRAM": 0}),
        ("ice40", {"LUT": 6, "FF": 8, "BRAM": 0}, {"LUT": 6, "FF": 6, "BRAM": 0}),
        ("xc7", {"LUT": 6, "FF": 8, "DSP": 0, "BRAM": 0}, {"LUT": 6, "FF": 6, "DSP": 0, "BRAM": 0}),
    ],
)
def test_counts(tmp_path, target, total, pairs):
    technology = TARGETS[target]
    report = synthesize(TEXT, "top", technology, cache=tmp_path)
    assert technology.resources(report.cells) == pytest.approx(total)
    assert technology.resources(report.modules["pair"]) == pytest.approx(pairs)
    assert sorted(report.modules) == ["pair", "top"]


def test_shared_modules_are_counted_as_cells(tmp_path):
    gates = TARGETS["gates"]
    report = synthesize(TEXT, "top", gates, breakdown=False, shared=["pair"], cache=tmp_path)
    assert report.cells == {"DFF": 2, "pair": 2}
    alone = synthesize(TEXT, "pair", gates, breakdown=False, cache=tmp_path)
    assert gates.resources(alone.cells) == pytest.approx({"GE": 3 * 4 + 3 * 2.35, "FF": 3})


def test_second_time_is_from_the_cache(tmp_path, monkeypatch):
    gates = TARGETS["gates"]
    options = {"breakdown": False, "cache": tmp_path}
    first = synthesize(TEXT, "top", gates, **options)
    assert first.modules == {}

    def run(*_):
        raise AssertionError("Yosys ran")

    monkeypatch.setattr(synth, "_run", run)
    assert synthesize(TEXT, "top", gates, **options) == first
    with pytest.raises(AssertionError, match=r"^Yosys ran$"):
        synthesize(TEXT + "\n", "top", gates, **options)


def test_failure_names_the_log(tmp_path):
    with pytest.raises(ToolError) as error:
        synthesize(TEXT, "nothing", TARGETS["gates"], cache=tmp_path)
    folder = next(tmp_path.iterdir())
    reason = "ERROR: Module `nothing' not found!"
    assert str(error.value) == f"Yosys failed: {reason} (log: {folder / 'yosys.log'})"
    assert not (folder / "report.json").exists()


def test_every_generic_cell_has_an_area():
    assert len(GENERIC.areas) == GENERIC.liberty.read_text().count("cell (")
    assert min(GENERIC.areas.values()) > 0
    assert [GENERIC.gate_equivalents({name: 2}) for name in ("NAND2", "DFF")] == [2, 8]
    assert GENERIC.registers({"DFF": 3, "INV": 5}) == 3


def pe_design(name: str) -> Design:
    parameters = {
        "sq": {"bank": 16, "outliers": 1, "high": "fp16", "mask": "bitmap"},
        "dense": {"bits": 4, "group": 64, "outliers": 0, "bank": None},
        "lanes": 16,
        "outlier_lanes": 1,
        "k_max": 4096,
        "output": "pipelined",
    }
    manifest = {
        "module": name,
        "sha256": "0",
        "parameters": parameters,
        "format": {"accumulator_bits": 64},
        "generator": {"sqhw": "1"},
    }
    return Design(name, TEXT, manifest)


def test_blocks_by_name():
    cells = {
        "t": 1,
        "t.pe": 2,
        "t.pe.decoder.monitor": 4,
        "t.pe.datapath.row_side": 8,
        "t.pe.datapath.row_side.unpack0": 16,
        "t.pe.datapath.mac.outlier_lane0": 32,
        "t.pe.output_stage.scale": 64,
        "t.s_axis_sq_buffer": 128,
    }
    report = Report("t", "gates", {"DFF": 255}, {name: {"DFF": count} for name, count in cells.items()})
    found = {name: cells["DFF"] for name, cells in blocks(report).items() if cells}
    assert found == {
        "decoder": 4,
        "outlier lane": 48,
        "output": 64,
        "stream buffers": 128,
        "row side": 8,
        OTHER: 3,
    }
    assert tuple(blocks(report)) == ALL


def test_every_part_of_an_array_has_a_block():
    """The shift is scaling; what serves a whole array, or one row, has a name of its own."""
    found = {
        "_MACUnit1": "registers of the unit",
        "_MACUnit1__scale_shift": "scaling",
        "_MACUnit1__dense_outlier_lane": "outlier lane",
        "_RowSide0": "row side",
        "_RowSide0__unpack0": "outlier lane",
        "__array__lockstep": "flow control",
        "__array__lockstep__decoder0__monitor": "decoder",
        "__array__drain": "capture",
        "__array__column3": "column side",
        "__dense_decoder": "decoder",
        "_OneStepUnit1__lanes": "dense lanes",
        "_OneStepUnit1": "registers of the unit",
        "": OTHER,
    }
    assert {path: block_of(path) for path in found} == found


def run(designs, cache, told):
    def begin(stage, total):
        return lambda text: told.append((stage, total, text))

    return measure(designs, ["gates"], begin=begin, command="command", cache=cache)


def test_page_and_json_agree(tmp_path):
    told = []
    result = run([pe_design("top")], tmp_path, told)
    assert told == [("Synthesizing", 1, "top for Generic gates")]
    assert json.loads(json.dumps(result)) == result
    assert result["designs"][0]["results"]["gates"]["total"] == {"GE": 47.75, "FF": 8}
    text = page(result)
    assert "| block | Generic gates GE | Generic gates FF |" in text
    assert f"| {OTHER} | 46 | 8 |" in text
    assert "| **total** | **48** | **8** |" in text
    assert "Bank 16, outlier capacity 1 (fp16, bitmap), dense INT4 with group 64, lanes 16, " in text


def test_failures_are_passed_on(tmp_path):
    with pytest.raises(ToolError, match=r"^Yosys failed: ERROR: Module `elsewhere' not found! "):
        run([pe_design("elsewhere")], tmp_path, [])
