"""Cells that are fetched, and place and route, by programs that stand in for the real ones."""

import hashlib
import json
import os
import stat

import pytest

from sqhw.tools import osu018, pnr
from sqhw.tools.tools import Tool, ToolError


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def library(monkeypatch):
    osu018.cell_library.cache_clear()
    content = {name: f"text of {name}".encode() for name in osu018._FILES}
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in content.items()}
    monkeypatch.setattr(osu018, "_FILES", digests)
    yield content
    osu018.cell_library.cache_clear()


def stand_ins(folder, content, *, download="touch p.deb", files=None):
    folder.mkdir()
    program(folder / "apt-get", download)
    target = osu018._FOLDER
    lines = [f"mkdir -p {target}"]
    lines += [f"printf '{(files or content)[name].decode()}' > {target}/{name}" for name in content]
    program(folder / "dpkg-deb", "\n".join(lines))


def test_cells_are_fetched_once(tmp_path, monkeypatch, library):
    stand_ins(tmp_path / "bin", library)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    cells = osu018.cell_library(tmp_path)
    assert cells.liberty.read_bytes() == library["osu018_stdcells.lib"]
    assert sorted(path.name for path in (tmp_path / osu018.PACKAGE).iterdir()) == sorted(library)
    osu018.cell_library.cache_clear()
    program(tmp_path / "bin" / "apt-get", "exit 1")
    assert osu018.cell_library(tmp_path) == cells


def test_wrong_cells_are_refused(tmp_path, monkeypatch, library):
    stand_ins(tmp_path / "bin", library, files=dict.fromkeys(library, b"other"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ToolError) as caught:
        osu018.cell_library(tmp_path)
    name, digest = next(iter(osu018._FILES.items()))
    assert str(caught.value) == f"{name} of p.deb must have the SHA-256 {digest}, but it has not"
    assert list((tmp_path / osu018.PACKAGE).iterdir()) == []


@pytest.mark.parametrize("missing", [True, False])
def test_no_debian(tmp_path, monkeypatch, library, missing):
    (tmp_path / "bin").mkdir()
    if not missing:
        for name in ("apt-get", "dpkg-deb"):
            program(tmp_path / "bin" / name, "echo 'E: Unable to locate package' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ToolError) as caught:
        osu018.cell_library(tmp_path)
    instead = (
        "put osu018_stdcells.lib and osu018_stdcells.v of Debian's qflow-tech-osu018 into "
        f"{tmp_path / 'qflow-tech-osu018'}"
    )
    assert str(caught.value) == (
        f"apt-get is needed to fetch standard cells, but it is not on PATH: {instead}"
        if missing
        else "apt-get download qflow-tech-osu018 failed: E: Unable to locate package. "
        f"Run apt-get update first, or {instead}"
    )


def test_devices():
    assert [pnr.device(luts) for luts in (100, 21859, 21860, 60000, 80000)] == [
        "25k",
        "25k",
        "45k",
        "85k",
        None,
    ]


def test_place_reads_the_clock_and_keeps_it(tmp_path, monkeypatch):
    design = tmp_path / "netlist.json"
    design.write_text("{}")
    steps = [("mac.a_TRELLIS_FF_Q_1", "clk-to-q", 0.5), ("mac.b_LUT4_Z", "routing", 4.0)]
    steps += [("mac.b_LUT4_Z", "logic", 3.597), ("mac.c_TRELLIS_FF_Q", "setup", 0)]
    path = [{"to": {"cell": cell}, "type": kind, "delay": delay} for cell, kind, delay in steps]
    paths = [("clk", "clk", path[:1]), ("clk", "clk", path), ("<async>", "clk", path * 2)]
    report = json.dumps(
        {
            "fmax": {"clk": {"achieved": 123.5}, "other": {"achieved": 150.0}},
            "critical_paths": [{"from": begin, "to": end, "path": steps} for begin, end, steps in paths],
        }
    )
    program(tmp_path / "nextpnr", f"test -f netlist.json && echo '{report}' > timing.json")
    tool = Tool("nextpnr", str(tmp_path / "nextpnr"), "1")
    monkeypatch.setattr(pnr, "nextpnr_ecp5", lambda: tool)
    netlist = pnr.Netlist(str(design), 10)
    assert pnr.place(netlist, "25k", 1, cache=tmp_path) == 123.5
    program(tmp_path / "nextpnr", "echo 'no place' >&2; exit 1")
    assert pnr.place(netlist, "25k", 1, cache=tmp_path) == 123.5
    assert pnr.slowest(netlist, "25k", 1, cache=tmp_path) == pnr.Slowest("mac.a", "mac.c", 4.1, 4.0)
    with pytest.raises(ToolError, match=r"^nextpnr failed: no place \(log: .*nextpnr.log\)$"):
        pnr.place(netlist, "25k", 2, cache=tmp_path)
    assert pnr.typical([3.0, 1.04, 2.0]) == 2.0
