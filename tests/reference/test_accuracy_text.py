"""The accuracy study's texts."""

import gzip
import hashlib
import re
import struct
import zlib
from dataclasses import replace

import pytest

from sqhw import cli
from sw_reference.accuracy import text


def r_strings(lines):
    """A character vector as R's lazy-load databases store it."""
    data = b"X\n" + struct.pack(">iii", 3, 0x40201, 0x30500) + struct.pack(">i", 5) + b"UTF-8"
    data += struct.pack(">ii", 16, len(lines))
    for line in lines:
        raw = line.encode()
        data += struct.pack(">ii", 0x40009, len(raw)) + raw
    return struct.pack(">I", len(data)) + zlib.compress(data)


def test_novel(tmp_path, monkeypatch):
    data = r_strings(["One", "", "first"]) + r_strings(["Two", "é"])
    package = tmp_path / f"{text.NOVELS.name}_{text.NOVELS.version}_all.deb"
    package.write_bytes(b"deb")
    with pytest.raises(ValueError) as error:
        text.novel("Two", tmp_path)
    assert str(error.value).startswith(f"{package} must have the SHA-256 {text.NOVELS.sha256}, not ")
    monkeypatch.setattr(text, "_unpack", lambda package, file: data)
    own = replace(text.NOVELS, sha256=hashlib.sha256(b"deb").hexdigest())
    monkeypatch.setattr(text, "NOVELS", own)
    assert text.novel("Two", tmp_path).text == "Two\né"
    with pytest.raises(ValueError) as error:
        text.novel("Three", tmp_path)
    assert str(error.value) == f"{text.NOVELS.name} has no novel that begins with 'Three'"


def test_manual(tmp_path, monkeypatch):
    chapter = "1. Scope of This Document\n*****\n\nThe purpose"
    contents = {"": f"Title\n\n* 1. Scope of This Document\n\n{chapter}", "no": "Title\n"}
    monkeypatch.setattr(text, "_content", lambda package, cache: gzip.compress(contents[str(cache)].encode()))
    monkeypatch.setattr(text, "MANUAL", replace(text.MANUAL, name="m", version="1"))
    assert text.manual("") == text.Text("Debian m 1", chapter)
    with pytest.raises(ValueError) as error:
        text.manual("no")
    assert str(error.value) == "m must have the chapter '1. Scope of This Document'"


def test_missing_tools(tmp_path, monkeypatch):
    monkeypatch.setattr(text.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError) as error:
        text.novel("Two", tmp_path)
    assert str(error.value).startswith("apt-get is not on PATH; fetch r-cran-janeaustenr 1.0.0-1 ")


def test_bad_options(tmp_path, capsys):
    assert cli.main(["measure", "accuracy", "--windows", "0"]) == 2
    assert capsys.readouterr().err == "Error: --windows must be 1 or more, not 0\n"
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(ValueError) as error:
        text.read_text(tmp_path / "latin")
    assert str(error.value).startswith(f"{tmp_path / 'latin'} must be a text in UTF-8: ")
    assert cli.main(["measure", "accuracy", "--list"]) == 0
    assert re.findall(r"^W8 A8$", capsys.readouterr().out, re.MULTILINE)
