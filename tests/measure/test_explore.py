# amaranth: UnusedElaboratable=no
"""The design space: which points exist, how costs add up, resuming on a cluster, the report."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sqhw import cli
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout
from sqhw.measure import explore, explore_page, explore_rivals, pages
from sqhw.measure.explore import Sweep, configurations, document, gates_of
from sqhw.measure.units import one_step
from sqhw.presets import preset
from sw_reference.activations import load_activations
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense
from sw_reference.split import dequantize

COSTS = {"row": 100.0, "column": 10.0, "unit": 1000.0}
FP16 = PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 64), 16, 1)
WIDE = PEConfig(SQFormat(32, 2, "fp16"), DenseFormat(4, 64), 32, 1)


def test_hundreds_of_points():
    points = configurations(Sweep())
    assert len(set(points)) == len(points)
    assert {FP16, WIDE} <= set(points)
    assert {preset("lean"), preset("fine")} <= set(points)
    assert len(points) * len(explore.SIZES) > 250
    assert set(explore.around()) <= set(points)
    assert {preset("both"), replace(preset("lean"), dense=replace(preset("lean").dense, offset=True))} <= set(
        points
    )
    assert configurations(Sweep(banks=(32,), masks=("index",), lanes=(32,))) == [
        preset("lean") if outliers == 2 else one_step(outliers, 32) for outliers in (1, 2, 4)
    ]


def test_errors_of_rivals():
    """The more bits, the smaller; INT8 on both sides is what the golden model computes."""
    errors = {family: explore_rivals.error_percent(family) for family, lanes, size in explore_rivals.units()}
    assert len(errors) == 7
    assert errors["mxint8"] < errors["w8a8"] < errors["nvfp4"] < errors["mxfp4"] < errors["w4a4"]
    wrong = total = 0.0
    for site in load_activations().sites:
        y = site.x.astype(np.float64) @ site.weight.T.astype(np.float64)
        a, b = (dequantize(quantize_dense(m, DenseFormat(8))) for m in (site.x, site.weight))
        wrong += np.square(a @ b.T - y).sum() / np.square(y).mean()
        total += y.size
    assert errors["w8a8"] == pytest.approx(100 * (wrong / total) ** 0.5, rel=1e-6)


def test_gates_add_up():
    assert gates_of(FP16, COSTS, 1) == 1110
    assert gates_of(FP16, COSTS, 4) == 4 * 110 + 16 * (1000 + explore._CAPTURE_GE * FP16.acc_bits)


def test_parts_of_a_small_point(tmp_path):
    config = PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=16)
    costs = explore.evaluate(config, str(tmp_path))
    assert costs["column"] == explore._OPERAND_GE * dense_beat_layout(config).size
    assert costs["row"] > 0
    assert costs["unit"] > 500


def costs_of(config, folder):
    return COSTS | {"row": float(config.lanes)}


def rival_gates(family, lanes, size, folder):
    return float(lanes + size)


@pytest.mark.parametrize("cluster", [False, True], ids=["here", "cluster"])
def test_measures_here_and_on_a_cluster(tmp_path, monkeypatch, cluster):
    monkeypatch.setattr(explore, "evaluate", costs_of)
    monkeypatch.setattr(explore_rivals, "gates_per_mac", rival_gates)
    monkeypatch.setattr(explore_rivals, "units", lambda: [("nvfp4", 32, 8)])
    told = []

    def measure(scheduler):
        return explore.measure(
            [FP16, WIDE],
            workers=1,
            scheduler=scheduler,
            accuracy=tmp_path / "none.json",
            begin=lambda stage, total: lambda text: told.append((stage, total, text)),
            command="command",
            cache=tmp_path,
        )

    if cluster:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as workers:
            report = measure(workers.scheduler_address)
    else:
        report = measure(None)
    costs = {c: costs_of(c, "") for c in (FP16, WIDE)}
    rivals = explore_rivals.rows({("nvfp4", 32, 8): 40.0})
    assert report == document(costs, [], rivals=rivals, command="command")
    assert sorted(told) == [
        ("Exploring", 2, "bank 16, 1 outliers, 16 lanes"),
        ("Exploring", 2, "bank 32, 2 outliers, 32 lanes"),
        ("Exploring rivals", 1, "nvfp4, 32 lanes"),
    ]


ACCURACY = [
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


def test_document_and_section():
    rivals = explore_rivals.rows({("w4a8", 32, 8): 250.0, ("if4", 16, 1): 300.0})
    found = document({FP16: COSTS, WIDE: COSTS}, ACCURACY, rivals=rivals, command="command")
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
    page = explore_page.page(found, {"rows": ACCURACY}, {"rows": []}, {"units": []})
    assert "| 16 | 1 of 16 | fp16 | bitmap | int4 g64 e3m3 | 16 : 1 | largest | 6.5 |" in page
    assert "are presets" not in page  # where no study has their losses
    assert "| INT4 x INT8 | 32 | 8 | 250 | 28.19 % |" in page
    assert "| IF4 x IF4 | 16 | 4.5 | 300 | 20.57 % |" in page
    ((bank, outliers, high, *_, perplexity),) = explore_page.choice_rows(explore_page.measured(found))[1]
    assert (bank, outliers, high, perplexity) == ("16", "1 of 16", "fp16", "+3.5 % ± 0.4")


def area_unit(family, gates):
    return {"family": family, "title": family, "lanes": 32, "size": "8x8", "gates_per_mac": gates}


def test_rivals_of_the_page_are_in_their_smaller_form():
    """With both kinds of group scales; errors are those of the design space alone."""
    report = {"rivals": explore_rivals.rows({("w4a8", 32, 8): 250.0, ("w4a8", 16, 8): 290.0})}
    measured = {"w4a8": 250.0, "w4a8-pairs": 220.0, "w4a8-linear": 260.0, "w4a8-linear-pairs": 230.0}
    area = {"units": [area_unit(family, gates) for family, gates in measured.items()]}
    assert explore_page.rival_rows(report, area, 8)[1] == [
        ["INT4 x INT8", "32", "8", "220", "28.19 %"],
        ["w4a8-linear", "32", "8", "230", ""],
        ["INT4 x INT8", "16", "8", "290", "28.19 %"],
    ]
    area["units"].pop()
    assert explore_page.rival_rows(report, area, 8)[1][0][3] == "220"
    assert len(explore_page.rival_rows(report, area, 8)[1]) == 2  # both forms are needed


def test_the_sweep_has_offsets_and_no_sentinel():
    """As the page says."""
    report = json.loads((pages.RESULTS / "explore.json").read_text())
    assert {point["mask"] for point in report["points"]} == {"bitmap", "index"}
    offsets = sum("offset" in point["weights"] for point in report["points"])
    text = " ".join((pages.RESULTS / "explore.md").read_text().split())
    assert f"group offsets, which {offsets} points of the sweep add" in text


def test_the_page_joins_the_loss_of_activations():
    """That beside the checkpoint's own codes, where the study has it; only of the largest as outliers."""
    row = explore_page._with_loss
    losses = {(32, 2, "int8", "index", "e3m2s", None): {"delta_percent": 4.0, "standard_error": 0.4}}
    point = {
        "bank": 32,
        "outliers": 2,
        "high": "int8",
        "mask": "index",
        "scale": "e3m2s",
        "policy": "largest",
    }
    assert row(point, losses)["delta_percent"] == 4.0
    assert row(point | {"policy": "threshold"}, losses) == point | {"policy": "threshold"}
    assert row(point | {"segment": 16}, losses) == point | {"segment": 16}
    for weights in ("int4 g32 linear8", "int4 g32 linear8 offset"):
        assert row(point | {"weights": weights}, losses)["delta_percent"] == 4.0
    for weights in ("int4 g64 linear8", "int4 g32 linear8 6/32 index"):
        assert row(point | {"weights": weights}, losses) == point | {"weights": weights}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--bank 12", "Bank must be a power of two from 4 to 128, not 12"),
        ("--bank 8 --lanes 16", "No processing element has any of these combinations"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["measure", "explore", *options.split()]) == 2
    assert capsys.readouterr().err.endswith(f"Error: {message}\n")
    assert list(tmp_path.iterdir()) == []
