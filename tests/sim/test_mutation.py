# amaranth: UnusedElaboratable=no
"""Planted faults are noticed or are none, random bits leave no trace: slices of the long campaigns."""

import json
from pathlib import Path

import pytest

from sim.bench.streams import compile_pe, drive
from sim.fuzz.beats import beat_rounds
from sim.fuzz.files import damaged_files
from sim.mutation import check as mutation
from sim.mutation.designs import DESIGNS
from sim.mutation.equivalence import Equivalence
from sim.mutation.invariants import Term
from sim.mutation.mutate import Mutant
from sim.mutation.pe import CONFIG
from sim.traffic.dot_products import NAN, dot_products, numeric_products, traffic
from sqhw.emit import emit

SEED = 7


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutation")
    return folder, *mutation.campaign(DESIGNS["array"], 30, SEED, folder, lambda text: None, effort=300)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_pe(emit(CONFIG, "top"), tmp_path_factory.mktemp("fuzz"))


def test_mutants_are_killed_or_proven_equivalent(campaign):
    _, report, rows = campaign
    assert report["mutants"] == 30
    assert report["compared"] > 50
    assert report["killed"] >= 25
    assert [row for row in rows if row["outcome"] == "open"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["one-step-pe", "two-sided-pe", "offset-pe", "fine", "encoder", "reader", "writer", "dma-engine"]
)
def test_a_few_mutants_of_other_designs(name, tmp_path):
    effort = min(1000, DESIGNS[name].effort)
    report, _ = mutation.campaign(DESIGNS[name], 10, SEED, tmp_path, lambda text: None, effort=effort)
    assert report["compared"] > 500
    assert report["killed"] + report["equivalent"] >= 8


def test_what_is_killed_is_never_proven_equivalent(campaign):
    """And a design without a mutant is."""
    folder, _, rows = campaign
    subject = DESIGNS["array"]
    equivalence = Equivalence(folder / "mutated.aag", subject.guards, subject.reset)
    killed = [row["mutant"] for row in rows if row["outcome"] == "killed"]
    verdicts = {
        number: mutation.prove(equivalence, Mutant(number, ""), 5.0, pipeline=not index).answer
        for index, number in enumerate(killed[::6])
    }
    assert len(verdicts) > 3
    assert "equal" not in verdicts.values()
    assert mutation.prove(equivalence, Mutant(4000, ""), 5.0, pipeline=False).proof == "state, history 0"


def test_only_invariants_that_hold_are_used(campaign):
    """A counter that stops at 8, in 4 bits."""
    folder, *_ = campaign
    subject, banks = DESIGNS["array"], "lockstep.decoder0.monitor.banks"
    below, eight = (Term(banks, first, end, any=False) for first, end in ((3, 4), (0, 3)))
    proposed = [(below, eight), (below,), (eight,), (Term("nothing", 0, 2, any=True),)]
    equivalence = Equivalence(folder / "mutated.aag", subject.guards, subject.reset, proposed)
    assert equivalence.invariants == ((below, eight),)


def test_the_committed_report_adds_up():
    path = Path(__file__).parents[2] / "docs" / "results" / "mutation.json"
    report = json.loads(path.read_text())
    assert report["mutants"] >= 500
    assert {part["design"] for part in report["designs"]} <= set(DESIGNS)
    assert report["killed"] + report["equivalent"] + report["open"] == report["mutants"]
    rows = report["faults"]
    assert len(rows) == report["mutants"]
    assert sum(row["outcome"] == "killed" for row in rows) == report["killed"]
    assert all(row["proof"] for row in rows if row["outcome"] == "equivalent")


def test_random_bits_leave_no_trace(program):
    rows = list(beat_rounds(program, CONFIG, 4000, SEED, per_round=1000))
    assert [row["state"] for row in rows] == ["done"] * len(rows)
    assert [row["wrong"] for row in rows] == [0] * len(rows)
    assert sum(row["compared"] for row in rows) > 80
    assert sum(row["flagged"] for row in rows) > 200


def test_a_wrong_result_would_be_noticed(program):
    """The bench tells the results that came, whatever was expected; a missing one is a hang."""
    stimulus = traffic(CONFIG, SEED, 5)
    run = drive(program, CONFIG, stimulus.beats, results=len(stimulus.expected), seed=1)
    assert (run.state, list(run.results)) == ("done", stimulus.expected)
    run = drive(program, CONFIG, stimulus.beats, results=len(stimulus.expected) + 1, seed=1)
    assert run.state == "hung"


def test_stimulus_has_every_kind_of_fault():
    legal, malformed = dot_products(CONFIG, SEED)
    assert len(legal) > 100
    assert len(malformed) > 20
    assert all(product.error for product in malformed)


def test_numeric_products_round_in_every_way():
    """Subnormal, zero, infinite and not-a-number results are among them."""
    magnitudes = {product.y & 0x7FFFFFFF for product in numeric_products(CONFIG, SEED, 2000)}
    assert {0, 0x7F800000, NAN} <= magnitudes
    assert sum(0 < magnitude < 1 << 23 for magnitude in magnitudes) > 20


def test_damaged_files_are_refused_or_read_as_they_are():
    counts = damaged_files(300, SEED)
    assert counts["refused"] + counts["accepted"] == 300
    assert min(counts.values()) > 50
