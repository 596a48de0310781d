# amaranth: UnusedElaboratable=no
"""Coverage: its file is read right, the traffic shows every bin, a gap fails the run."""

import json
from pathlib import Path

import numpy as np
import pytest

from sim.coverage import check as coverage
from sim.coverage.bins import RUN_BINS, Bins, OperandBins, applicable_faults, result_bins, sample_results
from sim.coverage.data import Exclusion, Points, summary
from sim.coverage.encoder import row_bins, sample_row
from sim.coverage.unreachable import Unreachable
from sim.report import Failure
from sim.traffic.dot_products import dot_products
from sim.traffic.extreme_values import extreme_products
from sim.traffic.faults import DENSE_FAULTS, FAULTS
from sim.traffic.rows import random_row
from sim.traffic.small_units import ONE_STEP, TWO_SIDED
from sqhw.cli import main
from sqhw.presets import PRESETS

SEED = 7
PAGE = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
SOURCE = "module m;\n  if (en) begin\n  if (never) begin end\nendmodule\n"


def record(kind: str, line: int, what: str, count: int) -> str:
    fields = {"f": "top.v", "l": line, "page": f"v_{kind}/m", "o": what, "h": "TOP.m"}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}\n"


@pytest.fixture
def points(tmp_path) -> Points:
    """Two runs: one side of ``en`` in each, the empty statement never, one of two edges."""
    points = Points(SOURCE)
    for hits in ((3, 0), (0, 2)):
        lines = record("branch", 2, "if", hits[0]) + record("branch", 2, "else", hits[1])
        lines += record("branch", 3, "if", 0) + record("line", 1, "block", 1)
        lines += record("toggle", 1, "en:0->1", 1) + record("toggle", 1, "en:1->0", 0)
        path = tmp_path / "coverage.dat"
        path.write_text("# SystemC::Coverage-3\n" + lines)
        points.add(path)
    return points


def test_counts_of_runs_add_up(points):
    report = summary(points, [])
    assert {kind: (report[kind]["hit"], report[kind]["points"]) for kind in ("line", "branch", "toggle")} == {
        "line": (1, 1),
        "branch": (2, 3),
        "toggle": (1, 2),
    }
    assert report["branch"]["missed"] == ["TOP.m, if: if (never) begin end"]
    assert report["toggle"]["missed_by_instance"] == {"TOP.m": 1}


def test_excluded_points_are_not_counted(points):
    report = summary(points, [Exclusion("branch", r"never", "it never holds")])["branch"]
    assert (report["hit"], report["points"], report["excluded"], report["share"]) == (2, 2, 1, 1.0)


def test_an_exclusion_of_one_instance_leaves_the_others(points):
    for place, excluded in (("", 1), (".m", 1), (".n", 0)):
        rule = Exclusion("branch", r"never", "it never holds", place=place)
        assert summary(points, [rule])["branch"]["excluded"] == excluded


def test_exclusions_have_a_line_in_the_page():
    section = " ".join(PAGE.partition("## Coverage")[2].partition("\n## ")[0].split())
    reasons = [exclusion.reason for exclusion in coverage.EXCLUSIONS]
    assert reasons
    assert [reason for reason in reasons if reason not in section] == []


@pytest.mark.parametrize(
    "config",
    [PRESETS["tiny"], coverage.SQ_SQ, ONE_STEP, TWO_SIDED],
    ids=["tiny", "SQ x SQ", "index mask", "SQ x SQ by index"],
)
def test_the_traffic_holds_all_bins(config):
    legal, malformed = dot_products(config, SEED)
    products = [*malformed, *legal, *extreme_products(config, SEED)]
    operands = OperandBins(config)
    bins = Bins([*operands.names(), *result_bins(config)])
    for product in products:
        operands.sample(bins, product.sq, product.dense, legal=not product.fault)
    sample_results(bins, products)
    assert bins.missed == []
    assert len(bins.counts) > 30
    assert {product.fault for product in malformed} >= set(applicable_faults(config))


def test_rows_for_an_encoder_hold_all_bins():
    rng, bins = np.random.default_rng(SEED), Bins(row_bins(coverage.ENCODER))
    for _ in range(800):
        sample_row(bins, coverage.ENCODER, random_row(coverage.ENCODER, rng))
    # How rows follow each other is for the run to show.
    assert set(bins.missed) == {*RUN_BINS, "right row behind a flagged one"}


def test_every_fault_is_a_bin_of_some_design():
    known = {name for config in (*PRESETS.values(), coverage.SQ_SQ) for name in applicable_faults(config)}
    assert known == {*FAULTS, *DENSE_FAULTS}


def test_what_is_no_bin_is_refused():
    with pytest.raises(KeyError):
        Bins(["stall: none"]).hit("stall: all")


def report(**changes):
    full = {"design": "PE", "lines": 1.0, "branches": 0.998, "missed": [], "compared": 5}
    return [full | changes]


def test_a_gap_is_a_problem():
    assert coverage.problems(report()) == []
    assert coverage.problems(report(lines=0.975)) == ["PE: 97.5% of lines are hit, 100.0% must be"]
    assert coverage.problems(report(missed=["stall: both"])) == ["PE: never seen: stall: both"]
    assert coverage.problems(report(compared=0)) == ["PE: nothing was compared"]


# Lines whose numbers matter are numbered.
CHAINS = """
module m (
  input wire clk
);
  reg [1:0] state;
  reg [1:0] beat;
  wire one = state == 2'd1;
  wire two = state == 2'd2;
  wire none = ~|state;
  wire go = ~full | ready;
  wire [3:0] chosen =
    n ? a :
    n_2 ? b :
    n_3 ? c :
    n_4 ? d :
    4'bxxxx;
  wire n = beat == 2'd3;
  wire n_2 = beat == 2'd2;
  wire n_3 = beat == 2'd1;
  wire n_4 = ~|beat;
  always @(posedge clk) begin
    beat <= beat + 2'd1;
    if (none) begin
      if (go) begin
        state <= 2'd1;
      end else if (ready) begin
        state <= 2'd2;
      end else if (full) begin
        state <= 2'd0;
      end
    end else if (one) begin
      if (!(last)) begin
        if (last) begin
          state <= 2'd2;
        end
      end else begin
        if (last & first) begin
          state <= 2'd0;
        end
      end
    end else if (two) begin
      state <= 2'd0;
    end
  end
endmodule
"""


def test_conditions_that_exclude_each_other():
    source = CHAINS.splitlines()
    unreachable = Unreachable(source)
    kinds = {"if (": ("if", "else"), "? ": ("cond_then", "cond_else")}
    found = [
        f"{line.strip()} {side}"
        for number, line in enumerate(source, 1)
        for text, sides in kinds.items()
        if text in line
        for side in sides
        if unreachable(number, side)
    ]
    assert found == [
        "n_4 ? d : cond_else",  # all numbers of beat are taken
        "end else if (ready) begin if",  # go would hold
        "end else if (full) begin else",  # go would hold
        "if (last) begin if",
        "end else if (two) begin else",  # state holds 0, 1 or 2
    ]


def test_a_state_that_is_assigned_from_elsewhere_may_be_any():
    text = CHAINS.replace("state <= 2'd2;", "state <= beat;")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "if (two)" in line)
    assert not Unreachable(text.splitlines())(line, "else")
    narrow = text.replace("wire two = state == 2'd2;", "wire two = |state;")
    assert Unreachable(narrow.splitlines())(line, "else")


def test_a_wrapped_assignment_may_be_anything():
    text = CHAINS.replace("state <= 2'd2;", "state <= {first,\n            last};")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "if (two)" in line)
    assert not Unreachable(text.splitlines())(line, "else")


@pytest.mark.parametrize(
    ("definition", "value", "side"),
    [
        ("a & b", "a", "else"),
        ("~(a | b)", "!a", "else"),
        ("(c ? d : e) & a", "a", "else"),
        ("c ? a & b & d : e", "a", ""),
        ("c ? e : d & a & b", "a", ""),
        ("~a == 2'd1", "a == 2'd1", ""),
        ("!(~a == 2'd1)", "a == 2'd1", ""),
        ("~a ^ b", "!a", ""),
    ],
)
def test_what_a_wire_says(definition, value, side):
    """The inner condition, where the wire is 1: which of its sides is out of reach."""
    text = f"module m (\n);\n  wire w = {definition};\n  always @(posedge clk) begin\n    if (w) begin\n"
    text += f"      if ({value}) begin\n        x <= 1'd1;\n      end\n    end\n  end\nendmodule"
    unreachable = Unreachable(text.splitlines())
    assert [found for found in ("if", "else") if unreachable(6, found)] == ([side] if side else [])


def test_an_unreachable_point_that_is_hit_is_a_failure(tmp_path):
    points, path = Points(CHAINS), tmp_path / "coverage.dat"
    line = next(n for n, text in enumerate(CHAINS.splitlines(), 1) if "if (two)" in text)
    path.write_text(record("branch", line, "else", 0) + record("branch", line, "if", 1))
    points.add(path)
    assert summary(points, [])["branch"] == {
        "points": 1,
        "hit": 1,
        "excluded": 0,
        "unreachable": ["TOP.m, else: end else if (two) begin"],
        "share": 1.0,
        "missed_by_instance": {},
        "missed": [],
    }
    path.write_text(record("branch", line, "else", 1))
    points.add(path)
    with pytest.raises(Failure, match=r"^these were hit and are called unreachable: TOP.m, else: end else"):
        summary(points, [])


@pytest.mark.slow
def test_an_array_is_covered(tmp_path):
    output = tmp_path / "coverage.json"
    assert main(["verify", "coverage", "--quick", "--output", str(output)]) == 0
    document = json.loads(output.read_text())
    assert document["passed"]
    assert document["compared"] > 1000
    assert document["least"]["lines"] == 1
    assert document["least"]["branches"] >= 0.997
