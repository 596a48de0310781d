"""A file appears whole or not at all."""

import json
from pathlib import Path

import pytest

from sw_reference.files import as_json, write_text


def test_text_arrives(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "ä\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä\n".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_error_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(self, *_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match=r"^disk full$"):
        write_text(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.txt", "old")]


def test_json_keeps_order_and_refuses_nan():
    assert as_json({"b": 1, "a": ["ä"]}) == '{\n  "b": 1,\n  "a": ["ä"]\n}\n'
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        as_json(float("nan"))


def test_json_has_a_line_for_each_record():
    value = {"n": {"x": 1}, "rows": [{"a": 1, "parts": [{"b": []}, {"b": None}]}, {"a": (1, 2)}], "none": []}
    text = as_json(value)
    assert text.splitlines() == [
        "{",
        '  "n": {"x": 1},',
        '  "rows": [',
        "    {",
        '      "a": 1,',
        '      "parts": [',
        '        {"b": []},',
        '        {"b": null}',
        "      ]",
        "    },",
        '    {"a": [1, 2]}',
        "  ],",
        '  "none": []',
        "}",
    ]
    assert json.loads(text) == json.loads(json.dumps(value))
    compared = 0
    for path in sorted((Path(__file__).parents[2] / "docs" / "results").glob("*.json")):
        assert as_json(json.loads(path.read_text())) == path.read_text(), path.name
        compared += 1
    assert compared >= 14
