"""Layouts: what is placed, the report of stand-in layouts, the page and the picture."""

import pytest

from sqhw.measure import layout, layout_page
from sqhw.measure.units import FAMILIES
from sqhw.tools.tools import ToolError

LEF = """MACRO INVX1
  SIZE 40.0 BY 100.0 ;
END INVX1
MACRO DFFPOSX1
  SIZE 60.0 BY 100.0 ;
END DFFPOSX1
"""
FOUND = {
    "width": 200.0,
    "height": 100.0,
    "wire": 71.26,
    "failed": 0,
    "period_before": 4.0,
    "period": 5.0,
    "cells": [{"kind": "INVX1", "x": 0.0, "y": 10.0}, {"kind": "DFFPOSX1", "x": 5.0, "y": 10.0}],
}


def no_progress(stage, total=None):
    return lambda what="": None


@pytest.fixture
def routed(monkeypatch, tmp_path):
    """Names of what is placed and routed, while all tools are stand-ins."""
    found = []

    def placed(design, key, library, cache):
        found.append(design)
        return FOUND

    (tmp_path / "cells.lef").write_text(LEF)
    monkeypatch.setattr(layout, "opensta", lambda library: None)
    monkeypatch.setattr(layout.qflow, "routed", lambda: None)
    monkeypatch.setattr(layout.qflow, "CELLS", tmp_path / "cells.lef")
    monkeypatch.setattr(layout, "_netlist", lambda subject, library, cache: subject.name)
    monkeypatch.setattr(layout, "_key", lambda design, library: f"digest of {design}")
    monkeypatch.setattr(layout, "_placed", placed)
    return found


@pytest.fixture
def report(routed):
    return layout.measure(["sq_16", "w4a8_16"], workers=1, begin=no_progress, command="command")


def test_subjects_have_titles():
    assert len(layout.SUBJECTS) == 8
    assert {family for family, _ in layout.SUBJECTS.values()} <= set(FAMILIES)


def test_the_report_and_its_page(report):
    sq, rival = report["units"]
    assert (sq["name"], rival["name"]) == ("sq_16", "w4a8_16")
    assert (sq["core_mm2"], sq["um2_per_mac"], sq["wire_mm"], sq["cells"]) == (0.02, 1250, 71.3, 2)
    assert (sq["mhz_without_wires"], sq["mhz"], sq["failed_nets"]) == (250, 200, 0)
    page = layout_page.page(report)
    assert "| INT4 x INT8 | 16 | 2 | 0.0200 | 50 % | 1,250 | 71.3 | 0 | 250 | 200 |" in page
    assert "| SQ x INT4 | 16 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 |" in page
    assert next(title for title, *_ in layout_page.tables(report)) == "Layout"


def test_a_known_netlist_is_not_routed_again(report, routed):
    routed.clear()
    names = ["sq_16", "w4a8_16", "w8a8_16"]
    again = layout.measure(names, workers=1, begin=no_progress, command="command", known=report)
    assert routed == ["w8a8_16_pe"]
    assert again["units"][:2] == report["units"]


def test_a_picture_needs_layouts(report, routed, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(
        layout, "picture", lambda units, lef, path: drawn.append([title for title, _ in units])
    )
    routed.clear()
    layout.measure(
        ["sq_16", "w4a4_16"],
        workers=1,
        begin=no_progress,
        command="command",
        known=report,
        draw=tmp_path / "a.png",
    )
    assert sorted(routed) == ["sq_16_pe", "w4a4_16_pe"]
    assert drawn == [["SQ x INT4, 16 lanes"]]


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need requirements-ppa.txt")
    pictures = [layout_page.picture([("unit", FOUND)], LEF, tmp_path / name) for name in ("a.png", "b.png")]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_what_is_missing_is_said_first(monkeypatch):
    monkeypatch.setattr(layout, "opensta", lambda library: None)

    def missing():
        raise ToolError("missing")

    monkeypatch.setattr(layout.qflow, "routed", missing)
    with pytest.raises(ToolError, match=r"^missing$"):
        layout.measure(["sq_16"], workers=1, begin=no_progress, command="command")
