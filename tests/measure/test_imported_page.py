"""docs/results/imported.md: each row's rule and tokens, and last the text that the Verilog read."""

import json

from sqhw.measure import imported_page, pages
from sqhw.measure.accuracy_figures import _IMPORTED, _VARIANTS
from sqhw.measure.imported_page import rule


def committed(name):
    return json.loads((pages.RESULTS / f"{name}.json").read_text())


def test_every_row_is_there_and_the_text_of_the_verilog():
    report, losses, manual = map(committed, imported_page.REPORTS)
    table = imported_page.page(report, losses, manual).partition("## Goals")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    rows = {cells[1]: cells[2:] for cells in ([c.strip() for c in line.split("|")] for line in lines[2:])}
    assert len(rows) == len(report["rows"]) + 1
    for row in report["rows"]:
        assert rows[row["scheme"]][3] == f"{row['tokens']:,}"
    name, *cells = lines[-1].split(" | ")
    assert name == "| imported, A 2/32 e3m2s index, by the Verilog"
    assert cells[:5] == ["two candidates", "4.75", "4.5", f"{losses['losses_compared']}", ""]
    assert cells[5] == f"{losses['perplexity']:.2f}"


def test_goals_follow_from_the_rows():
    report, *others = map(committed, imported_page.REPORTS)
    goals = imported_page.page(report, *others).partition("## Goals")[2]
    assert goals.count("| yes |") + goals.count("| no |") + goals.count("| not measured |  |") == 9
    (lean,) = (row for row in report["rows"] if row["scheme"] == "imported, A 2/32 e3m2s index")
    lean["kl_x100"] = 4.91
    assert "| `lean`: KL x 100 | 4.9 | 4.91 ± " in imported_page.page(report, *others)
    assert imported_page.page({**report, "rows": [lean]}, *others).count("| not measured |  |") == 6
    (line,) = (g for g in imported_page.page(report, *others).splitlines() if g.startswith("| `lean`: KL"))
    assert line.endswith("| no |")


def test_the_second_text_is_told():
    report, losses, manual = map(committed, imported_page.REPORTS)
    text = imported_page.page(report, losses, manual)
    assert "`lean` has +2.67 ± 0.82 % against W8 A8, above the goal of 2.2," in text
    (lean,) = (row for row in manual["rows"] if row["scheme"] == imported_page.LEAN)
    lean["int8_percent"] = 2.1
    assert "+2.10 ± 0.82 % against W8 A8, within the goal" in imported_page.page(report, losses, manual)


def test_no_format_of_the_table_beats_the_drawn_ones():
    """But by other rules for bank scales; so the page says. Keys and values are no activations' format."""
    rows = [
        row
        for row in committed("imported")["rows"]
        if row["bits_activation"] <= 8
        and rule(row) in (None, "least_squares")
        and not {"keys", "values"} & row["configuration"].keys()
    ]
    drawn = [row for row in rows if row["scheme"] in (*_IMPORTED, *_VARIANTS)]
    others = [row for row in rows if row not in drawn]
    assert len(others) >= 4
    for loss in ("kl_x100", "delta_percent"):
        for row in others:
            found = [d for d in drawn if d["bits_activation"] <= row["bits_activation"]]
            assert row["scheme"] == "imported, A4" or min(d[loss] for d in found) <= row[loss]


def test_only_sq_activations_have_a_rule():
    sq = {"format": "SQ", "scale": "saturating"}
    assert rule({"configuration": {"activation": sq}}) == "saturating"
    assert rule({"configuration": {"activation": {"format": "Dense", "scale": "absmax"}}}) is None
