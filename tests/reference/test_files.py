"""A file appears whole or not at all."""

import json
import os
import socket
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


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.symlink_to(os.devnull), "a device"),
        (os.mkfifo, "a pipe"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "a socket"),
        (Path.mkdir, "a folder"),
    ],
    ids=["device", "pipe", "socket", "folder"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_regular_file_is_refused(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = Path("out")
    make(path)
    before = path.lstat()
    with pytest.raises(OSError, match=f"^Output must be a regular file, not {kind}: out$"):
        write_text(path, "new")
    assert (path.lstat(), os.listdir()) == (before, ["out"])


@pytest.mark.parametrize("there", [True, False], ids=["old", "dangling"])
def test_links_are_followed(tmp_path, there):
    target = tmp_path / "far" / "target"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    links = [tmp_path / "a", tmp_path / "b"]
    links[0].symlink_to("b")
    links[1].symlink_to(Path("far") / "target")
    write_text(links[0], "new")
    assert [os.readlink(link) for link in links] == ["b", "far/target"]
    assert target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "far", "target"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_permissions_of_the_old_file_stay(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    link = tmp_path / "link"
    link.symlink_to(path)
    for name in (path, link):
        write_text(name, "new")
        assert path.stat().st_mode & 0o7777 == mode
    write_text(tmp_path / "b", "new")
    (tmp_path / "c").touch()
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "c").stat().st_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_files_that_may_not_be_written_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda name, mode: (name, mode) != (path, os.W_OK))
    with pytest.raises(PermissionError, match=f"^Output must be a file that may be written, not {path}$"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_long_names(tmp_path):
    path = tmp_path / ("x" * 255)
    write_text(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [(path.name, "new")]


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
