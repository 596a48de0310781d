# amaranth: UnusedElaboratable=no
"""Netlists and simulators: what was recorded is played back alike, and a difference is noticed."""

import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from sim import netlist
from sim.bench.recording import forget_power_up, icarus, record, verilator
from sim.bench.streams import compile_pe, drive
from sim.traffic.dot_products import Traffic, dot_products, traffic
from sqhw.cli import main
from sqhw.config import PEConfig
from sqhw.emit import emit
from sqhw.layouts import sq_beat_layout
from sqhw.tools.targets import TARGETS
from sw_reference.format import DenseFormat, SQFormat

SEED = 7
SMALL = PEConfig(SQFormat(4, 1, "int8"), DenseFormat(4), lanes=2, outlier_lanes=1, k_max=32, output="serial")
BY_INDEX = PEConfig(
    SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 16, scale="linear8"), 8, 2, 256, output="serial"
)
needs_icarus = pytest.mark.skipif(not netlist.has_icarus(), reason="iverilog is not installed")


@pytest.fixture(scope="module")
def recorded():
    design = emit(SMALL, "sq_pe")
    return design, record(SMALL, traffic(SMALL, SEED, 30).beats, 300, SEED)


def test_a_recording_holds_results_stalls_and_resets(recorded):
    _, recording = recorded
    values = recording.values
    assert recording.rows == 600
    assert recording.results > 2
    assert 0 in values["aresetn"][10:]
    assert {0, 1} == set(values["m_axis_y_tvalid"]) == set(values["s_axis_sq_tready"])


def test_power_up_values_are_forgotten(recorded):
    design, _ = recorded
    text, count = forget_power_up(design.verilog)
    assert count > 20
    assert "initial begin" in design.verilog
    assert "initial begin" not in text
    assert not re.search(r"^ *reg [^;]* = ", text, re.MULTILINE)
    clocked = "always @(posedge clk)"
    assert text.count(clocked) == design.verilog.count(clocked) > 5


@pytest.mark.slow
def test_verilator_agrees_and_a_difference_is_noticed(recorded, tmp_path):
    design, recording = recorded
    assert verilator(design, recording, tmp_path) == 0
    values = dict(recording.values)
    values["m_axis_y_tvalid"] = [1 - values["m_axis_y_tvalid"][0], *values["m_axis_y_tvalid"][1:]]
    assert verilator(design, replace(recording, values=values), tmp_path) == 1


@needs_icarus
def test_icarus_agrees_and_nothing_unknown_comes_out(recorded, tmp_path):
    design, recording = recorded
    assert icarus(design, recording, tmp_path) == (recording.rows, 0)
    compared, wrong = icarus(design, recording, tmp_path, unknown=True)
    assert (compared, wrong) == (recording.rows - 4, 0)  # two cycles of reset


@needs_icarus
@pytest.mark.parametrize("pipeline", ["short", "long"])
def test_a_product_without_outliers_is_known_before_the_first_outlier(pipeline, tmp_path):
    sq = SQFormat(4, 2, "fp16")
    config = PEConfig(
        sq, DenseFormat(4), lanes=4, outlier_lanes=1, k_max=32, output="serial", pipeline=pipeline
    )
    bitmap = sq_beat_layout(config)["bitmap"]
    marks = (1 << bitmap.width) - 1 << bitmap.offset
    quiet = Traffic()
    for product in dot_products(config, SEED)[0]:
        if not any(word & marks for word in product.sq):
            quiet.add(product)
    recording = record(config, quiet.beats, 300, SEED)
    assert recording.results > 2
    assert icarus(emit(config, "sq_pe"), recording, tmp_path, unknown=True) == (recording.rows - 4, 0)


@needs_icarus
def test_without_a_reset_the_unknown_comes_out(recorded, tmp_path):
    design, recording = recorded
    values = recording.values | {"aresetn": [1] * recording.rows}
    compared, wrong = icarus(design, replace(recording, values=values), tmp_path, unknown=True)
    assert compared == recording.rows
    assert wrong > compared // 2


def test_what_fails_is_told():
    row = {"preset": "a", "target": "gates", "compared": 5, "wrong": 0}
    played = {
        "preset": "a", "results": 1, "verilator_differs": 0, "icarus_differs": None, "unknown_differs": None,
    }  # fmt: skip
    assert netlist.failures([row], [played]) == []
    assert netlist.failures([row | {"wrong": 2}], []) == ["a, gates: 2 of 5 results are wrong"]
    assert netlist.failures([row | {"compared": 0}], []) == ["a, gates: 0 of 0 results are wrong"]
    found = netlist.failures([], [played | {"unknown_differs": 3, "results": 0}])
    assert found == ["a: unknown differs in 3 rows", "a: no result in the recording"]


@pytest.mark.slow
@pytest.mark.parametrize("target", netlist.targets(SMALL))
def test_a_small_netlist_agrees_with_the_golden_model(target, tmp_path):
    row = netlist.compare_netlist(SMALL, TARGETS[target], SEED, tmp_path)
    assert row["compared"] > 300
    assert row["wrong"] == 0


@pytest.mark.slow
def test_a_netlist_of_library_cells_agrees_with_the_golden_model(tmp_path):
    target = netlist.library_cells()
    text = netlist.netlist(emit(BY_INDEX, "sq_pe"), target, tmp_path).verilog
    adder, register = (len(re.findall(rf"sky130_fd_sc_hd__{cell}_\d ", text)) for cell in ("fa", "dfxtp"))
    assert adder > 50
    assert register > 300
    row = netlist.compare_netlist(BY_INDEX, target, SEED, tmp_path)
    assert row["compared"] > 300
    assert row["wrong"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("config", "blocks"), [(SMALL, 1), (BY_INDEX, 6)])
def test_a_netlist_with_dsp_blocks_agrees_with_the_golden_model(config, blocks, tmp_path):
    config = replace(config, pipeline="long", multiplier="dsp")
    assert netlist.targets(config) == ("gates", "ecp5")
    text = netlist.netlist(emit(config, "sq_pe"), TARGETS["ecp5"], tmp_path).verilog
    assert text.count("MULT18X18D") == blocks + 1  # one of them is the model
    row = netlist.compare_netlist(config, TARGETS["ecp5"], SEED, tmp_path)
    assert row["compared"] > 300
    assert row["wrong"] == 0


@needs_icarus
def test_the_multiplier_multiplies(tmp_path):
    """Signed or not, extremes and random numbers, in Icarus."""
    rng = np.random.default_rng(SEED)
    factors = [0, 1, (1 << 17) - 1, 1 << 17, (1 << 18) - 1, *rng.integers(0, 1 << 18, 20).tolist()]
    cases = [(a, b, s, t) for a in factors for b in factors for s in (0, 1) for t in (0, 1)]
    ports = ", ".join(
        [
            *(f".{name}{bit}({name.lower()}[{bit}])" for name in "AB" for bit in range(18)),
            *(f".P{bit}(p[{bit}])" for bit in range(36)),
            ".SIGNEDA(s), .SIGNEDB(t)",
        ]
    )
    steps = "".join(f"a={a}; b={b}; s={s}; t={t}; #1 $display(p);\n" for a, b, s, t in cases)
    bench = f"module top; reg [17:0] a, b; reg s, t; wire [35:0] p;\nMULT18X18D dut({ports});\n"
    source, program = tmp_path / "top.v", tmp_path / "top"
    source.write_text(f"{bench}initial begin\n{steps}end\nendmodule\n{netlist.multiplier()}")
    subprocess.run(["iverilog", "-g2005", "-o", program, source], check=True)
    shown = subprocess.run(["vvp", program], check=True, capture_output=True, text=True).stdout

    def value(code, is_signed):
        return code - (1 << 18) if is_signed and code >> 17 else code

    assert [int(line) for line in shown.split()] == [
        value(a, s) * value(b, t) % (1 << 36) for a, b, s, t in cases
    ]
    assert len(cases) == 2500


@pytest.mark.slow
def test_a_netlist_of_another_design_is_noticed(tmp_path):
    """The bench is told by results: a lane that adds one too many is wrong."""
    design = netlist.netlist(emit(SMALL, "sq_pe"), TARGETS["gates"], tmp_path)
    broken = design.verilog.replace("assign _0_ = A ^ B;", "assign _0_ = A | B;", 1)
    assert broken != design.verilog
    assert not _passes(replace(design, verilog=broken), tmp_path)
    assert _passes(design, tmp_path)


def _passes(design, folder):
    given = traffic(SMALL, SEED, 30)
    run = drive(compile_pe(design, folder), SMALL, given.beats, results=len(given.expected), seed=SEED)
    return run.state == "done" and list(run.results) == given.expected


@pytest.mark.slow
def test_command(tmp_path):
    output = tmp_path / "netlist.json"
    assert main(["verify", "netlist", "--quick", "--output", str(output)]) == 0
    document = json.loads(output.read_text())
    assert document["compared"] > 1000
    assert document["icarus"]
