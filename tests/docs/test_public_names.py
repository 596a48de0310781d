"""``sqhw`` itself: its names are there, its example runs, and importing it loads nothing heavy."""

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import sqhw


def test_example_runs():
    failed, attempted = doctest.testmod(sqhw)
    assert (failed, attempted) == (0, 8)


def test_every_name_is_there_and_has_a_docstring():
    assert len(sqhw.__all__) > 20
    assert [name for name in sqhw.__all__ if not getattr(sqhw, name).__doc__] == []
    assert set(sqhw.__all__) <= set(dir(sqhw))


def test_type_checkers_see_the_same_names():
    (block,) = (node for node in ast.parse(Path(sqhw.__file__).read_text()).body if isinstance(node, ast.If))
    imports = {alias.name: node.module for node in block.body for alias in node.names}
    assert imports == {name: module for module, names in sqhw._HOMES.items() for name in names}
    assert sorted(imports) == sqhw.__all__


def test_import_is_light():
    code = "import sys, sqhw; print([name for name in ('amaranth', 'click', 'numpy') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"^module 'sqhw' has no attribute 'Motor'$"):
        _ = sqhw.Motor
