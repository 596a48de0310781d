"""The report on encoders: of this hardware's rooms, within its bound."""

import json
from pathlib import Path

from sqhw.encoder.config import ENCODERS, memory_bits

REPORT = json.loads((Path(__file__).parents[2] / "docs" / "results" / "encoder.json").read_text())


def test_the_committed_report_is_within_its_bound():
    """At most 8 % of the array that an encoder serves, on streams of 128 bits."""
    rows = {row["encoder"]: row for row in REPORT["rows"]}
    assert set(rows) == set(ENCODERS)
    for name, row in rows.items():
        assert row["stream_bits"] == 128
        assert row["memory_bits"] == memory_bits(ENCODERS[name])
        assert row["of_array"] == round(row["gates"] / REPORT["array"]["gates"], 4) <= 0.08
