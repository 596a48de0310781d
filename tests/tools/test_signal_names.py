"""Amaranth names a signal after its variable by reading bytecode, which differs between Python versions.

Only a plain assignment, one target and one value, gives the same name in all of them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "sqhw"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "amaranth" in path.read_text()]
MAKERS = {"Signal", "like", "Memory", "read_port", "write_port"}


def unsafe(source: str) -> Iterator[str]:
    """Yields every signal or memory port of `source` that would take its name from elsewhere."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and not any(isinstance(target, ast.Tuple) for target in getattr(node, "targets", []))
    }
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        maker = getattr(call.func, "id", getattr(call.func, "attr", ""))
        named = any(keyword.arg in ("name", None) for keyword in call.keywords)
        if maker in MAKERS and id(call) not in plain and not named:
            yield f"line {call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_python_names_signals_alike(path):
    assert list(unsafe(path.read_text())) == [], "give it a name=, or a line of its own"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a, b = Signal(), 1", ["line 1: Signal()"]),
        ("c = [Signal(3) for _ in x]", ["line 1: Signal(3)"]),
        ("self.a = Signal()", []),
        ("a, b = Signal(name='a'), words.read_port()", ["line 1: words.read_port()"]),
    ],
)
def test_unsafe_names_are_found(source, found):
    assert list(unsafe(source)) == found
