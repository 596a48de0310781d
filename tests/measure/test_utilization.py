"""Cycles of rows in lockstep, the model of a queue, and the table that the docs quote."""

from pathlib import Path

import numpy as np
import pytest

from sqhw.measure.tables import markdown
from sqhw.measure.utilization import outliers, queue_cycles, queue_rows, utilization
from sw_reference.format import SQFormat

DOCS = Path(__file__).parents[2] / "docs"
WIDE = SQFormat(32, 2, "fp16")


@pytest.mark.parametrize(
    ("counts", "window", "outlier_lanes", "expected"),
    [
        ([[0, 0, 0, 0]], 1, 1, 4),
        ([[1, 1, 1, 1], [0, 1, 0, 1]], 1, 1, 4),
        ([[2, 0, 2, 0]], 1, 1, 6),  # a second outlier holds its beat back
        ([[2, 0, 2, 0]], 2, 1, 4),  # or waits for the next beat
        ([[2, 0, 0, 0], [0, 2, 0, 0]], 1, 1, 6),  # one row holds back the other
        ([[0, 0, 0, 3]], 4, 1, 6),  # a tile ends with its last outlier
        ([[4, 0, 0, 0]], 2, 1, 6),  # the window is full
        ([[2, 0, 2, 0], [1, 1, 1, 2]], 1, 2, 4),  # a lane for each
        ([[3, 0, 4, 0], [0, 2, 0, 1]], 1, 2, 6),
        ([[4, 0, 0, 5]], 2, 2, 6),  # both
    ],
)
def test_cycles(counts, window, outlier_lanes, expected):
    assert queue_cycles(np.array(counts), window, outlier_lanes) == expected


def test_utilization():
    assert utilization(SQFormat(16, 1, "fp16"), 16, 1, "largest", 16) == 1
    one = utilization(WIDE, 32, 1, "threshold", 1)
    assert 0.5 <= utilization(WIDE, 32, 1, "largest", 1) < one < 1
    assert utilization(WIDE, 32, 1, "threshold", 8) < one
    assert utilization(WIDE, 32, 2, "largest", 8) == 1


@pytest.mark.parametrize(("policy", "rows"), [("largest", 1), ("threshold", 8), ("threshold of the row", 8)])
def test_no_queue_is_lockstep(policy, rows):
    spent = beats = 0
    for counts in outliers(WIDE, 16, policy):
        for first in range(0, len(counts) - rows + 1, rows):
            beats += counts.shape[1]
            spent += queue_cycles(counts[first : first + rows], 1)
    assert beats > 1000
    assert utilization(WIDE, 16, 1, policy, rows) == beats / spent


def test_the_docs_have_the_table():
    text = "\n".join(markdown(*queue_rows())[2:])
    assert sum(text in page.read_text() for page in DOCS.rglob("*.md")) == 1
