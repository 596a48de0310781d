"""docs/results/imported.md: each row's rule and tokens, and last the text that the Verilog read."""

import json

from sqhw.measure import imported_page, pages
from sqhw.measure.imported_page import rule


def committed(name):
    return json.loads((pages.RESULTS / f"{name}.json").read_text())


def test_every_row_is_there_and_the_text_of_the_verilog():
    report, losses = map(committed, imported_page.REPORTS)
    table = imported_page.page(report, losses).partition("## Goals")[0]
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
    report, losses = map(committed, imported_page.REPORTS)
    goals = imported_page.page(report, losses).partition("## Goals")[2]
    assert goals.count("| yes |") + goals.count("| no |") + goals.count("| not measured |  |") == 9
    (lean,) = (row for row in report["rows"] if row["scheme"] == "imported, A 2/32 e3m2s index")
    lean["kl_x100"] = 4.91
    assert "| `lean`: KL x 100 | 4.9 | 4.91 ± " in imported_page.page(report, losses)
    assert imported_page.page({**report, "rows": [lean]}, losses).count("| not measured |  |") == 6
    (line,) = (g for g in imported_page.page(report, losses).splitlines() if g.startswith("| `lean`: KL"))
    assert line.endswith("| no |")


def test_only_sq_activations_have_a_rule():
    sq = {"format": "SQ", "scale": "saturating"}
    assert rule({"configuration": {"activation": sq}}) == "saturating"
    assert rule({"configuration": {"activation": {"format": "Dense", "scale": "absmax"}}}) is None
