"""docs/results/accuracy.md: its tables are those of the report, its verdicts follow from the rows."""

import json

import pytest

from sqhw.measure import accuracy_claims as paper
from sqhw.measure import accuracy_page as accuracy
from sqhw.measure import pages
from sw_reference.accuracy.study import default


def row(name, perplexity, *, error=0.3, int8=None):
    delta = 100 * (perplexity / 30 - 1)
    return {
        "scheme": name,
        "perplexity": perplexity,
        "delta_percent": delta,
        "standard_error": error,
        "int8_percent": delta if int8 is None else int8,
        "int8_standard_error": error,
        "bits_activation": 6.5,
        "bits_weight": 8.0,
        "hardware": True,
        "outliers_percent": 6.25,
        "gate_rate": 0.5,
    }


def test_page_has_every_row():
    report = json.loads((pages.RESULTS / "accuracy.json").read_text())
    text = pages.filled(pages.ACCURACY)
    compared = sum(f"\n| {row['scheme']} |" in text for row in report["rows"])
    assert compared == len(report["rows"]) >= 2


def test_a_page_without_its_region_is_refused():
    with pytest.raises(ValueError) as error:
        pages.with_region("", "conditions", "text", made_by="x")
    assert str(error.value) == "The page must have one region 'conditions', not 0"


def test_the_page_names_the_size_of_the_default_study():
    page = (pages.ROOT / "docs" / "accuracy.md").read_text()
    assert f"# the default study: {len(default())} schemes, " in page


def test_verdicts():
    rows = [row("W8 A-SQ 16/1", 31, int8=0.9), row("W8 A-SQ 16/1 static", 32)]
    text = paper.claims({"rows": rows})
    line = next(line for line in text.splitlines() if line.startswith("| Dynamic "))
    numbers = "W8 A-SQ 16/1 +3.3 ± 0.3 %; W8 A-SQ 16/1 static +6.7 ± 0.3 %"
    assert line == f"| Dynamic selection beats a static mask | confirmed | {numbers} |"
    rows[1] |= row(rows[1]["scheme"], 31.1)
    assert "| Dynamic selection beats a static mask | confirmed (not resolved) |" in paper.claims(
        {"rows": rows}
    )
    rows[1] |= row(rows[1]["scheme"], 30.5)
    assert "| Dynamic selection beats a static mask | not confirmed |" in paper.claims({"rows": rows})
    assert "| GPTQ compensation helps | not measured | needs W-SQ 32/2 rms" in text
    reached = "| yes | best: W8 A-SQ 16/1, 6.5 bits, +0.90 ± 0.30 % against W8 A8 |"
    assert reached in paper.goals({"rows": rows})
    rows[0]["int8_percent"] = 1.1
    assert "| no | best: W8 A-SQ 16/1" in paper.goals({"rows": rows})


def test_masks_of_llama_70b():
    byte, bit = paper.mask_megabytes()
    assert (round(byte, 2), round(bit, 2)) == (5.94, 0.74)


def test_gates():
    """All of 16 lanes; the survey of area before the design space."""
    units = [
        {"family": "sq", "lanes": 16, "size": "8x8", "gates_per_mac": 250.5},
        {"family": "mxfp4", "lanes": 32, "size": "8x8", "gates_per_mac": 200.0},
        {"family": "nvfp4", "lanes": 16, "size": "8x8", "gates_per_mac": 300.0},
        {"name": "other"},
    ]
    rivals = [
        {"family": family, "lanes": lanes, "size": size, "gates_per_useful_mac": gates}
        for family, lanes, size, gates in (
            ("mxfp4", 16, 8, 270.0),
            ("mxfp4", 16, 1, 290.0),
            ("if4", 32, 8, 315.0),
            ("nvfp4", 16, 8, 301.0),
        )
    ]
    assert accuracy.gates_per_mac({"units": units}, {"rivals": rivals}) == {
        "W4 g64 A-SQ 16/1": 250.5,
        "NVFP4 both": 300.0,
        "MXFP4 both": 270.0,
    }


def test_all_gates_are_of_as_many_lanes():
    """As the page says; both reports have the same cells."""
    area, explore = (json.loads((pages.RESULTS / f"{n}.json").read_text()) for n in ("area", "explore"))
    found = accuracy.gates_per_mac(area, explore)
    assert len(found) == len(accuracy._UNITS)
    assert area["libraries"]["area"]["title"] == explore["library"]
    wide = {(u["family"], u["gates_per_mac"]) for u in area["units"] if u["lanes"] != accuracy.LANES}
    assert not {(family, found[name]) for name, family in accuracy._UNITS.items()} & wide
