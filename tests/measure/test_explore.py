# amaranth: UnusedElaboratable=no
"""The design space: which points exist, how costs add up, resuming on a cluster, the report."""

import json

import pytest

from sqhw import cli
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout
from sqhw.measure import explore, explore_report
from sqhw.measure.explore import Sweep, configurations, document, gates_of, utilization
from sqhw.measure.explore_exponents import estimate
from sw_reference.format import DenseFormat, SQFormat

COSTS = {"row": 100.0, "column": 10.0, "unit": 1000.0}
FP16 = PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 64), 16, 1)
WIDE = PEConfig(SQFormat(32, 2, "fp16"), DenseFormat(4, 64), 32, 1)


def test_hundreds_of_points():
    points = configurations(Sweep())
    assert len(set(points)) == len(points)
    assert {FP16, WIDE} <= set(points)
    assert len(points) * len(explore.SIZES) > 400
    assert configurations(Sweep(banks=(8,), lanes=(16,))) == []


def test_gates_add_up():
    assert gates_of(FP16, COSTS, 1) == 1110
    assert gates_of(FP16, COSTS, 4) == 4 * 110 + 16 * (1000 + 8 * FP16.acc_bits)


def test_parts_of_a_small_point(tmp_path):
    config = PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=16)
    costs = explore.evaluate(config, str(tmp_path))
    assert costs["column"] == 6 * dense_beat_layout(config).size
    assert costs["row"] > 0
    assert costs["unit"] > 500


def test_utilization():
    assert utilization(FP16, "largest", 16) == 1
    one = utilization(WIDE, "threshold", 1)
    assert 0.5 <= utilization(WIDE, "largest", 1) < one < 1
    assert utilization(WIDE, "threshold", 8) < one
    assert utilization(PEConfig(WIDE.sq, WIDE.dense, 32, 2), "largest", 8) == 1


def test_runs_on_a_cluster_and_resumes(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(explore, "evaluate", lambda config, folder: COSTS | {"row": float(config.lanes)})
    told = []
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        arguments = {
            "workers": 1,
            "scheduler": cluster.scheduler_address,
            "done": told.append,
            "cache": tmp_path,
        }
        first = explore.explore([FP16], **arguments)
        assert first == {FP16: COSTS | {"row": 16.0}}
        both = explore.explore([FP16, WIDE], **arguments)
    assert both[WIDE]["row"] == 32
    assert told == ["bank 16, 1 outliers, 16 lanes", "kept", "bank 32, 2 outliers, 32 lanes"]
    again = explore.explore([FP16, WIDE], workers=1, scheduler="nowhere", done=told.append, cache=tmp_path)
    assert again == both


ACCURACY = {
    "rows": [
        {
            "delta_percent": 3.5,
            "standard_error": 0.4,
            "configuration": {
                "activation": {
                    "format": "SQ",
                    "bank": 16,
                    "outliers": 1,
                    "high": "fp16",
                    "mask": "bitmap",
                    "selection": {"format": "Largest"},
                },
                "weight": {"format": "Dense", "width": 8, "group": None},
            },
        }
    ]
}


def test_document_and_section():
    exponents = [
        {
            "exponent_bits": 5,
            "shifter_gates": 1,
            "accumulator_gates": 2,
            "scale_bits_per_element": 0.5,
            "banks_below_range_percent": 0.0,
        }
    ]
    found = document({FP16: COSTS, WIDE: COSTS}, ACCURACY, exponents, command="command")
    assert json.loads(json.dumps(found)) == found
    assert len(found["points"]) == 2 * 2 * len(explore.SIZES)
    narrow = [row for row in found["points"] if row["bank"] == 16 and row["policy"] == "largest"]
    assert [row["delta_percent"] for row in narrow] == [3.5] * len(explore.SIZES)
    assert all("delta_percent" not in row for row in found["points"] if row["bank"] == 32)
    for size in explore.SIZES:
        own = [row for row in found["points"] if row["size"] == size]
        for row in own:
            beaten = any(
                other["gates_per_useful_mac"] <= row["gates_per_useful_mac"]
                and other["error_percent"] < row["error_percent"]
                for other in own
            )
            assert row["pareto"] != beaten
    page = "\n".join(explore_report.section(found))
    assert "| 5 | 1 | 2 | 0.5 | 0.00 % |" in page
    ((bank, outliers, high, *_, perplexity),) = explore_report.measured_rows(found)[1]
    assert (bank, outliers, high, perplexity) == ("16", "1", "fp16", "+3.5 % ± 0.4")


def test_fewer_exponent_bits_are_smaller(tmp_path):
    rows = estimate(PEConfig(), workers=1, cache=tmp_path)
    shifters = [row["shifter_gates"] for row in rows]
    assert shifters == sorted(shifters, reverse=True)
    below = [row["banks_below_range_percent"] for row in rows]
    assert below == sorted(below)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--bank 12", "Bank must be a power of two from 4 to 128, not 12"),
        ("--bank 8 --lanes 16", "No processing element has any of these combinations"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr("sqhw.measure.area_figures.check", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["measure", "explore", *options.split()]) == 2
    assert capsys.readouterr().err.endswith(f"Error: {message}\n")
    assert list(tmp_path.iterdir()) == []
