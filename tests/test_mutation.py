# amaranth: UnusedElaboratable=no
"""Planted faults are noticed, random bits leave no trace: slices of ``make mutation`` and ``make fuzz``."""

import json

import pytest

from sim import fuzz, mutation
from sim.stimulus import dot_products
from sim.streams import drive

SEED = 7


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutation")
    report = mutation.campaign(40, SEED, folder, products=20)
    (program,) = folder.glob("bench/*/obj/Vtop")
    return folder, report, program


def test_most_mutants_are_killed(campaign):
    _, report, _ = campaign
    assert report["mutants"] == 40
    assert report["killed"] >= 28  # among the others are equivalent ones
    assert report["killed"] + report["survived"] == 40
    assert json.dumps(report)


def test_random_bits_leave_no_trace(campaign):
    *_, program = campaign
    rows = list(fuzz.streams(program, mutation.CONFIG, 4000, SEED, per_round=1000))
    assert [row["state"] for row in rows] == ["done"] * len(rows)
    assert [row["wrong"] for row in rows] == [0] * len(rows)
    assert sum(row["compared"] for row in rows) > 80
    assert sum(row["flagged"] for row in rows) > 200


def test_a_wrong_result_would_be_noticed(campaign):
    """The bench tells the results that came, whatever was expected; a missing one is a hang."""
    *_, program = campaign
    stimulus = mutation.traffic(mutation.CONFIG, SEED, 5)
    (run,) = drive(program, mutation.CONFIG, stimulus.beats, results=len(stimulus.expected), seed=1)
    assert (run.state, list(run.results)) == ("done", stimulus.expected)
    (run,) = drive(program, mutation.CONFIG, stimulus.beats, results=len(stimulus.expected) + 1, seed=1)
    assert run.state == "hung"


def test_stimulus_has_every_kind_of_fault():
    legal, malformed = dot_products(mutation.CONFIG, SEED)
    assert len(legal) > 100
    assert len(malformed) > 20
    assert all(product.error for product in malformed)


def test_damaged_files_are_refused_or_read_as_they_are():
    counts = fuzz.files(300, SEED)
    assert counts["refused"] + counts["accepted"] == 300
    assert min(counts.values()) > 50
