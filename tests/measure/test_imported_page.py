"""docs/results/imported.md: each row's rule and tokens, and last the text that the Verilog read."""

import json

from sqhw.measure import imported_page, pages
from sqhw.measure.imported_page import rule


def test_every_row_is_there_and_the_text_of_the_verilog():
    report, losses = (
        json.loads((pages.RESULTS / f"{name}.json").read_text()) for name in imported_page.REPORTS
    )
    lines = [line for line in imported_page.page(report, losses).splitlines() if line.startswith("| ")]
    rows = {cells[1]: cells[2:] for cells in ([c.strip() for c in line.split("|")] for line in lines[2:])}
    assert len(rows) == len(report["rows"]) + 1
    for row in report["rows"]:
        assert rows[row["scheme"]][3] == f"{row['tokens']:,}"
    name, *cells = lines[-1].split(" | ")
    assert name == "| imported, A 2/32 e3m2s index, by the Verilog"
    assert cells[:5] == ["two candidates", "4.75", "4.5", f"{losses['losses_compared']}", ""]
    assert cells[5] == f"{losses['perplexity']:.2f}"


def test_only_sq_activations_have_a_rule():
    sq = {"format": "SQ", "scale": "saturating"}
    assert rule({"configuration": {"activation": sq}}) == "saturating"
    assert rule({"configuration": {"activation": {"format": "Dense", "scale": "absmax"}}}) is None
