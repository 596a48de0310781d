"""Committed figures are those of the committed reports, small, with labels that do not overlap."""

import re

import pytest
from amaranth.sim import Simulator

from sqhw.measure import pages, waveform
from sqhw.measure.figures import along
from sqhw.pe.pe import ProcessingElement
from sqhw.presets import preset


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="figures need requirements-ppa.txt")
    monkeypatch.setattr(pages, "FIGURES", tmp_path)
    return pages.draw()


def test_committed_figures_are_made_from_the_committed_reports(drawn):
    folder = pages.ROOT / "docs" / "figures"
    assert len(drawn) == 12
    for path in drawn:
        assert (folder / path.name).read_text() == path.read_text(), f"{path.name}: sqhw measure pages"
        assert path.stat().st_size < 100_000
        assert not re.search(r"\d\.\d{3}", re.sub(r"base64,\S*", "", path.read_text()))


def test_waveform():
    samples = waveform.trace()
    dut = ProcessingElement(preset("default"))
    Simulator(dut)  # what is made is elaborated
    last = [cycle for cycle, value in enumerate(samples["i_sq.last"]) if value]
    results = [cycle for cycle, value in enumerate(samples["o.valid"]) if value]
    assert results == [cycle + dut.latency for cycle in last]
    assert [value is not None for value in samples["y"]] == [bool(value) for value in samples["o.valid"]]


def test_points_along_a_line():
    points = along([(0.0, 0.0), (20.0, 40.0)])
    assert len(points) == 20
    assert all(y == 2 * x for x, y in points)
