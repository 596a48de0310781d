"""docs/results/imported.md: activations beside a checkpoint's own weights, from the accuracy study."""

from __future__ import annotations

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import format_text

from ..generate.linear import RULE
from .accuracy_page import COLUMNS, conditions
from .tables import Columns, Record, markdown, rows

__all__ = ["REPORTS", "page", "rule"]

REPORTS = ("imported", "losses")

_SHOWN = ("KL x 100", "perplexity", "against float", "against W8 A8", "hardware")

_TEXT = """# Accuracy with a checkpoint's own weights

The model's weights come in 4-bit codes. Here they are taken as they are: codes unchanged, group
scales and offsets rounded once to those of the dense operand. So only the activations lose
something, and the rows compare formats of activations at their bits. `W8 A8`, and SQ x SQ where it
is among them, have weights that are quantized anew. [format.md](../format.md#formats-as-text) says
what a format's text means.

The last row is of the emitted Verilog: an engine computed all linear layers, and every loss is the
golden model's to the last bit ([losses.md](losses.md)). It has the beginning of the text alone, which is
harder to guess, so its perplexity stands beside no other.

KL is the mean Kullback-Leibler divergence of the next token's distribution from the unquantized
model's, in nats, times 100: it resolves what perplexity does not. [accuracy.md](../accuracy.md) says how both
are measured, [exponents.md](exponents.md) what another order of float32 sums does to them.

The rule is how bank scales are chosen ([encoder.md](../encoder.md)): by a search with least squares, as the
better of two candidates, as [`sqhw generate`](../generate.md) does, or "saturating", as the encoder in
hardware does. [rules.md](rules.md) sets the rules side by side.
"""


def rule(row: Record) -> str | None:
    """The rule by which a row's activations get bank scales; None where they have none."""
    activation = row["configuration"]["activation"]
    return activation["scale"] if activation["format"] == "SQ" else None


def page(report: Record, losses: Record) -> str:
    """The page, in rising order of the divergence; last the text that the Verilog read."""
    lines = sorted(report["rows"], key=lambda row: row["kl_x100"])
    columns: Columns = {
        "scheme": "{scheme}",
        "rule": lambda row: (rule(row) or "").replace("_", " "),
        "bits A": "{bits_activation:.4g}",
        "bits W": "{bits_weight:.4g}",
        "tokens": "{tokens:,}",
        **{name: COLUMNS[name] for name in _SHOWN},
    }
    table = "\n".join(markdown(*rows([*lines, _in_verilog(losses)], columns)))
    return f"{_TEXT}\n{conditions(report)}\n\n{table}"


def _in_verilog(losses: Record) -> Record:
    """The row of a text that the Verilog read."""
    pe = losses["configuration"]["array"]["pe"]
    sq, dense = SQFormat(**pe["sq"]), DenseFormat(**pe["dense"])
    return {
        "scheme": f"imported, A {format_text(sq)}, by the Verilog",
        "configuration": {"activation": {"format": "SQ", "scale": RULE}},
        "bits_activation": sq.bits_per_element,
        "bits_weight": dense.bits_per_element,
        "tokens": losses["losses_compared"],
        "perplexity": losses["perplexity"],
        "hardware": True,
    }
