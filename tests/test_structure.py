"""No latches and no combinational loops in the emitted Verilog; planted ones are found."""

import pytest

from sqhw.config import PRESETS
from sqhw.flows.structure import check_structure
from sqhw.flows.tools import ToolError
from sqhw.flows.verilog import emit

LATCH = "module top(input en, input d, output reg q);\nalways @* if (en) q = d;\nendmodule\n"
LOOP = "module top(input a, output y);\nwire b = ~(a & y);\nassign y = b;\nendmodule\n"
UNDRIVEN = "module top(input a, output y);\nwire b;\nassign y = a & b;\nendmodule\n"


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, tmp_path):
    check_structure(emit(PRESETS[name], "top").verilog, "top", tmp_path)


@pytest.mark.parametrize(
    ("verilog", "found"),
    [(LATCH, "dlatch"), (LOOP, "loop"), (UNDRIVEN, "no driver")],
    ids=["latch", "loop", "undriven"],
)
def test_a_planted_fault_is_found(verilog, found, tmp_path):
    with pytest.raises(ToolError, match=found):
        check_structure(verilog, "top", tmp_path)
