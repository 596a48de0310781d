"""docs/results/rules.md: what the rules for bank scales cost, from the study of imported weights."""

from __future__ import annotations

from collections.abc import Iterable

from sw_reference.accuracy.study import INT8

from .accuracy_page import COLUMNS, conditions
from .tables import Record, markdown, rows

__all__ = ["page"]

_RULES = (", two candidates", ", saturating")
_SHOWN = ("scheme", "bits A", "KL x 100", "perplexity", "against float", "against W8 A8")

_TEXT = """# Accuracy of the rules for bank scales

The rows compare the ways in which [the encoder](../encoder.md) chooses bank scales: a search by
least squares, which is the default and not named; the better one of two candidates, which
[`sqhw generate`](../generate.md) takes; and "saturating", the rule of the encoder in hardware, which needs no
errors. The weights are the
checkpoint's own, as in [imported.md](imported.md), which says what the columns are.
"""


def page(report: Record) -> str:
    """The page, in rising order of the divergence: activations that were measured by several rules."""
    lines = sorted(_by_rules(report["rows"]), key=lambda row: row["kl_x100"])
    columns = {name: COLUMNS[name] for name in _SHOWN}
    return f"{_TEXT}\n{conditions(report)}\n\n" + "\n".join(markdown(*rows(lines, columns)))


def _by_rules(every: Iterable[Record]) -> list[Record]:
    """The rows whose names differ only in what follows the last format, where a rule is named."""
    named = [row for row in every if row["scheme"].endswith(_RULES)]
    without = {row["scheme"].rpartition(", ")[0] for row in named}
    return [*named, *(row for row in every if row["scheme"] in without or row["scheme"] in ("float", INT8))]
