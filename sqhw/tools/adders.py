"""Full adders in emitted Verilog, and how synthesis maps them to a library's own cell.

Open synthesis finds a tenth of the full adders in a multiplier, so designs name them: each adder is a bit
of an instance of one module, whose name ends in ``__full_adders``. To simulators and linters it is plain
logic. A synthesis script treats it in two steps::

    [*explicit(), "hierarchy -check -top top", "read_liberty -lib cells.lib", "synth -run begin:fine"]
    + [*mapped(cell), "synth -run fine:check -noabc"]

Behind :func:`explicit` they are Yosys's own ``$fa``, as are those of ordinary sums of products. Without the
second step every target of Yosys maps ``$fa`` to its gates or lookup tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from .liberty import Cell, expression

__all__ = [
    "MODULE",
    "PARAMETER",
    "AdderCell",
    "adder_cell",
    "explicit",
    "find_adder",
    "mapped",
    "module_text",
]

MODULE = "full_adders"
"""What the name of the module ends in, behind two underscores."""
PARAMETER = "WIDTH"
"""Number of its adders."""

_BODY = f"""\
// Full adders side by side: at each place a + b + c = sum + 2 * carry.
// This is the one place where to put the full-adder cell of a library; sqhw's synthesis does so by itself.
/* verilator coverage_off */
module {{name}} #(
  parameter {PARAMETER} = 1
) (
  input wire [{PARAMETER} - 1:0] a,
  input wire [{PARAMETER} - 1:0] b,
  input wire [{PARAMETER} - 1:0] c,
  output wire [{PARAMETER} - 1:0] sum,
  output wire [{PARAMETER} - 1:0] carry
);
  wire [{PARAMETER} - 1:0] half = a ^ b;
  assign sum = half ^ c;
  assign carry = (half & c) | (~half & a);
endmodule
/* verilator coverage_on */
"""

_EXPLICIT = f"""\
module {MODULE} (a, b, c, sum, carry);
  parameter {PARAMETER} = 1;
  input [{PARAMETER}-1:0] a, b, c;
  output [{PARAMETER}-1:0] sum, carry;
  \\$fa #(.WIDTH({PARAMETER})) _TECHMAP_REPLACE_ (.A(a), .B(b), .C(c), .X(carry), .Y(sum));
endmodule
"""

_MAPPED = """\
(* techmap_celltype = "$fa" *)
module library_full_adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  localparam [WIDTH-1:0] KNOWN = _TECHMAP_CONSTMSK_A_ | _TECHMAP_CONSTMSK_B_ | _TECHMAP_CONSTMSK_C_;
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : place
      if (KNOWN[i]) begin
        assign Y[i] = A[i] ^ B[i] ^ C[i];
        assign X[i] = (A[i] & B[i]) | (C[i] & (A[i] ^ B[i]));
      end else
        {name} cell (.{a}(A[i]), .{b}(B[i]), .{c}(C[i]), .{carry}(X[i]), .{sum}(Y[i]));
    end
  endgenerate
endmodule
"""

_INPUTS = (0b10101010, 0b11001100, 0b11110000)
"""Three inputs of a truth table with eight rows."""
_SUM, _CARRY = 0b10010110, 0b11101000


@dataclass(frozen=True)
class AdderCell:
    """A library's full adder: its name and those of its pins."""

    name: str
    a: str
    b: str
    c: str
    sum: str
    carry: str


def module_text(name: str) -> str:
    """Verilog of a module of full adders."""
    return _BODY.replace("{name}", name)


def adder_cell(name: str, cell: Cell) -> AdderCell:
    """The full adder that a liberty cell is.

    Raises
    ------
    ValueError
        If the cell has not three inputs, or no two outputs that are their sum and their carry.
    """
    if len(cell.inputs) == 3:
        words = dict(zip(cell.inputs, _INPUTS, strict=True))
        shown = {_table(function, words): pin for pin, function in cell.outputs.items() if function}
        if {_SUM, _CARRY} <= shown.keys():
            a, b, c = cell.inputs
            return AdderCell(name, a, b, c, sum=shown[_SUM], carry=shown[_CARRY])
    raise ValueError(f"Full-adder cell must have three inputs, their sum and their carry; {name} has not")


def find_adder(cells: Mapping[str, Cell]) -> AdderCell | None:
    """The smallest full adder of a library; None if it has none."""
    found = []
    for name, cell in cells.items():
        with suppress(ValueError):
            found.append((cell.area, name, adder_cell(name, cell)))
    return min(found, key=lambda entry: entry[:2])[2] if found else None


def explicit(file: str = "design.v") -> list[str]:
    """Yosys commands that read a design and make a ``$fa`` of each instance of full adders.

    They come first in a script, before ``hierarchy``.
    """
    return [
        *_map("explicit_adders", _EXPLICIT),
        f"read_verilog {file}",
        f"chtype -set {MODULE} t:*__{MODULE}",
        "techmap -map %explicit_adders",
    ]


def mapped(cell: AdderCell | None) -> list[str]:
    """Yosys commands that make a library's cells of each ``$fa``; none without a cell.

    They come when words are not gates yet, behind ``synth -run begin:fine``. The library's cells must be
    known (``read_liberty -lib``). Where a bit is constant, gates remain.
    """
    if cell is None:
        return []
    text = _MAPPED
    for key, value in asdict(cell).items():
        text = text.replace(f"{{{key}}}", value)
    return [*_map("library_adders", text), "techmap -map %library_adders"]


def _map(name: str, text: str) -> list[str]:
    """Commands that keep the modules of a text for ``techmap``."""
    return [
        "design -push",
        f"read_verilog -icells <<end_of_map\n{text}end_of_map",
        f"design -stash {name}",
        "design -pop",
    ]


def _table(function: str, words: Mapping[str, int]) -> int | None:
    """The truth table of a function of the inputs; None if it shows a state."""
    code = expression(function)
    if not words.keys() >= set(code.co_names):
        return None
    return int(eval(code, {"__builtins__": {}}, dict(words))) & 0xFF
