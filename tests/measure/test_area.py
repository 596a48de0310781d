# amaranth: UnusedElaboratable=no
"""The survey of area and frequency: parts against wholes, stand-in tools, goals, the committed page."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sqhw.encoder.config import ENCODERS, memory_bits
from sqhw.measure import area, area_numbers, area_page, fpga, pages
from sqhw.measure.area_rows import clock_ratio_rows, goal_rows
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


MACS = 1024
"""Of 16 lanes, 8 x 8."""


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
        **{"fine": 95},
        **{"w4a4-linear": 55, "w4a4-linear-pairs": 48, "w4a8-linear": 90, "w4a8-linear-pairs": 75},
    }
    units = [
        described(family, lanes, "8x8", count * MACS) for lanes in (16, 32) for family, count in gates.items()
    ]
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
        "left": 28.0,
        "taken": 10.0,
    }
    lean = found["lean_32_8x8 / w4a8, gates"]  # of the same group scales
    assert (lean["measured"], lean["met"], lean["floor"]) == (0.8, False, 0.64)
    both = found["both_32_8x8 / w8a8, gates"]  # contains *fine*
    assert (both["measured"], both["floor"], both["left"]) == (None, 0.5, 0.0)
    assert both["floor_is"] == "fine"
    assert both["taken"] is None
    at_period = found["lean_32_8x8 / w4a8, gates at 6 ns"]
    assert (at_period["measured"], at_period["limit"], at_period["met"]) == (0.81, 0.8, False)
    assert found["lean_64_8x8 / w4a8, gates"]["measured"] is None
    assert found["paper_16_8x8 / w6a6, gates"]["floor"] == 0.8
    clocks = {v["goal"]: v for v in clock_verdicts({"units": [{"name": "sq_long_16_pe", "mhz": 221.0}]})}
    assert clocks["sq_long_16_pe, ECP5-6 MHz"]["met"]
    assert clocks["lean_long_32_2x2, ECP5-6 MHz"]["measured"] is None
    assert not clocks["lean_long_32_2x2, ECP5-6 MHz"]["met"]


def test_shortest_periods():
    """The form with the shortest period counts, in cells of elements."""
    periods = {"lean": 5.0, "w4a8-linear": 6.25, "w4a8-linear-pairs": 4.0, "both": 9.0}
    document = {
        "units": [described(family, 32, "pe", 1) for family in periods],
        "reach": [{"unit": f"{family}_32_pe", "fastest": period} for family, period in periods.items()],
    }
    lean, fine, both = verdicts(document)[-3:]
    assert lean == {
        "goal": "lean_32_pe / w4a8, shortest period",
        "limit": 1,
        "measured": 1.25,
        "met": False,
        "single": 0.8,
    }
    assert (fine["measured"], both["measured"]) == (None, None)


def test_verdicts_in_words():
    goals = [
        {"goal": "a", "limit": 0.5, "measured": 0.7, "met": False, "floor": 0.6, "floor_is": "x"},
        {"goal": "b", "limit": 0.5, "measured": 0.7, "met": False, "single": 0.504},
        {"goal": "c", "limit": 0.5, "measured": 0.5, "met": True, "single": 0.4},
        {"goal": "d", "limit": 0.5, "measured": None, "met": False},
    ]
    header, lines = goal_rows({"goals": goals})
    assert header[3:] == ["verdict", "to single products", "floor", "left above it", "taken"]
    assert [line[3] for line in lines] == ["out of reach", "missed", "met", "open"]
    assert [line[4] for line in lines] == ["", "0.504, 0.004 above", "0.4, met", ""]
    assert [line[0] for line in goal_rows({"goals": goals}, ["c"])[1]] == ["c"]


def test_energy_verdicts():
    """The rival's form that takes the least counts."""
    taken = {"lean": 30, "w4a8_linear": 50, "w4a8_linear_pairs": 40, "w8a8": 120, "w8a8_pairs": 100}
    taken |= {"w4a4_linear": 20, "w4a4_linear_pairs": 22}
    units = [
        {"name": f"{name}_32", "switching_per_mac": fj - 10, "clock_per_mac": 10}
        for name, fj in taken.items()
    ]
    found = energy_verdicts(units)
    assert [(v["measured"], v["met"]) for v in found] == [(0.75, False), (0.3, True), *2 * [(None, False)]]
    assert found[0] == {
        "goal": "lean_32 / w4a8, energy",
        "limit": 0.65,
        "measured": 0.75,
        "met": False,
        "floor": 0.5,
        "floor_is": "w4a4-linear",
        "left": 6.0,
        "taken": 10,
    }


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
