"""docs/verification.md names tests and proofs that exist, and leaves out no block and no kind of error."""

import ast
import re
from pathlib import Path

import pytest

from sim.formal.claims import PROOFS
from sim.traffic.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verification.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`" in line
]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[-1])})
KINDS = {proof.name.partition("[")[0] for proof in PROOFS}


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name):
    file, _, function = name.partition("::")
    if not file.startswith("tests/"):
        assert file in KINDS
        return
    assert (ROOT / file).is_file()
    found = {test for test in functions_of(ROOT / file) if test.startswith("test_")}
    assert found
    assert not function or function in found


def test_every_row_names_something():
    assert len(ROWS) > 30
    assert [row for row in ROWS if not re.search(r"`[^`]+`", row[-1])] == []


def test_every_block_has_a_line():
    """A new block needs a line in the table of blocks."""
    blocks = {
        node.name
        for folder in ("arith", "pe", "pe/one_step", "pe/outliers", "array", "encoder")
        for path in (ROOT / "sqhw" / folder).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any(ast.unparse(base).startswith(("wiring.Component", "_")) for base in node.bases)
    }
    named = {name for row in ROWS for name in row[0].split(", ")}
    assert len(blocks) > 20
    assert sorted(blocks - named) == []


def test_every_kind_of_proof_and_error_has_a_line():
    assert set(KINDS) - set(NAMES) == set()
    errors = PAGE.partition("## Errors")[2].partition("## ")[0].count("\n| ") - 1
    # Lines are shared by: NaN and infinity; too many and too few; one outlier too many and all.
    assert errors >= len(FAULTS) - 2
