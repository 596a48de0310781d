"""docs/results/imported.md: activations beside a checkpoint's own weights, from the accuracy study."""

from __future__ import annotations

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import format_text

from ..generate.linear import RULE
from .accuracy_claims import by_name
from .accuracy_page import COLUMNS, conditions
from .tables import Columns, Record, markdown, rows

__all__ = ["BOTH", "FINE", "FINE_64", "LEAN", "LEAN_64", "REPORTS", "page", "rule"]

REPORTS = ("imported", "losses", "exponents-manual")

_SHOWN = ("KL x 100", "perplexity", "against float", "against W8 A8", "hardware")

LEAN = "imported, A 2/32 e3m2s index"
FINE = "imported, A 4/32 e3m2s index"
BOTH = "A 4/32 e3m2s index, W int4 g32 linear8 6/32 index, GPTQ smooth 0.6"
"""The schemes of presets."""
LEAN_64 = "imported, A 2/32 bank 64 e4m2s index"
FINE_64 = "imported, A 4/32 bank 64 e4m2s index"
"""The same with a bank of 64, which elements of 64 lanes have."""
_GOALS: tuple[tuple[str, str, dict[str, float]], ...] = (
    (
        "lean",
        LEAN,
        {"bits_activation": 4.8, "kl_x100": 4.9, "int8_percent": 2.2},
    ),
    ("fine", FINE, {"bits_activation": 5.4, "kl_x100": 3.2, "int8_percent": 0.5}),
    ("both", BOTH, {"bits_activation": 6, "bits_weight": 6, "kl_x100": 5.4}),
)
"""Preset, its scheme, and the most that it should have of each."""
_ASPECTS = {
    "bits_activation": ("bits of activations", "{bits_activation:.4g}"),
    "bits_weight": ("bits of weights", "{bits_weight:.4g}"),
    "kl_x100": ("KL x 100", "{kl_x100:.2f} ± {kl_error:.2f}"),
    "int8_percent": (
        "percent of perplexity above W8 A8",
        "{int8_percent:+.2f} ± {int8_standard_error:.2f}",
    ),
}

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

_PICTURE = """![KL and perplexity against bits of activations](../figures/imported_bits.svg)

The line joins the formats of the table that no other beats in bits and loss, bank scales by least squares.
Scales with two bits of exponent (e2m3s) lose a little less than presets on this model, at the same bits;
[exponents.md](exponents.md) says why presets keep three. `both` and "weights too" lose by their weights as
well. The hardware of NVFP4, IF4 and MXFP4 does not take these INT4 codes: their loss is that of
their activations beside the same weights."""


def rule(row: Record) -> str | None:
    """The rule by which a row's activations get bank scales; None where they have none."""
    activation = row["configuration"]["activation"]
    return activation["scale"] if activation["format"] == "SQ" else None


def page(report: Record, losses: Record, manual: Record) -> str:
    """The page, in rising order of the divergence; last the text that the Verilog read.

    `manual` is the study of a second text, of which the page has what presets lose there.
    """
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
    goals = f"{_goals(report)}\n\n{_second(manual)}"
    return f"{_TEXT}\n{conditions(report)}\n\n{_PICTURE}\n\n{table}\n\n## Goals\n\n{goals}"


def _goals(report: Record) -> str:
    """What the presets should have, and what they have."""
    by_name = {row["scheme"]: row for row in report["rows"]}
    lines = []
    for preset, scheme, limits in _GOALS:
        row = by_name.get(scheme)
        for aspect, most in limits.items():
            title, text = _ASPECTS[aspect]
            found = text.format_map(row) if row else "not measured"
            reached = ("yes" if row[aspect] <= most else "no") if row else ""
            lines.append([f"`{preset}`: {title}", f"{most:g}", found, reached])
    return "\n".join(markdown(["goal", "at most", "measured", "reached"], lines))


def _second(manual: Record) -> str:
    """What presets lose on the second text."""
    losses = by_name(manual)
    int8, lean, fine = (losses[scheme] for scheme in ("W8 A8", LEAN, FINE))
    limit = next(limits["int8_percent"] for preset, _, limits in _GOALS if preset == "lean")
    above = "above the goal of" if lean["int8_percent"] > limit else "within the goal of"

    def found(row: Record) -> str:
        return "{int8_percent:+.2f} ± {int8_standard_error:.2f} %".format_map(row)

    return (
        f"These are goals on a novel. On a second text, {manual['configuration']['windows']} windows of a "
        f"technical manual, `lean` has {found(lean)} against W8 A8, {above} {limit:g}, and "
        f"{lean['delta_percent']:+.2f} ± {lean['standard_error']:.2f} % against float; its KL x 100 is "
        f"{lean['kl_x100']:.2f}, that of W8 A8 {int8['kl_x100']:.2f}. `fine` has {found(fine)}, "
        f"KL x 100 {fine['kl_x100']:.2f}. `both`, NVFP4 and IF4 are not measured there. "
        f"[exponents.md](exponents.md#on-a-manual) has the rows."
    )


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
