"""docs/results/imported.md: activations beside a checkpoint's own weights, from the accuracy study."""

from __future__ import annotations

from .accuracy_page import COLUMNS, conditions
from .tables import Record, markdown, rows

__all__ = ["page"]

_SHOWN = (
    "scheme",
    "bits A",
    "bits W",
    "KL x 100",
    "perplexity",
    "against float",
    "against W8 A8",
    "hardware",
)

_TEXT = """# Accuracy with a checkpoint's own weights

The model's weights come in 4-bit codes. Here they are taken as they are: codes unchanged, group
scales and offsets rounded once to those of the dense operand. So only the activations lose
something, and the rows compare formats of activations at their bits. `W8 A8`, and SQ x SQ where it
is among them, have weights that are quantized anew. [format.md](../format.md#formats-as-text) says
what a format's text means.

KL is the mean Kullback-Leibler divergence of the next token's distribution from the unquantized
model's, in nats, times 100: it resolves what perplexity does not. [accuracy.md](../accuracy.md) says how both
are measured, [exponents.md](exponents.md) what another order of float32 sums does to them.
"Two candidates" is a rule without a search ([encoder.md](../encoder.md)); the other SQ rows search by
least squares. [rules.md](rules.md) sets the rules side by side.
"""


def page(report: Record) -> str:
    """The page, in rising order of the divergence."""
    lines = sorted(report["rows"], key=lambda row: row["kl_x100"])
    columns = {name: COLUMNS[name] for name in _SHOWN}
    table = "\n".join(markdown(*rows(lines, columns)))
    return f"{_TEXT}\n{conditions(report)}\n\n{table}"
