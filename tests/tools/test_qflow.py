"""Layout without its programs: netlists for the placer and the timer, lengths of wires, what is missing."""

import pytest

from sqhw.tools import qflow
from sqhw.tools.tools import ToolError


def cell(kind, **pins):
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


MODULE = {
    "ports": {
        "clk": {"direction": "input", "bits": [2]},
        "unread": {"direction": "input", "bits": [9]},
        "i": {"direction": "input", "bits": [3, 4]},
        "o": {"direction": "output", "bits": [6, 6]},
    },
    "cells": {
        "a": cell("NAND2X1", A=3, B=4, Y=5),
        "\\b.c": cell("DFFPOSX1", CLK=2, D=5, Q=6),
        "note": cell("$scopeinfo"),
    },
}


def test_a_netlist_has_plain_names():
    found = qflow.netlist(MODULE)
    assert found.blif.splitlines() == [
        ".model top",
        ".inputs clk_0 i_0 i_1",
        ".outputs o_0",
        ".gate NAND2X1 A=i_0 B=i_1 Y=n5",
        ".gate DFFPOSX1 CLK=clk_0 D=n5 Q=o_0",
        ".end",
    ]
    assert found.verilog.splitlines() == [
        "module top (clk_0, i_0, i_1, o_0);",
        *("input clk_0;", "input i_0;", "input i_1;", "output o_0;"),
        "NAND2X1 NAND2X1_1 (.A(i_0), .B(i_1), .Y(n5));",
        "DFFPOSX1 DFFPOSX1_1 (.CLK(clk_0), .D(n5), .Q(o_0));",
        "endmodule",
    ]


def test_constant_inputs_are_refused():
    with pytest.raises(ToolError) as caught:
        qflow.netlist({"ports": {}, "cells": {"a": cell("INVX1", A="1", Y=2)}})
    assert str(caught.value) == "Cells must have no constant inputs to be placed, but some have 1"


def test_wires_of_signals():
    lines = """SPECIALNETS 1 ;
+ ROUTED metal1 ( 0 0 ) ( 100000 * )
END SPECIALNETS
NETS 1 ;
- n1
  ( INVX1_1 A )
+ ROUTED metal1 ( 100 200 ) ( 400 * ) M2_M1
  NEW metal2 ( 400 200 ) ( * 900 ) ( 500 * ) M2_M1
  NEW metal1 ( 7 7 ) M2_M1 ;
END NETS
  NEW metal1 ( 0 0 ) ( 100000 * )""".splitlines()
    assert qflow.wire_length(lines) == (300 + 700 + 100) / 100_000


def test_parasitics_as_the_timer_reads_them():
    head = "*DELIMITER /\n*C_UNIT 1 FF\n*D_NET *12 0.5\n"
    assert qflow._spef(f"{head}*I *3/A I\n1 12_1 0.25\n1 *3/Q 12_1 2.5\n2 12_1 12_2 1\n") == (
        "*DELIMITER :\n*C_UNIT 1 PF\n*D_NET *12 0.5\n"
        "*I *3:A I\n1 *12:1 0.25\n1 *3:Q *12:1 2.5\n2 *12:1 *12:2 1\n"
    )


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(qflow, "_TECHNOLOGY", tmp_path)
    with pytest.raises(ToolError) as caught:
        qflow.routed()
    assert str(caught.value) == (
        "Layout needs qflow, graywolf, qrouter, tcsh, which are missing: run "
        "sudo apt-get install qflow graywolf qrouter tcsh"
    )
