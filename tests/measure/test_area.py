# amaranth: UnusedElaboratable=no
"""The survey of area and frequency: parts against wholes, stand-in tools, goals, the committed page."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sqhw.encoder.config import ENCODERS, memory_bits
from sqhw.measure import area, area_numbers, area_page, fpga, pages
from sqhw.measure.area_rows import clock_ratio_rows
from sqhw.measure.goals import clock_verdicts, energy_verdicts, table_verdicts, verdicts
from sqhw.measure.parts import Emitted, combine, emit, job, multiplies, parts
from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import integer
from sqhw.measure.serving import ARRAY, hardware
from sqhw.measure.units import Unit, unit, units
from sqhw.tools import cache, jobs, verilog
from sqhw.tools.cache import result
from sqhw.tools.synth import Report, synthesize
from sqhw.tools.targets import TARGETS
from sqhw.tools.tools import ToolError

ROOT = Path(__file__).parents[2]
GATES = TARGETS["gates"]


def small(shape):
    rows, columns = shape or (1, 1)
    make = partial(RivalArray, integer(4, 4, 2, None), rows, columns, drained=shape is not None)
    return Unit("small", 2, shape, make)


def made_again(*_, **__):
    raise AssertionError("made again")


def test_sum_of_parts_is_the_whole(tmp_path):
    emitted = emit(small((2, 2)), cache=tmp_path)
    assert (emitted.top, list(emitted.shared)) == ("small_2", ["small_2_unit0"])
    assert not multiplies(emitted)
    reports = {top: job(emitted, top, GATES, breakdown=False, cache=tmp_path)() for top in parts(emitted)}
    assert reports["small_2"].cells["small_2_unit0"] == 4
    total = GATES.resources(combine(emitted, reports).cells)
    whole = GATES.resources(
        synthesize(emitted.verilog, emitted.top, GATES, breakdown=False, cache=tmp_path).cells
    )
    assert total["FF"] == whole["FF"]
    assert total["GE"] == pytest.approx(whole["GE"], rel=0.03)


def test_sizes_share_a_part_and_the_cache_keeps_the_text(tmp_path, monkeypatch):
    pe, array = emit(small(None), cache=tmp_path), emit(small((1, 2)), cache=tmp_path)
    assert pe.shared == array.shared
    assert pe.verilog != array.verilog

    again = replace(small(None), make=partial(made_again, *small(None).make.args, drained=False))
    made_from = cache.sources(RivalArray.__module__, verilog.__name__)
    monkeypatch.setattr(cache, "sources", lambda *_: made_from)
    assert emit(again, cache=tmp_path) == pe
    monkeypatch.setattr(cache, "sources", lambda *_: "other sources")
    with pytest.raises(AssertionError, match=r"^made again$"):
        emit(again, cache=tmp_path)


def test_combine_multiplies_shared_modules():
    emitted = Emitted("t", "", {"t_unit": ""})
    reports = {
        "t": Report("t", "gates", {"DFF": 5, "t_unit": 6}, {"t": {"DFF": 5}, "t.drain": {"DFF": 1}}),
        "t_unit": Report("t_unit", "gates", {"DFF": 2, "INV": 1}, {"t_unit.lanes": {"DFF": 2}}),
    }
    assert combine(emitted, reports) == Report(
        "t",
        "gates",
        {"DFF": 17, "INV": 6},
        {"t": {"DFF": 5}, "t.drain": {"DFF": 1}, "t_unit.lanes": {"DFF": 12}},
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [("o = a * b;", True), ("o = x[3:0] * \\y ;", True), ("(* full_case = 32'd1 *)", False)],
)
def test_multiplications_are_seen(line, found):
    assert multiplies(Emitted("t", f"module t;\n{line}\nendmodule\n", {})) is found


def test_jobs_end_with_the_first_failure():
    told = []
    assert jobs.run({"a": lambda: 1, "b": lambda: 2}, workers=1, done=told.append) == {"a": 1, "b": 2}
    assert told == ["a", "b"]

    def fail():
        raise ToolError("broken")

    with pytest.raises(ToolError, match=r"^broken$"):
        jobs.run({"a": fail, "b": lambda: 1}, workers=1)
    assert jobs.run({"a": partial(divmod, 7, 3)}, workers=1, python=True) == {"a": (2, 1)}


def test_a_failed_run_is_not_kept(tmp_path):
    def fail(folder):
        (folder / "log").write_text("why")
        raise ToolError("broken")

    with pytest.raises(ToolError, match=r"^broken$"):
        result(tmp_path / "x", fail)
    assert (tmp_path / "x" / "log").read_text() == "why"
    assert result(tmp_path / "x", lambda _: {"a": 1}) == {"a": 1}
    assert result(tmp_path / "x", fail) == {"a": 1}


def described(family, lanes, size, gates):
    return {
        "name": f"{family}_{lanes}_{size}",
        "family": family,
        "lanes": lanes,
        "size": size,
        "gates": gates,
    }


def test_verdicts():
    gates = {
        **{"sq": 70, "sq-dense": 60, "paper": 64, "lean": 60, "w4a4": 50, "w4a8": 100, "w6a6": 100},
        **{"w8a8": 200, "w4a4-pairs": 45, "w4a8-pairs": 80, "w6a6-pairs": 110, "w8a8-pairs": 190},
        **{"w4a4-linear": 55, "w4a4-linear-pairs": 48, "w4a8-linear": 90, "w4a8-linear-pairs": 75},
    }
    units = [described(family, lanes, "8x8", count) for lanes in (16, 32) for family, count in gates.items()]
    reached = [
        {"unit": "lean_32_8x8", "to": to, "period": 6.0, "gates": ratio}
        for to, ratio in {"w4a8_linear_32_8x8": 0.7, "w4a8_linear_pairs_32_8x8": 0.81, "nvfp4": 0.9}.items()
    ]
    found = {v["goal"]: v for v in verdicts({"units": units, "reach_ratios": reached})}
    assert found["sq_16_8x8 / w4a8, gates"] == {
        "goal": "sq_16_8x8 / w4a8, gates",
        "limit": 1.1,
        "measured": 0.875,
        "met": True,
        "single": 0.7,
        "floor": 0.75,
        "floor_is": "sq-dense",
    }
    lean = found["lean_32_8x8 / w4a8, gates"]  # of the same group scales
    assert (lean["measured"], lean["met"], lean["floor"]) == (0.8, False, 0.64)
    at_period = found["lean_32_8x8 / w4a8, gates at 6 ns"]
    assert (at_period["measured"], at_period["limit"], at_period["met"]) == (0.81, 0.8, False)
    assert found["lean_64_8x8 / w4a8, gates"]["measured"] is None
    assert found["paper_16_8x8 / w6a6, gates"]["floor"] == 0.8
    clocks = {v["goal"]: v for v in clock_verdicts({"units": [{"name": "sq_long_16_pe", "mhz": 221.0}]})}
    assert clocks["sq_long_16_pe, ECP5-6 MHz"]["met"]
    assert clocks["lean_long_32_2x2, ECP5-6 MHz"]["measured"] is None
    assert not clocks["lean_long_32_2x2, ECP5-6 MHz"]["met"]


def test_energy_verdicts():
    """The rival's form that takes the least counts."""
    found = [
        {"unit": "lean_32", "to": to, "with_clock": ratio}
        for to, ratio in {"w4a8_linear_32": 0.6, "w4a8_linear_pairs_32": 0.7, "w8a8_32": 0.3}.items()
    ]
    assert [(v["measured"], v["met"]) for v in energy_verdicts(found)] == [(0.7, False), (0.3, True)]


def timed(family, lanes, size, *points):
    clock = [{"recipe": "small", "gates": gates, "period": period} for gates, period in points]
    return described(family, lanes, size, points[0][0]) | {"clock": clock}


def by_name(*records):
    return {record["name"]: record for record in records}


def test_areas_at_periods():
    element = timed("sq", 16, "pe", (100, 7.0), (120, 4.5))
    others = described("sq", 32, "pe", 50), timed("sq", 16, "8x8", (900, 7.0))
    assert area_numbers.reach(by_name(element, *others), (4.0, 5.0, 8.0)) == [
        {"unit": "sq_16_pe", "fastest": 4.5, "gates": [None, 120, 100]}
    ]
    reached = by_name(
        timed("sq", 32, "8x8", (80, 7.0), (90, 5.5)),
        timed("w4a8", 32, "8x8", (100, 6.5)),
        timed("w4a8", 16, "8x8", (100, 6.5)),
        timed("w4a8-linear", 16, "8x8", (100, 6.5)),
        timed("w4a8-offset", 16, "8x8", (100, 6.5)),
        timed("lean", 16, "8x8", (70, 6.5)),
    )
    assert area_numbers.reach_ratios(reached, (6.0, 10.0)) == [
        {"unit": "sq_32_8x8", "to": "w4a8_32_8x8", "period": 10.0, "gates": 0.8},
        {"unit": "lean_16_8x8", "to": "w4a8-linear_16_8x8", "period": 10.0, "gates": 0.7},
    ]


def test_a_period_moves_no_ratio_to_the_smaller_form():
    """The smallest netlists of *lean*, *fine* and pairs of INT4 x INT8 reach 6 ns: so the page says."""
    report = json.loads((pages.RESULTS / "area.json").read_text())
    header, lines = clock_ratio_rows(report)
    assert header == ["gates of", "lanes", "period", "/ INT4 x INT8, 8-bit scale", f"/ {SMALLER}"]
    assert [line[2] for line in lines] == ["any", "6 ns", "7 ns"] * 2
    assert len({line[4] for line in lines[:3]}) == len({line[4] for line in lines[3:]}) == 1
    assert all(lines[place][3] > lines[place + 1][3] for place in (0, 3))  # single products are sized
    assert lines[0][4] == "0.833"


SMALLER = "INT4 x INT8, 8-bit scale, pairs"


def test_the_committed_report_has_what_serves_an_array():
    """An encoder is at most 8 % of the array that it serves, on streams of 128 bits."""
    report = json.loads((pages.RESULTS / "area.json").read_text())
    array = next(u["gates"] for u in report["units"] if u["name"] == unit(*ARRAY).name)
    rows = {row["name"]: row for row in report["serving"]}
    assert {u.name for u in hardware()} == set(rows)
    for name, config in ENCODERS.items():
        row = rows[f"encoder_{name}_8_pe"]
        assert (row["bits"], row["memory_bits"]) == (128, memory_bits(config))
        assert row["gates"] / array <= 0.08


def test_bits_of_arrays():
    found = {u["size"]: u["bits"] for u in area_numbers.bits([unit("w8a8", 16, None)])}
    assert found == {"pe": 16, "4x4": 4, "8x8": 2}


def test_what_is_placed_and_measured():
    placed = {u.name for u in fpga.placed_units()}
    assert {"sq_16_pe", "sq_long_16_pe", "sq_dsp_16_pe", "lean_long_32_2x2"} <= placed
    assert {"sq_dsp_16_pe", "fine_32_pe", "w8a8_16_pe"} <= {u.name for u in fpga.measured_units()}
    names = [u.name for u in units()]
    assert len(names) == len(set(names))
    assert {"lean_64_8x8", "w4a8_linear_64_8x8", "if4_32_8x8", "mxfp4_32_pe", "paper_16_8x8"} <= set(names)
    timed = {u.name for u in area.timed_units(units())}
    assert {"lean_32_pe", "w4a8_linear_32_8x8", "w8a8_pairs_32_pe", "sq_16_pe"} <= timed
    assert not any("_64_" in name for name in timed)


def test_committed_pages_are_made_from_the_committed_reports():
    report = json.loads((pages.RESULTS / "area.json").read_text())
    assert report["goals"] == verdicts(report)
    assert report["ratios"]
    assert len(area_page.tables(report)) == 5
    clocks = json.loads((pages.RESULTS / "fpga.json").read_text())
    assert clocks["goals"] == [*clock_verdicts(clocks), *table_verdicts(clocks)]
    made = pages.result_pages()
    assert len(made) == 13
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name}: renew it with: sqhw measure pages"
