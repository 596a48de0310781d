"""Liberty files: functions of cells, areas whatever stands before them, registers, errors."""

import pytest

from sqhw.tools.liberty import Cell, expression, parse, read_cells
from sqhw.tools.osu018 import cell_library
from sqhw.tools.targets import GENERIC


@pytest.mark.parametrize(
    ("function", "want"),
    [
        ("(!((A B)+C))", lambda a, b, c: not ((a and b) or c)),
        ("((A B)+C)'", lambda a, b, c: not ((a and b) or c)),
        ("A^B", lambda a, b, c: a != b),
        ("(S A)+(S' B)", None),
        ("!A*B|C&A", lambda a, b, c: (not a and b) or (c and a)),
        ("(((A B)+(B C))+(C A))", lambda a, b, c: a + b + c >= 2),
        ("(A^(B^C))", lambda a, b, c: (a + b + c) % 2),
        ("!(A B)", lambda a, b, c: not (a and b)),
    ],
)
def test_functions(function, want):
    code = expression(function)
    if want is None:
        assert set(code.co_names) == {"S", "A", "B"}
        return
    for index in range(8):
        bits = [index >> shift & 1 for shift in range(3)]
        assert eval(code, dict(zip("ABC", bits, strict=True))) & 1 == int(bool(want(*bits)))


@pytest.mark.parametrize("function", ["A)", "(A", "A B)+C"])
def test_bad_functions(function):
    with pytest.raises(ValueError, match=r"^Function must "):
        expression(function)


TEXT = """/* cell (NONE) {} */ library (x) { define(a, cell, string); voltage_map(VDD, 1.8);
  lu_table (t) { index_1 ("0.1, 0.2"); }
  cell (NAND) { cell_footprint : "nand"; area : 1.5;
    pin(A) { direction : input; capacitance : 0.5; max_capacitance : 9; }
    pin("B") { direction : input; capacitance : 0.25; }
    pin(Y) { direction : output; timing() { related_pin : "A"; cell_rise (t) { values ("1, 2", \\
      "3, 4"); } } function : "(!(A B))"; } }  // a comment
  cell (DFF) { ff (DS, DSN) { next_state : "D"; clocked_on : "CLK"; }
    pin(CLK) { direction : input; capacitance : 2; } pin(D) { direction : input; capacitance : 1; }
    pin(Q) { direction : output; function : "DS"; } }
  cell (DFFR) { ff (DS, DSN) { next_state : "D"; clocked_on : "CLK"; clear : "!R"; }
    pin(CLK) { direction : input; } pin(D) { direction : input; } pin(R) { direction : input; }
    pin(Q) { direction : output; function : "DS"; } } }"""


def test_cells(tmp_path):
    path = tmp_path / "x.lib"
    path.write_text(TEXT)
    assert read_cells(path) == {
        "NAND": Cell({"A": 0.5, "B": 0.25}, {"Y": "(!(A B))"}, "", "", 1.5),
        "DFF": Cell({"CLK": 2.0, "D": 1.0}, {"Q": "DS"}, "D", "CLK"),
        "DFFR": Cell({"CLK": 0.0, "D": 0.0, "R": 0.0}, {"Q": ""}, "", ""),
    }


@pytest.mark.parametrize(
    "text", ["library (x) { cell (NAND) { area : 1;", "area : 1;", "", "library (x) {}}"]
)
def test_what_is_not_liberty(tmp_path, text):
    path = tmp_path / "x.lib"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^x\.lib: Liberty must be groups of attributes: "):
        read_cells(path)


def test_groups():
    library = parse(TEXT)
    assert (library.kind, library.name) == ("library", "x")
    assert [group.name for group in library.within("cell")] == ["NAND", "DFF", "DFFR"]
    assert next(library.within("cell")).attributes == {"cell_footprint": "nand", "area": "1.5"}


def test_every_cell_of_osu018_has_an_area():
    """Inverters and buffers have a line before their area; the file gives LATCH none."""
    cells = read_cells(cell_library().liberty)
    assert len(cells) == 32
    assert {name for name, cell in cells.items() if cell.area == 0} == {"LATCH"}
    assert [cells[name].area for name in ("INVX1", "BUFX2", "NAND2X1", "FAX1")] == [16, 24, 24, 120]
    assert len(read_cells(GENERIC.liberty)) == 15
