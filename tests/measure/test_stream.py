"""The share of W's bandwidth: what is counted, and the committed figures."""

import json

import pytest

from sqhw.measure import pages, stream
from sqhw.presets import engine_preset
from sw_reference.format import as_parameters


def test_a_products_words_and_cycles_are_counted(monkeypatch):
    monkeypatch.setattr(stream, "LAYERS", {"one": (6, 40), "two": (3, 9)})
    report = stream.measure(["tiny"], [1, 9], begin=lambda *_: lambda *_: None, command="")
    assert [row["compared"] for row in report["rows"]] == [6, 54, 3, 27]
    assert not any(row["mismatches"] for row in report["rows"])
    # W in words of 4 bytes: three tiles of two scales and rows of 20 bytes; two tiles, 5 bytes a row.
    words = [3 * (2 + 10), 2 * 3 * (2 + 10), 2 + 3 + 1 + 2, 2 * (2 + 3 + 1 + 2)]
    assert [row["words"] for row in report["rows"]] == words
    one, nine = stream.totals(report)
    cycles = sum(row["cycles"] for row in report["rows"][::2])
    assert (one["m"], one["words"], one["cycles"]) == (1, 30 * (36 + 8), 30 * cycles)
    assert one["stream_share"] == pytest.approx((36 + 8) / cycles)
    assert nine["cycles_per_token"] == nine["cycles"] / 9


def test_committed_shares_are_95_percent():
    report = json.loads((pages.RESULTS / "engine.json").read_text())["stream"]
    found = {(total["axi_bits"], total["m"]): total for total in stream.totals(report)}
    assert all(total["mismatches"] == 0 < total["compared"] for total in found.values())
    assert all(found[bits, 1]["stream_share"] >= 0.95 for bits in (512, 1024))
    assert all(found[bits, 64]["utilization"] >= 0.9 for bits in (512, 1024))
    for preset, bits in (("lean", 512), ("decode", 1024)):  # as docs/engine.md says of a few tokens
        rows = engine_preset(preset).array.rows
        assert found[bits, 1]["cycles"] < found[bits, rows]["cycles"] < 1.004 * found[bits, 1]["cycles"]
    for name, configuration in report["configurations"].items():
        assert configuration == as_parameters(engine_preset(name))
