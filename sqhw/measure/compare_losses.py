"""Perplexity of one point's product, and of rivals', where a study has it; else how to measure it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Format, Imported
from sw_reference.accuracy.own import IMPORT
from sw_reference.accuracy.scheme import Scheme
from sw_reference.notation import format_text

from ..config import PEConfig
from .committed import RESULTS
from .tables import Record

__all__ = ["ACCURACY", "how_to_measure", "imported_loss", "loss", "losses", "own_formats"]

ACCURACY = (RESULTS / "accuracy.json", RESULTS / "imported.json")
"""Studies whose perplexities are joined, where there are any."""

_CHOICES = ("selection", "scale", "compensate")
"""What a description says of how outliers, scales and codes were chosen, not of their numbers."""

_RULES = ("two_candidates", "saturating")


def losses(paths: Sequence[Path]) -> list[Record]:
    """Every scheme of some reports; a missing one says nothing."""
    return [row for path in paths if path.exists() for row in json.loads(path.read_text())["rows"]]


def own_formats(config: PEConfig) -> tuple[Format, Format]:
    """Activations and weights of a configuration, as the study has them: offsets come with imported codes."""
    sq, dense = config.sq, config.dense
    activation = SQ(sq.bank, sq.outliers, high=sq.high, mask=sq.mask, bank_scale=sq.scale, segment=sq.segment)
    group = dense.group or 0  # the study has none without
    if dense.offset:
        return activation, Imported(dense.bits, group)
    if dense.bank is None:
        return activation, Dense(dense.bits, dense.group, group_scale=dense.scale)
    return activation, DenseSQ(dense.bank, dense.outliers, group, group_scale=dense.scale, mask=dense.mask)


def loss(rows: Sequence[Record], activation: Format, weight: Format) -> float | None:
    """Percent of perplexity more than float; the best scheme of these numbers."""
    wanted = Scheme("", activation, weight).configuration
    found = []
    for row in rows:
        described = row["configuration"]
        same = all(_numbers(described[side]) == _numbers(wanted[side]) for side in ("activation", "weight"))
        # Rules without a search have rows of their own.
        searched = all(described[side].get("scale") not in _RULES for side in ("activation", "weight"))
        # So have caches in SQ; units compute what was smoothed, and nothing that was rotated.
        alone = not {"keys", "values"} & described.keys() and described["transform"] in ("none", "smooth")
        if same and searched and alone:
            found.append(row["delta_percent"])
    return min(found, default=None)


def imported_loss(rows: Sequence[Record], activation: Format, weight: Format) -> float | None:
    """The same of these activations beside the checkpoint's own codes.

    Those have 4 bits: a product of wider weights, or of weights with outliers, is another one, and None.
    """
    if weight.bits >= 8 or isinstance(weight, DenseSQ):
        return None
    return loss(rows, activation, Imported())


def how_to_measure(config: PEConfig) -> str:
    """The command that measures the perplexity of a configuration's product."""
    weights = IMPORT if config.dense.offset else format_text(config.dense)
    return f'`sqhw measure accuracy --activations "{format_text(config.sq)}" --weights "{weights}"`'


def _numbers(described: Record) -> Record:
    return {name: value for name, value in described.items() if name not in _CHOICES}
