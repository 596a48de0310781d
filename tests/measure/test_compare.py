# amaranth: UnusedElaboratable=no
"""One point beside rivals: one accounting, the study's perplexities, and what is refused."""

import json
import re
from dataclasses import replace

import pytest

from sqhw.cli import main
from sqhw.measure import committed, energy
from sqhw.measure import compare as module
from sqhw.measure.compare import compare, table
from sqhw.measure.compare_losses import ACCURACY, how_to_measure, imported_loss, loss, losses, own_formats
from sqhw.measure.cost import cost
from sqhw.measure.energy_points import beside_rivals, rival_point
from sqhw.measure.imported_page import BOTH
from sqhw.measure.units import CONFIGS, one_step, unit
from sqhw.presets import preset
from sqhw.tools.targets import GENERIC
from sqhw.tools.tools import ToolError, package_version
from sw_reference.activations import load_activations

OF_STUDY = ("lean", "fine", "both", "lean-offset", "fine-offset")
PERIODS = {"own_4_pe": 4.0, "w4a4_4_pe": 5.0, "w4a4_pairs_4_pe": 8.0}
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
    """In cells of no process, whose energy is measured, and periods that are told; one rival, for speed."""
    monkeypatch.setattr(module, "rivals_of", lambda config: ["w4a4"])
    text = re.sub(
        r"direction *: *input;", "direction : input; capacitance : 0.01;", GENERIC.liberty.read_text()
    )
    (tmp_path / "loads.lib").write_text(text)
    loads = replace(GENERIC, liberty=tmp_path / "loads.lib")
    for each in (module, energy):
        monkeypatch.setattr(each, "fetched", lambda name, cache=None: loads)
    monkeypatch.setattr(module.jobs, "run", lambda runs, **_: {key: run() for key, run in runs.items()})
    monkeypatch.setattr(module, "_clock_hint", lambda timed: None)
    monkeypatch.setattr(module, "smallest_period", lambda each, *_, **__: PERIODS[each.name])
    accuracy = tmp_path / "accuracy.json"
    rotated = ROW | {"delta_percent": 1.0, "configuration": ROW["configuration"] | {"transform": "rotated"}}
    cached = ROW | {
        "delta_percent": 2.0,
        "configuration": ROW["configuration"] | {"values": {"format": "SQ"}},
    }
    accuracy.write_text(json.dumps({"rows": [ROW, rotated, cached]}))
    return compare(
        preset("tiny"),
        (2, 2),
        GENERIC,
        workers=2,
        begin=no_progress,
        command="test",
        accuracy=[accuracy, tmp_path / "none.json"],
        area=tmp_path / "none.json",
        energy=tmp_path / "none.json",
        cache=tmp_path,
    )


def test_a_point_beside_a_rival(report, tmp_path):
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == {"own", "w4a4"}
    assert report["rows"] == sorted(report["rows"], key=lambda row: row["um2_per_mac"])
    forms = [cost(unit(form, 4, (2, 2)), GENERIC, cache=tmp_path).area for form in ("w4a4", "w4a4-pairs")]
    assert forms[0] != forms[1]
    assert rows["w4a4"]["um2_per_mac"] == round(min(forms) / 16, 2)  # the smaller form, per multiplication
    assert rows["own"]["own_ratio"] == 1
    expected = rows["own"]["um2_per_mac"] / rows["w4a4"]["um2_per_mac"]
    assert rows["w4a4"]["own_ratio"] == pytest.approx(expected, abs=1e-3)
    own = (rows["own"]["bits_activation"], rows["own"]["bits_weight"], rows["own"]["perplexity_percent"])
    assert own == (6.5, 4, 12.5)
    assert rows["w4a4"]["perplexity_percent"] is None
    assert not any(note.startswith("No clock") for note in report["notes"])
    title, columns, lines = table(report)
    assert title == "2x2 of 4 lanes, gates: per MAC"
    assert len(lines) == 2
    assert all(len(line) == len(columns) for line in lines)


def test_clock_and_energy_are_of_the_form_whose_area_counts(report, tmp_path):
    rows = {row["name"]: row for row in report["rows"]}
    forms = ("w4a4", "w4a4-pairs")
    form = min(forms, key=lambda form: cost(unit(form, 4, (2, 2)), GENERIC, cache=tmp_path).area)
    assert rows["own"]["mhz"] == 250
    assert rows["w4a4"]["mhz"] == {"w4a4": 200, "w4a4-pairs": 125}[form]
    elements = {"own": beside_rivals(preset("tiny"))[0]} | {name: rival_point(name, 4) for name in forms}
    energies = {}
    for name, element in elements.items():
        found = energy.simulate(element, load_activations().sites, energy.TOKENS, energy.COLUMNS, tmp_path)
        energies[name] = round((found["switching_per_mac"] + found["clock_per_mac"]) * energy.VOLT**2, 1)
    assert len({0.0, *energies.values()}) == 4
    assert {name: row["fj_per_mac"] for name, row in rows.items()} == {
        "own": energies["own"],
        "w4a4": energies[form],
    }


def test_without_a_clock_a_note_says_why():
    hint = module._clock_hint(GENERIC)
    assert hint.startswith("Generic gates has no delays")
    assert f"No clock: {hint}" in module._notes(GENERIC, GENERIC, hint)


def test_committed_reports_are_found_from_anywhere(tmp_path, monkeypatch):
    """Those of the checkout; what is missing is named, and not taken for a study without the product."""
    monkeypatch.chdir(tmp_path)
    reports = (committed.AREA, committed.ENERGY, *ACCURACY)
    unknown, tiny = {"perplexity_percent": None}, preset("tiny")
    assert all(committed.required(path)["command"] for path in reports)
    assert module._lacking(reports, {"perplexity_percent": 1.0}, tiny) == []
    assert module._lacking(reports, unknown, tiny)[0].startswith("The study lacks this product: `sqhw ")
    none = tmp_path / "none.json"
    lacking = f"Not there, so nothing is joined from it: {none}. A checkout has it."
    assert module._lacking([*reports, none], unknown, tiny) == [lacking]
    message = f"{none} is needed, but it is not there: it comes with a checkout of the project"
    with pytest.raises(ToolError, match=f"^{re.escape(message)}$"):
        committed.required(none)


def test_losses_are_of_the_same_numbers():
    """However outliers and scales are chosen, but not by a rule without a search, nor with another mask."""
    formats = own_formats(preset("tiny"))
    described = ROW["configuration"]

    def found(**activation):
        other = described | {"activation": described["activation"] | activation}
        return loss([ROW | {"configuration": other}], *formats)

    assert found() == found(scale="absmax", selection={"format": "ByRms"}) == 12.5
    wrong = (
        {"mask": "sentinel"},
        {"scale": "two_candidates"},
        {"scale": "saturating"},
        {"bank_scale": "e3m2s"},
        {"segment": 4},
    )
    assert [found(**change) for change in wrong] == [None] * len(wrong)


def test_losses_are_of_the_same_product():
    """Of the committed studies: weights with outliers never lend their name to codes of a checkpoint."""
    rows = losses(ACCURACY)
    by_scheme = {row["scheme"]: row["delta_percent"] for row in rows}
    lean, fine = (by_scheme[f"imported, A {n}/32 e3m2s index"] for n in (2, 4))
    found = {name: own_formats(config(32)) for name, config in CONFIGS.items() if name in OF_STUDY}
    assert {name: imported_loss(rows, *formats) for name, formats in found.items()} == {
        "lean": lean,
        "fine": fine,
        "both": None,
        "lean-offset": lean,
        "fine-offset": fine,
    }
    assert loss(rows, *found["both"]) == by_scheme[BOTH]
    # With offsets the checkpoint's codes are the product's own weights.
    assert loss(rows, *found["fine-offset"]) == fine


def test_how_to_measure_what_the_study_lacks():
    config = one_step(3, 32)
    assert how_to_measure(config) == (
        '`sqhw measure accuracy --activations "3/32 e3m2s index" --weights "int4 g32 linear8"`'
    )
    assert how_to_measure(one_step(3, 32, offset=True)).endswith('--weights "import"`')
    notes = module._lacking((), {"perplexity_percent": None}, config)
    assert notes[-1] == f"The study lacks this product: {how_to_measure(config)} measures it."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--array", "8"], "Array must be RxC, each from 1 to 16, not '8'"),
        (["--array", "17x1"], "Array must be RxC, each from 1 to 16, not '17x1'"),
        (["--period", "0ns"], "Period must be nanoseconds above 0, such as 5ns, not '0ns'"),
        (["--lanes", "12"], "Lanes must be a power of two from 1 to 16, not 12"),
    ],
)
def test_refusals(options, message, capsys):
    assert main(["compare", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [["compare"], ["measure", "area"]])
@pytest.mark.parametrize("option", ["--nand", "--full-adder"])
def test_named_cells_come_with_their_library(command, option, capsys):
    assert main([*command, option, "CELL"]) == 2
    assert f"{option} must come with --liberty" in capsys.readouterr().err


def test_cells_come_from_one_place(tmp_path, capsys):
    liberty = tmp_path / "own.lib"
    liberty.write_text(GENERIC.liberty.read_text())
    assert main(["compare", "--library", "osu018", "--liberty", str(liberty)]) == 2
    assert "Cells must come from --library or --liberty, not from both" in capsys.readouterr().err


def committed_reports(folder, made_from=None, **changed):
    units = [
        {"family": family, "lanes": 32, "size": size, "um2": 1000 * times, "gates": 250 * times}
        | {"name": f"{family}_32_{size}"}
        for times, family, size in ((1, "w4a8", "pe"), (1, "w4a8", "8x8"), (2, "w8a8", "8x8"))
    ]
    units[0]["clock"] = [{"period": 6.0}]
    for record in units:
        shape = (8, 8) if record["size"] == "8x8" else None
        record["made_from"] = made_from or committed.made_from(unit(record["family"], 32, shape))
    tools = {"tools": {tool: package_version(tool) for tool in committed.TOOLS}}
    libraries = {"area": {"title": "cells"}, "clock": {"title": "timed"}}
    area = tools | {"libraries": libraries, "units": units} | changed
    energy = tools | {"units": [ENERGY | {"made_from": units[0]["made_from"]}, {"name": "lean_32"}]}
    for name, report in (("area", area), ("energy", energy)):
        (folder / name).write_text(json.dumps(report))
    return folder / "area", folder / "energy"


ENERGY = {"name": "w4a8_32", "switching_per_mac": 1.0}


def test_rivals_of_committed_reports(tmp_path):
    area, energy = committed_reports(tmp_path)
    assert committed.areas(32, (8, 8), "cells", area) == {
        "w4a8": committed.Known(1000, 250),
        "w8a8": committed.Known(2000, 500),
    }
    assert committed.areas(16, (8, 8), "cells", area) == {}
    assert committed.clocks(32, "timed", area) == {"w4a8": 6.0}
    assert committed.clocks(32, "cells", area) == committed.clocks(16, "timed", area) == {}
    switched = ENERGY | {"made_from": committed.made_from(unit("w4a8", 32, None))}
    assert committed.energies(32, energy) == {"w4a8": switched}
    assert committed.energies(16, energy) == {}
    for missing in (
        committed.areas(32, (8, 8), "cells", tmp_path / "none"),
        committed.clocks(32, "timed", tmp_path / "none"),
        committed.energies(32, tmp_path / "none"),
    ):
        assert missing == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"made_from": "other code"},
        {"tools": {}},
        {"libraries": {"area": {"title": "other cells"}, "clock": {}}},
    ],
)
def test_reports_of_other_code_or_cells_say_nothing(tmp_path, changed):
    area, energy = committed_reports(tmp_path, **changed)
    assert committed.areas(32, (8, 8), "cells", area) == {}
    if "made_from" in changed:
        assert committed.clocks(32, "timed", area) == committed.energies(32, energy) == {}


def test_a_rival_is_made_from_its_own_files():
    """Lanes and shape count; another family's files do not."""
    digests = {
        committed.made_from(unit(*of))
        for of in (("w4a8", 32, None), ("w4a8", 16, None), ("w4a8", 32, (8, 8)))
    }
    assert len(digests) == 3
