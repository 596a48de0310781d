"""A user's liberty file: what is found in it, what is refused, and designs mapped to it."""

import pytest

from sqhw.tools.libraries import fetched, own_library
from sqhw.tools.synth import map_recipe, synthesize
from sqhw.tools.targets import GENERIC, RECIPES, gates
from sqhw.tools.timing import least_period, opensta
from sqhw.tools.tools import ToolError

ADDERS = """
  cell (ADD) { area : 5; pin (P) { direction : input; } pin (Q) { direction : input; }
    pin (R) { direction : input; } pin (T) { direction : output; function : "(P Q)+(R (P^Q))"; }
    pin (Z) { direction : output; function : "(P^Q)^R"; } }
  cell (BIGADD) { area : 9; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (CI) { direction : input; } pin (S) { direction : output; function : "A^B^CI"; }
    pin (CO) { direction : output; function : "(A B)+(CI (A+B))"; } }
  cell (NANDBIG) { area : 3; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "A'+B'"; } }
}
"""
LIBRARY = GENERIC.liberty.read_text().rstrip().removesuffix("}") + ADDERS
REGISTER = "ff (IQ, IQN) {"
TEXT = """
module top__full_adders #(parameter WIDTH = 1) (
  input [WIDTH-1:0] a, input [WIDTH-1:0] b, input [WIDTH-1:0] c,
  output [WIDTH-1:0] sum, output [WIDTH-1:0] carry);
  assign sum = a ^ b ^ c;
  assign carry = a & b | c & (a ^ b);
endmodule
module top(input clk, input [2:0] a, input [2:0] b, input [2:0] c, output reg [2:0] o, output reg [2:0] p);
  wire [2:0] s, t;
  reg [2:0] x, y, z;
  top__full_adders #(.WIDTH(3)) adders (.a(x), .b(y), .c(z), .sum(s), .carry(t));
  always @(posedge clk) begin x <= a; y <= b; z <= c; o <= s; p <= t; end
endmodule
"""


@pytest.fixture
def liberty(tmp_path):
    path = tmp_path / "own.lib"
    path.write_text(LIBRARY)
    return path


def test_what_is_found(liberty):
    found = own_library(liberty)
    assert (found.name, found.nand2, found.timed) == ("own", "NAND2", False)
    assert found.full_adder.name == "ADD"
    assert found.area({"ADD": 2, "NAND2": 3, "$scopeinfo": 1}) == 13
    named = own_library(liberty, nand2="NANDBIG", full_adder="BIGADD")
    assert (named.nand2, named.full_adder.name) == ("NANDBIG", "BIGADD")
    assert named.gate_equivalents({"BIGADD": 2}) == 6


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (LIBRARY, {"nand2": "X"}, "own.lib has no cell X to be the NAND2"),
        (LIBRARY, {"full_adder": "X"}, "own.lib has no cell X to be the full adder"),
        (
            LIBRARY,
            {"full_adder": "XOR2"},
            "Full-adder cell must have three inputs, their sum and their carry; ",
        ),
        (
            LIBRARY.replace(REGISTER, "latch (IQ) {"),
            {},
            "own.lib must have a register with a clock and no reset",
        ),
        (
            "library (x) {" + ADDERS.split("  cell (NANDBIG)")[0] + "}",
            {},
            "own.lib must have a register with",
        ),
        (
            LIBRARY.replace("(A B)'", "A B").replace("A'+B'", "A+B"),
            {},
            "own.lib must have a NAND2 with an area: ",
        ),
        ("", {}, "Liberty file cannot be read: own.lib: Liberty must be groups of attributes: "),
        (None, {}, "Liberty file cannot be read: "),
    ],
)
def test_what_is_refused(tmp_path, text, options, message):
    path = tmp_path / "own.lib"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ToolError) as caught:
        own_library(path, **options)
    assert str(caught.value).startswith(message)


def test_adders_become_the_librarys_own(tmp_path, liberty):
    found = own_library(liberty)
    report = synthesize(TEXT, "top", gates(found), breakdown=False, cache=tmp_path)
    assert report.cells == {"ADD": 3, "DFF": 15}
    assert gates(found).resources(report.cells) == {"GE": 3 * 5 + 15 * 4, "FF": 15}
    generic = synthesize(TEXT, "top", gates(GENERIC), breakdown=False, cache=tmp_path)
    assert "ADD" not in generic.cells


def test_recipes_and_the_clock(tmp_path, osu018):
    mapped = {name: map_recipe(TEXT, "top", osu018, name, cache=tmp_path) for name in RECIPES}
    assert all(found.cells["FAX1"] == 3 for found in mapped.values())
    periods = [least_period([found.netlist], "top", osu018, tmp_path) for found in mapped.values()]
    assert all(0.3 < period < 1.5 for period in periods)


def test_without_opensta(monkeypatch, tmp_path):
    library = fetched("osu018")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        opensta(library)
    assert str(caught.value) == (
        "OpenSTA is needed for clocks, but it is not on PATH: run sudo apt-get install opensta"
    )


@pytest.fixture
def osu018():
    library = fetched("osu018")
    try:
        opensta(library)
    except ToolError as error:
        pytest.skip(str(error))
    return library
