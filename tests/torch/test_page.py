"""The blocks of docs/researchers.md that need ``sqhw.torch`` run, one after the other."""

import re
from pathlib import Path

import pytest

from .models import small
from .packed import pack_quantized

pytestmark = pytest.mark.torch

PAGE = Path(__file__).parents[2] / "docs" / "researchers.md"
BLOCKS = re.findall(
    r"<!-- needs the packages of make torch.*? -->\n```python\n(.*?)```", PAGE.read_text(), re.S
)


def test_the_page_runs(tmp_path, monkeypatch):
    small("llama").save_pretrained(tmp_path / "my-model")
    pack_quantized(tmp_path / "my-packed")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in BLOCKS:
        exec(compile(code, PAGE.name, "exec"), names)
    assert len(BLOCKS) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "my-model",
        "my-model-sq",
        "my-packed",
        "my-packed-again",
        "my-packed-sq",
    ]
