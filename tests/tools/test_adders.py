# amaranth: UnusedElaboratable=no
"""Full adders of emitted Verilog: one cell each in a library that has one, gates elsewhere."""

import json
import random
import re

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sqhw.arith.bit_heap import BitHeap
from sqhw.arith.full_adders import FullAdders
from sqhw.tools.adders import AdderCell, adder_cell, explicit, find_adder, mapped, module_text
from sqhw.tools.liberty import Cell, read_cells
from sqhw.tools.osu018 import cell_library
from sqhw.tools.synth import run_yosys
from sqhw.tools.targets import GENERIC
from sqhw.tools.tools import ToolError, yosys
from sqhw.tools.verilog import convert
from tests.hardware import drive_pipeline

SEED = 1
LANES = 4
LIBRARY = (
    GENERIC.liberty.read_text().rstrip().removesuffix("}")
    + """
  cell (BIGADD) { area : 9; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (CI) { direction : input; } pin (S) { direction : output; function : "A^B^CI"; }
    pin (CO) { direction : output; function : "(A B)+(CI (A+B))"; } }
  cell (ADD) { area : 5; pin (P) { direction : input; } pin (Q) { direction : input; }
    pin (R) { direction : input; } pin (T) { direction : output; function : "(P Q)+(R (P^Q))"; }
    pin (Z) { direction : output; function : "(P^Q)^R"; } }
}
"""
)
ADD = AdderCell("ADD", "P", "Q", "R", sum="Z", carry="T")


class Products(wiring.Component):
    """The sum of a few products of signed numbers, with a constant."""

    def __init__(self):
        row = data.ArrayLayout(signed(4), LANES)
        super().__init__({"a": In(row), "b": In(row), "o": Out(signed(10))})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="sum")
        heap.add_constant(21)
        for lane in range(LANES):
            heap.add_product(self.a[lane], self.b[lane])
        m.d.comb += self.o.eq(heap.sum())
        return m


class Row(FullAdders):
    """Eight full adders, without latency."""

    latency = 0

    def __init__(self):
        super().__init__(8)


@pytest.fixture(scope="module")
def products():
    return convert(Products(), "products")


def adders(verilog):
    return sum(int(width) for width in re.findall(r"__full_adders #\(\.WIDTH\((\d+)\)\)", verilog))


def map_gates(folder, verilog, library, cell):
    """Cells by type on a library of gates, and the netlist with the functions of its cells as Verilog."""
    (folder / "design.v").write_text(verilog)
    (folder / "cells.lib").write_text(library)
    lines = [
        *explicit(),
        "hierarchy -check -top products",
        "read_liberty -lib -ignore_miss_func cells.lib",
        "synth -flatten -run begin:fine",
        *mapped(cell),
        "synth -noabc -run fine:check",
        "abc -liberty cells.lib -script +strash;&get,-n;&nf;&put",
        "opt_clean -purge",
        "tee -q -o stat.json stat -json",
        "write_rtlil netlist.il",
    ]
    run_yosys(yosys(), "\n".join(lines) + "\n", folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {name: count for name, count in cells.items() if name != "$scopeinfo"}


def outputs(folder, stimuli):
    """What the netlist shows, by Yosys's own evaluation of the library's functions."""
    lines = ["read_liberty cells.lib", "read_rtlil netlist.il", "flatten", "cd products"]
    lines += [f"eval -set a 16'd{a} -set b 16'd{b} -show o" for a, b in stimuli]
    run_yosys(yosys(), "\n".join(lines) + "\n", folder)
    shown = re.findall(r"Eval result: \\o = 10'([01]+)\.", (folder / "yosys.log").read_text())
    return [int(bits, 2) for bits in shown]


def expected(a, b):
    codes = [[(word >> 4 * lane & 15 ^ 8) - 8 for lane in range(LANES)] for word in (a, b)]
    return (sum(x * y for x, y in zip(*codes, strict=True)) + 21) % (1 << 10)


@pytest.mark.parametrize("cell", [ADD, None], ids=["adder", "gates"])
def test_a_library_with_a_full_adder_gets_one_for_each(cell, products, tmp_path):
    cells = map_gates(tmp_path, products, LIBRARY, cell)
    assert adders(products) > 30
    assert cells.pop("ADD", 0) == (adders(products) if cell else 0)
    assert cells.keys() <= read_cells(GENERIC.liberty).keys()
    rng = random.Random(SEED)
    stimuli = [(rng.getrandbits(16), rng.getrandbits(16)) for _ in range(200)]
    stimuli += [(0, 0), (0x8888, 0x8888), (0x7777, 0x8888)]
    got = outputs(tmp_path, stimuli)
    assert got == [expected(a, b) for a, b in stimuli]
    assert len(got) == 203


def test_logic_of_the_module_is_that_of_the_component(tmp_path):
    """All eight inputs at once: one per place, in the Amaranth simulator and in Yosys's evaluation."""
    a, b, c = 0b10101010, 0b11001100, 0b11110000
    (got,) = drive_pipeline(Row(), [{"a": a, "b": b, "c": c}], ["sum", "carry"])
    assert got == {"sum": 0b10010110, "carry": 0b11101000}
    (tmp_path / "design.v").write_text(module_text("adders"))
    script = (
        "read_verilog design.v\nchparam -set WIDTH 8 adders\nproc\n"
        f"eval -set a 8'd{a} -set b 8'd{b} -set c 8'd{c} -show sum -show carry adders\n"
    )
    run_yosys(yosys(), script, tmp_path)
    shown = re.findall(r"Eval result: \\(\w+) = 8'([01]+)\.", (tmp_path / "yosys.log").read_text())
    assert {name: int(bits, 2) for name, bits in shown} == got


def test_a_heap_waits_from_level_to_level_and_no_adder_for_its_own_instance(products):
    """The text of an instance's inputs names earlier instances alone, in the order in which people count."""
    found = re.findall(r"__full_adders #\(\.WIDTH\(\d+\)\) sum_adders(\d+) \((.*?)\);", products, re.DOTALL)
    numbers = [int(number) for number, _ in found]
    assert numbers == list(range(1, len(found) + 1))
    assert len(found) > 3
    for number, (_, pins) in zip(numbers, found, strict=True):
        inputs = pins.partition(".carry(")[0]
        read = [int(other) for other in re.findall(r"sum_adders(\d+)_", inputs)]
        assert all(other < number for other in read)
        assert number == 1 or number - 1 in read


def test_osu018(products, tmp_path):
    try:
        library = cell_library()
    except ToolError as error:
        pytest.skip(str(error))
    cell = adder_cell("FAX1", read_cells(library.liberty)["FAX1"])
    assert cell == AdderCell("FAX1", "A", "B", "C", sum="YS", carry="YC")
    cells = map_gates(tmp_path, products, library.liberty.read_text(), cell)
    assert cells["FAX1"] == adders(products)


def test_bits_that_are_constant_take_gates(tmp_path):
    verilog = (
        "module products(input [2:0] a, b, input c, output [2:0] s, k);\n"
        "x__full_adders #(.WIDTH(3)) x (.a(a), .b({b[2], 2'd2}), .c({3{c}}), .sum(s), .carry(k));\n"
        "endmodule\n"
    )
    assert map_gates(tmp_path, verilog, LIBRARY, ADD)["ADD"] == 1


def test_adders_that_nobody_reads_are_left_out(tmp_path):
    verilog = (
        "module products(input [2:0] a, b, c, output [1:0] s);\nwire [2:0] sum;\nassign s = sum[1:0];\n"
        "x__full_adders #(.WIDTH(3)) x (.a(a), .b(b), .c(c), .sum(sum));\nendmodule\n"
    )
    assert map_gates(tmp_path, verilog, LIBRARY, ADD) == {"ADD": 2}


def test_the_smallest_full_adder_is_found(tmp_path):
    path = tmp_path / "small.lib"
    path.write_text(LIBRARY)
    cells = read_cells(path)
    assert find_adder(cells) == ADD
    assert find_adder({name: cells[name] for name in ("NOR2", "INV")}) is None


@pytest.mark.parametrize(
    "cell",
    [
        Cell({"A": 0.0, "B": 0.0}, {"Y": "A B"}, "", ""),
        Cell({"A": 0.0, "B": 0.0, "C": 0.0}, {"Y": "A^B^C", "Z": "A B C"}, "", ""),
        Cell({"D": 0.0, "CLK": 0.0, "R": 0.0}, {"Q": "IQ"}, "", ""),
    ],
)
def test_other_cells_are_no_full_adders(cell):
    message = r"^Full-adder cell must have three inputs, their sum and their carry; X has not$"
    with pytest.raises(ValueError, match=message):
        adder_cell("X", cell)
