"""The fast product against the golden model on whole layers: every float32 result must be the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sw_reference.accuracy.calibration import Calibration, site_of
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ
from sw_reference.accuracy.operand import Float32, Operand, product
from sw_reference.accuracy.runner import Begin
from sw_reference.accuracy.selection import AbovePercentile
from sw_reference.llm import Model
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["BLOCKS", "PAIRS", "Comparison", "compare", "verify"]

BLOCKS = (1, 11, 28)
"""Blocks whose layers are compared: an early one and the two with the massive activations."""

PAIRS = (
    (SQ(16, 1), Dense(8)),
    (SQ(32, 2, AbovePercentile(97.5)), DenseSQ(32, 2, 32)),
    (SQ(16, 2, high="int8"), Dense(4, 64)),
    (SQ(32, 2, mask="sentinel"), Dense(8)),
)
"""Formats that are compared; in the last pair the weights are the SQ operand."""


@dataclass(frozen=True)
class Comparison:
    """What was compared of one layer."""

    layer: str
    formats: str
    results: int
    different: int
    limbs: int


def verify(model: Model, calibration: Calibration, tokens: Sequence[int], begin: Begin) -> list[Comparison]:
    """Compares all seven layers of ``BLOCKS`` on one window, SQ activations and SQ weights."""
    inputs: dict[str, Float32] = {}

    def keep(name: str, x: Float32, weight: Float32) -> Float32:
        if int(name.split(".")[1]) in BLOCKS:
            inputs[name] = x
        return x @ weight.T

    model.hidden(tokens, linear=keep)
    done = begin("Layers against the golden model", len(inputs))
    comparisons: list[Comparison] = []
    for name, x in inputs.items():
        comparisons += _layer(name, x, model, calibration)
        done()
    return comparisons


def _layer(name: str, x: Float32, model: Model, calibration: Calibration) -> Iterator[Comparison]:
    site = calibration.site(site_of(name), model)
    weight = model.weights[name]
    for sq, dense in PAIRS[:-1]:
        yield compare(name, sq, dense, x, weight, site)
    yield compare(f"{name} (SQ weights)", *PAIRS[-1], weight, x, site)


def compare(name: str, sq: SQ, dense: Dense | DenseSQ, x: Float32, w: Float32, site: object) -> Comparison:
    """Compares the product of x as SQ and w as dense operand, both ways round."""
    policy = sq.selection.policy(x, sq.format, site)  # type: ignore[arg-type]
    left = quantize_sq(x, sq.format, policy, sq.scale)
    right = quantize_dense(w, dense.format)
    golden = multiply(left, right).y.view(np.uint32)
    a, b = Operand.from_tensor(left), Operand.from_tensor(right)
    forward, limbs = product(a, b)
    backward, _ = product(b, a)
    different = (forward.view(np.uint32) != golden) | (backward.T.view(np.uint32) != golden)
    formats = f"{sq.format} x {dense.format}"
    return Comparison(name, formats, golden.size, int(different.sum()), limbs)
