"""docs/results/exponents.md: how many bits of exponent a bank scale needs, and what rounding alone does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .accuracy_page import COLUMNS, conditions
from .tables import Columns, Record, markdown, rows

__all__ = ["REPORTS", "page"]

REPORTS = ("exponents", "exponents-manual", "scattered", "sums")
"""The reports that the page is made of."""

_SHOWN = ("scheme", "bits A", "bits W", "KL x 100", "perplexity", "against float", "against W8 A8")
_SCATTERED: Columns = {
    "largest power of two": "{width}",
    "e3m2s, KL x 100": "{three:.2f} ± {three_error:.2f}",
    "e2m3s, KL x 100": "{two:.2f} ± {two_error:.2f}",
}
_SUMS: Columns = {
    "scheme": "{scheme}",
    "KL x 100, forward": "{forward[kl_x100]:.3f}",
    "backward": "{backward[kl_x100]:.3f}",
    "perplexity against float, forward": "{forward[delta_percent]:+.2f} %",
    "backward ": "{backward[delta_percent]:+.2f} %",
    "change": "{change:+.2f} %",
}
_BACKWARD = ", sums backward"

_TEXT = """# Bits of exponent, another text, another order of sums

A bank scale of six bits has a sign and, of the other five, two or three bits of exponent. Two give finer
steps; the scales of a row then span a factor of 15, with three a factor of 224. Both are compared
beside the checkpoint's own weights on a novel and on a technical manual, and on rows whose banks were
set apart. [imported.md](imported.md) has the other formats, [accuracy.md](../accuracy.md) says how
perplexity and KL are measured.
"""


def page(exponents: Record, manual: Record, scattered: Record, sums: Record) -> str:
    """The page, from the reports of ``REPORTS``."""
    parts = (
        _TEXT,
        "## On a novel",
        *_measured(exponents),
        "## On a manual",
        *_measured(manual),
        "## On rows that are wider",
        "Here each 32 channels are multiplied by a power of two, drawn at random from its reciprocal to the "
        "largest one, and their weights divided by it. The unquantized model stays the same to the last bit. "
        "The weights are left alone, activations are 4/32 with an index.",
        _table(_widths(scattered), _SCATTERED),
        conditions(scattered),
        f"**{_decision(exponents, manual, scattered, sums)}**",
        "## What rounding alone does",
        "The products are exact, so their order does not matter. Norms, attention and logits are sums of "
        "float32. Here they run over their channels from the last to the first: the same model, "
        "rounded otherwise. A gap between two schemes that is no larger than these changes means nothing.",
        _table(_pairs(sums), _SUMS),
        conditions(sums),
    )
    return "\n\n".join(part.strip() for part in parts)


def _measured(report: Record) -> tuple[str, str]:
    return _table(report["rows"], {name: COLUMNS[name] for name in _SHOWN}), conditions(report)


def _table(records: Iterable[Record], columns: Columns) -> str:
    return "\n".join(markdown(*rows(records, columns)))


def _widths(report: Record) -> list[dict[str, Any]]:
    """A record per width, the divergences of both scales side by side."""
    found: dict[int, dict[str, Any]] = {}
    for row in report["rows"]:
        if "scattered" not in row["scheme"]:
            continue
        width = row["configuration"].get("scatter", 0)
        side = "three" if row["configuration"]["activation"]["bank_scale"] == "e3m2s" else "two"
        own = found.setdefault(width, {"width": 2**width})
        own |= {side: row["kl_x100"], f"{side}_error": row["kl_error"]}
    return [found[width] for width in sorted(found)]


def _pairs(report: Record) -> list[dict[str, Any]]:
    """A record per scheme that ran in both orders."""
    by_name = {row["scheme"]: row for row in report["rows"]}
    pairs = []
    for name, backward in by_name.items():
        if name.endswith(_BACKWARD):
            forward = by_name[name.removesuffix(_BACKWARD)]
            change = 100 * (backward["perplexity"] / forward["perplexity"] - 1)
            pairs.append(
                {
                    "scheme": forward["scheme"],
                    "forward": forward,
                    "backward": backward,
                    "change": change,
                }
            )
    return pairs


def _decision(exponents: Record, manual: Record, scattered: Record, sums: Record) -> str:
    """Which scale the numbers speak for: what two bits gain on the model, what rounding alone does, and what
    two bits cost on wide rows."""

    def gains(report: Record) -> list[float]:
        losses = {row["scheme"]: row["kl_x100"] for row in report["rows"]}
        pairs = ((f"imported, A {n}/32 e3m2s index", f"imported, A {n}/32 e2m3s index") for n in (2, 4))
        return [100 * (1 - losses[two] / losses[three]) for three, two in pairs]

    own = [*gains(exponents), *gains(manual)]
    noise = max(
        abs(100 * (backward["kl_x100"] / forward["kl_x100"] - 1))
        for forward, backward in ((pair["forward"], pair["backward"]) for pair in _pairs(sums))
    )
    wide = _widths(scattered)[-1]
    factor = wide["two"] / wide["three"]
    verdict = (
        "So the presets keep three: they are safe on models with wider rows."
        if factor > 1 + max(*own, noise) / 100
        else "So two are enough."
    )
    return (
        f"On this model's own rows the KL of two bits of exponent is {min(own):.0f} to {max(own):.0f} % "
        f"smaller; rounding alone moves a scheme's by up to {noise:.0f} %. Where banks are multiplied by up "
        f"to {wide['width']}, it is {factor:.1f} times that of three. {verdict}"
    )
