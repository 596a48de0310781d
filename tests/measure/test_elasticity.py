"""The model of a queue in front of the outlier lanes, and the table that the docs quote."""

from pathlib import Path

import numpy as np
import pytest

from sqhw.measure.elasticity import cycles, table

PAGE = Path(__file__).parents[2] / "docs" / "results" / "outlier-lanes.md"


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
    assert cycles(np.array(counts), window, outlier_lanes) == expected


def test_the_docs_have_the_table():
    assert table() in PAGE.read_text()
