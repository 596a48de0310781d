"""No latches, loops or registers that keep a power-up value in emitted Verilog; planted ones are found."""

from dataclasses import replace

import pytest

from sqhw.array.array import ProcessingArray
from sqhw.emit import emit
from sqhw.encoder.config import EncoderConfig
from sqhw.presets import PRESETS, array_preset, engine_preset
from sqhw.tools.structure import check_structure
from sqhw.tools.tools import ToolError
from sqhw.tools.verilog import convert

LATCH = "module top(input en, input d, output reg q);\nalways @* if (en) q = d;\nendmodule\n"
LOOP = "module top(input a, output y);\nwire b = ~(a & y);\nassign y = b;\nendmodule\n"
UNDRIVEN = "module top(input a, output y);\nwire b;\nassign y = a & b;\nendmodule\n"
HELD = "module top(input clk, d, output reg [1:0] q);\nalways @(posedge clk) q <= {q[1], d};\nendmodule\n"


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, tmp_path):
    check_structure(emit(PRESETS[name], "top").verilog, "top", tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: emit(replace(PRESETS["default"], pipeline="long"), "top").verilog,
        lambda: convert(ProcessingArray(array_preset("tiny")), "top"),
        lambda: emit(engine_preset("tiny"), "top").verilog,
        lambda: emit(EncoderConfig(elements=2, k_max=64), "top").verilog,
    ],
    ids=["long pipeline", "array", "engine", "encoder"],
)
def test_more_designs(make, tmp_path):
    check_structure(make(), "top", tmp_path)


@pytest.mark.parametrize(
    ("verilog", "found"),
    [(LATCH, "dlatch"), (LOOP, "loop"), (UNDRIVEN, "no driver"), (HELD, r"ever written .* q\[1\]")],
    ids=["latch", "loop", "undriven", "held for ever"],
)
def test_a_planted_fault_is_found(verilog, found, tmp_path):
    with pytest.raises(ToolError, match=found):
        check_structure(verilog, "top", tmp_path)
