# amaranth: UnusedElaboratable=no
"""What bank scales with fewer exponent bits would save and cost."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.activations import load_activations
from sw_reference.quantize import quantize_sq

from ..arith.accumulator import Accumulator
from ..arith.scale import SIGNIFICAND_MAX, ScaleShift
from ..config import PEConfig
from ..emit import convert
from ..pe.dense_lanes import DenseLanes
from ..pe.int8_lane import INT8OutlierLane
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.synth import synthesize
from ..tools.targets import TARGETS

__all__ = ["EXPONENT_BITS", "estimate"]

EXPONENT_BITS = (5, 4, 3)
_GROUP_SCALE_EXPONENT_MAX = 7


def estimate(config: PEConfig, *, workers: int, cache: Path = CACHE) -> list[dict[str, Any]]:
    """Gates of the scale's shifter and of an accumulator for it alone, and the share of banks below range.

    The accumulator shrinks only without FP16 outliers, which need the wide one in any case: the outliers of
    `config` are INT8, and their products are in what is shifted.
    """
    dense, sq = config.dense, config.sq
    sums = DenseLanes(config.lanes, dense.bits).o.shape()
    lane = INT8OutlierLane(config.outlier_lanes, sq.high_bits, dense.bits, dense.code_bound, sums)
    bound = (1 << (len(lane.o) - 1)) * SIGNIFICAND_MAX * SIGNIFICAND_MAX
    target = TARGETS["gates"]
    texts = {}
    for bits in EXPONENT_BITS:
        shift = ScaleShift(bound, (1 << bits) - 1 + _GROUP_SCALE_EXPONENT_MAX, drop=3)
        width = config.acc_bits - (32 - (1 << bits))
        adder = Accumulator([shift.o.shape()], width)
        texts[bits, "shifter"] = convert(shift, "shifter")
        texts[bits, "accumulator"] = convert(adder, "accumulator")
    found = jobs.run(
        {
            (bits, name): partial(synthesize, text, name, target, breakdown=False, cache=cache)
            for (bits, name), text in texts.items()
        },
        workers=workers,
    )
    return [
        {
            "exponent_bits": bits,
            **{
                f"{name}_gates": round(target.resources(found[bits, name].cells)["GE"])
                for name in ("shifter", "accumulator")
            },
            "scale_bits_per_element": (bits + 3) / config.sq.bank,
            "banks_below_range_percent": round(_below(config, bits), 3),
        }
        for bits in EXPONENT_BITS
    ]


def _below(config: PEConfig, bits: int) -> float:
    """Percent of banks whose scale lies more than 2**bits - 1 binades below the largest of their row."""
    below = total = 0
    for site in load_activations().sites:
        exponent = quantize_sq(site.x, config.sq).scale.astype(np.int64) >> 3
        below += int((exponent < exponent.max(axis=1, keepdims=True) - ((1 << bits) - 1)).sum())
        total += exponent.size
    return 100 * below / total
