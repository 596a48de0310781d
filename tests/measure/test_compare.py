# amaranth: UnusedElaboratable=no
"""One point beside rivals: one accounting, the study's perplexities, and what is refused."""

import json

import pytest

from sqhw.cli import main
from sqhw.measure import compare as module
from sqhw.measure.compare import compare, table
from sqhw.measure.cost import cost
from sqhw.measure.units import unit
from sqhw.presets import preset
from sqhw.tools.targets import GENERIC

ROW = {
    "scheme": "W4 A-SQ 8/1",
    "delta_percent": 12.5,
    "configuration": {
        "activation": {"format": "SQ", "bank": 8, "outliers": 1, "high": "int8", "mask": "bitmap"},
        "weight": {"format": "Dense", "width": 4, "group": None, "scale": "least_squares"},
        "transform": "none",
    },
}


def no_progress(stage, total=None):
    return lambda what="", count=1: None


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_RIVALS", ("w4a4",))
    monkeypatch.setattr(module, "beside_rivals", lambda config: [])
    monkeypatch.setattr(module, "_energy_jobs", lambda config, cache: {})
    monkeypatch.setattr(module, "_clock_hint", lambda timed: "OpenSTA is needed")
    accuracy = tmp_path / "accuracy.json"
    rotated = ROW | {"delta_percent": 1.0, "configuration": ROW["configuration"] | {"transform": "rotated"}}
    accuracy.write_text(json.dumps({"rows": [ROW, rotated]}))
    return compare(
        preset("tiny"),
        (2, 2),
        GENERIC,
        workers=2,
        begin=no_progress,
        command="test",
        accuracy=[accuracy, tmp_path / "none.json"],
        cache=tmp_path,
    )


def test_a_point_beside_a_rival(report, tmp_path):
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == {"own", "w4a4"}
    assert report["rows"] == sorted(report["rows"], key=lambda row: row["um2_per_mac"])
    forms = [cost(unit(form, 4, (2, 2)), GENERIC, cache=tmp_path).area for form in ("w4a4", "w4a4-pairs")]
    assert rows["w4a4"]["um2_per_mac"] == round(min(forms) / 16, 2)  # the smaller form, per multiplication
    assert rows["own"]["own_ratio"] == 1
    expected = rows["own"]["um2_per_mac"] / rows["w4a4"]["um2_per_mac"]
    assert rows["w4a4"]["own_ratio"] == pytest.approx(expected, abs=1e-3)
    own = (rows["own"]["bits_activation"], rows["own"]["bits_weight"], rows["own"]["perplexity_percent"])
    assert own == (6.5, 4, 12.5)
    assert rows["w4a4"]["perplexity_percent"] is None
    assert "No clock: OpenSTA is needed" in report["notes"]
    title, columns, lines = table(report)
    assert title == "2x2 of 4 lanes, gates: per MAC"
    assert len(lines) == 2
    assert all(len(line) == len(columns) for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--array", "8"], "Array must be RxC, each from 1 to 16, not '8'"),
        (["--array", "17x1"], "Array must be RxC, each from 1 to 16, not '17x1'"),
        (["--period", "0ns"], "Period must be nanoseconds above 0, such as 5ns, not '0ns'"),
        (["--nand", "ND2"], "--nand must come with --liberty"),
        (["--lanes", "12"], "Lanes must be a power of two from 1 to 16, not 12"),
    ],
)
def test_refusals(options, message, capsys):
    assert main(["compare", *options]) == 2
    assert message in capsys.readouterr().err


def test_cells_come_from_one_place(tmp_path, capsys):
    liberty = tmp_path / "own.lib"
    liberty.write_text(GENERIC.liberty.read_text())
    assert main(["compare", "--library", "osu018", "--liberty", str(liberty)]) == 2
    assert "Cells must come from --library or --liberty, not from both" in capsys.readouterr().err
