"""Files stay short enough to be read at one sitting, and so do the functions that describe hardware."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [path for name in ("sqhw", "sim", "sw_reference", "tests") for path in (ROOT / name).rglob("*.py")]
LINES_OF_A_FILE = 320
LINES_OF_ELABORATE = 60


def test_files():
    assert len(FILES) > 600
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > LINES_OF_A_FILE} == {}


def test_elaborate():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "elaborate"
    }
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > LINES_OF_ELABORATE} == {}
