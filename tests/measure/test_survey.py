# amaranth: UnusedElaboratable=no
"""The stages of the survey of area: what a report has stays, what it lacks is measured."""

from functools import partial

import pytest

from sqhw.measure import area_numbers
from sqhw.measure import survey as surveys
from sqhw.measure.cost import Cost, Point
from sqhw.measure.parts import emit
from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import integer
from sqhw.measure.units import FAMILIES, Unit, unit
from sqhw.tools.targets import GENERIC


def small(shape):
    rows, columns = shape or (1, 1)
    make = partial(RivalArray, integer(4, 4, 2, None), rows, columns, drained=shape is not None)
    return Unit("small", 2, shape, make)


@pytest.fixture
def survey(tmp_path, monkeypatch):
    """A survey whose units' code has the digest "now", and whose jobs run here."""
    monkeypatch.setattr(surveys, "made_from", lambda u: "now")
    monkeypatch.setattr(area_numbers, "made_from", lambda u: "now")
    monkeypatch.setattr(surveys.jobs, "run", lambda runs, **_: {key: run() for key, run in runs.items()})
    return surveys.Survey(GENERIC, GENERIC, 1, lambda *_: lambda *_: None, tmp_path)


def test_records_stay_while_code_or_verilog_is_the_same(survey, tmp_path):
    one = small(None)
    known = {one.name: {"name": one.name, "made_from": "now", "gates": 1}}
    survey.emit([one], known)
    assert (survey.records, survey.emitted) == (known, {})

    survey.records.clear()
    digest = surveys._digest(emit(one, cache=tmp_path))
    record = {"name": one.name, "made_from": "before", "verilog": digest, "gates": 1}
    survey.emit([one], {one.name: record})
    assert survey.records == {one.name: record | {"made_from": "now"}}

    survey.records.clear()
    survey.emit([one], {one.name: record | {"verilog": "other"}})
    assert survey.records == {}
    assert list(survey.emitted) == [one.name]


def test_what_is_lacking_is_measured(survey, monkeypatch):
    one, array = small(None), small((2, 2))
    monkeypatch.setitem(FAMILIES, "small", FAMILIES["w4a4"])
    survey.emit([one, array], {})
    survey.synthesize([one])
    survey.check([array])
    record = survey.records["small_2_pe"]
    assert record["gates"] > 100
    assert (record["made_from"], len(record["verilog"])) == ("now", 32)
    assert abs(survey.records["small_2_2x2"]["difference_percent"]) < 3

    points = [Point("small", 100.4, 7.0), Point("straight", 120.0, 4.5)]
    monkeypatch.setattr(surveys, "curve", lambda u, *_, **__: points)
    survey.time([one], ())
    assert survey.records["small_2_pe"]["clock"][0] == {"recipe": "small", "gates": 100, "period": 7.0}


def test_arrays_are_mapped_as_their_elements_reach_a_period(survey, monkeypatch):
    points = [Point("small", 100, 7.0), Point("straight", 120, 4.5)]
    survey.records |= {"w4a8_16_pe": {"clock": area_numbers.clock(points)}, "w4a8_16_8x8": {"gates": 1000}}
    seen = []

    def mapped(u, library, *, period, points, cache):
        seen.append((u.name, period))
        reached = next(point for point in points if point.period <= period)
        return Cost(0, 10 * reached.gates, 0, {}, {}, {}, reached.recipe, reached.period)

    monkeypatch.setattr(surveys, "cost", mapped)
    survey.time([unit("w4a8", 16, (8, 8))], (5.0, 7.0, 8.0))
    assert seen == [("w4a8_16_8x8", period) for period in (5.0, 7.0, 8.0)]
    assert [point["gates"] for point in survey.records["w4a8_16_8x8"]["clock"]] == [1000, 1200]
    survey.time([unit("w4a8", 16, (8, 8))], (5.0,))  # it has a clock now
    assert len(seen) == 3
