"""How long layers of ``sqhw.torch`` take beside ``nn.Linear``, on one core, in the same run."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.notation import format_text
from sw_reference.quantize import quantize_dense, quantize_sq

from ..console import SEED, Begin
from ..torch import SQLinear, quantize
from ..torch.linear import Mode
from .speed import versions

__all__ = ["LIMITS", "SIZES", "measure"]

SIZES = ((64, 576, 1536), (64, 1536, 576))
"""Tokens, inputs and outputs: the feed-forward layers of SmolLM2-135M."""

LIMITS: dict[Mode, int] = {"fast": 4, "exact": 20}
"""The most that a layer of the first size may take, in times of ``nn.Linear``."""

_IN_A_ROW = 4


def measure(
    activations: SQFormat, weights: DenseFormat, repetitions: int, *, begin: Begin, command: str
) -> dict[str, Any]:
    """Times both modes and ``nn.Linear`` in turn, and compares what the layers compute.

    Seconds are medians of processor time of one thread, over runs that follow one of the same layer. Of the
    mode "exact" the results are compared with the golden model's, of "fast" the codes of the activations.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    done, found = begin("Layers", len(SIZES)), []
    try:
        for tokens, inputs, outputs in SIZES:
            found += _rows(tokens, inputs, outputs, activations, weights, repetitions)
            done(f"{tokens} x {inputs} x {outputs}")
    finally:
        torch.set_num_threads(threads)
    return {
        "command": command,
        "seed": SEED,
        "versions": versions() | {"torch": torch.__version__, "machine": platform.machine()},
        "activations": format_text(activations),
        "weights": format_text(weights),
        "repetitions": repetitions,
        "limits": dict(LIMITS),
        "rows": found,
    }


def _rows(
    tokens: int, inputs: int, outputs: int, activations: SQFormat, weights: DenseFormat, repetitions: int
) -> list[dict[str, Any]]:
    rng = np.random.default_rng([SEED, tokens, inputs, outputs])
    x = rng.standard_t(3, (tokens, inputs)).astype(np.float32)
    w = rng.standard_normal((outputs, inputs)).astype(np.float32)
    linear = torch.nn.Linear(inputs, outputs, bias=False).requires_grad_(False)
    linear.weight.copy_(torch.from_numpy(w))
    given = torch.from_numpy(x)
    layers = {mode: SQLinear.from_linear(linear, activations, weights, mode=mode) for mode in LIMITS}
    seconds: dict[str, list[float]] = {name: [] for name in ("linear", *layers)}
    for _ in range(repetitions):
        for name, layer in (("linear", linear), *layers.items()):
            times = [_seconds(layer, given) for _ in range(_IN_A_ROW)]
            seconds[name] += times[1:]
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    size = {"tokens": tokens, "inputs": inputs, "outputs": outputs}
    compared = _compared(given, layers, quantize_dense(w, weights))
    return [
        {
            "mode": mode,
            **size,
            "seconds": medians[mode],
            "linear_seconds": medians["linear"],
            "ratio": round(medians[mode] / medians["linear"], 2),
            **dict(zip(("compared", "mismatches"), compared[mode], strict=True)),
        }
        for mode in LIMITS
    ]


def _seconds(layer: Callable[[Any], Any], given: Any) -> float:
    start = time.process_time()
    layer(given)
    return time.process_time() - start


def _compared(given: Any, layers: dict[Mode, SQLinear], dense: Any) -> dict[Mode, tuple[int, int]]:
    """Returns how many numbers of each mode were compared, and how many differ."""
    layer = layers["exact"]
    assert isinstance(layer.activations, SQFormat)
    wanted = quantize_sq(given.numpy(), layer.activations, layer.policy, layer.scale)
    y = layer(given).numpy().view(np.uint32)
    codes = quantize(given, layer.activations, layer.policy, layer.scale).golden()
    pairs = [(getattr(wanted, name), getattr(codes, name)) for name in vars(wanted)]
    arrays = [(a, b) for a, b in pairs if isinstance(a, np.ndarray)]
    return {
        "exact": (y.size, int((y != multiply(wanted, dense).y.view(np.uint32)).sum())),
        "fast": (sum(a.size for a, _ in arrays), sum(int((a != b).sum()) for a, b in arrays)),
    }
