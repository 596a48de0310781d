"""Tokens per second of a language model's linear layers on an array: arithmetic, not a measurement.

A product takes the longer of two times, as if all buffers were large enough for each to hide the other: the
beats of its tiles, one a cycle, and its bytes over the memory's bandwidth. Every tile is a full one: rows,
columns and the last beat are padded. Weights are fetched once per product, activations once, results leave as
float32. Attention, norms and the embedding take no time, nor do the further steps of beats with more outliers
than lanes for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import ArrayConfig
from .tables import Table, rows

__all__ = ["MODELS", "TOKENS", "Layer", "layer_seconds", "roofline", "table"]

TOKENS = (1, 16, 256)
"""Tokens that are multiplied at once: one when a text is continued, many when it is read."""
_RESULT_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """So many matrices of N x K, one after the other."""

    n: int
    k: int
    count: int


def _llama(blocks: int, hidden: int, ffn: int, key_value: int, vocabulary: int) -> tuple[Layer, ...]:
    return (
        Layer(hidden, hidden, 2 * blocks),
        Layer(key_value, hidden, 2 * blocks),
        Layer(ffn, hidden, 2 * blocks),
        Layer(hidden, ffn, blocks),
        Layer(vocabulary, hidden, 1),
    )


MODELS: dict[str, tuple[Layer, ...]] = {
    "smollm2-135m": _llama(30, 576, 1536, 192, 49152),
    "llama-3.2-1b": _llama(16, 2048, 8192, 512, 128256),
    "llama-3-8b": _llama(32, 4096, 14336, 1024, 128256),
}
"""Linear layers, the output head included. Source: the models' published configurations."""


def layer_seconds(
    layer: Layer, tokens: int, config: ArrayConfig, *, mhz: float, gb_per_second: float
) -> tuple[float, float]:
    """Seconds of one matrix for the array, and for the memory.

    Parameters
    ----------
    layer
        Its count does not matter.
    tokens
        Rows of the activations.
    config
        The array; its formats set the bits that operands take.
    mhz
        Clock.
    gb_per_second
        Bandwidth of the memory, in 1e9 bytes per second.
    """
    pe = config.pe
    beats = pe.banks(layer.k) * pe.beats_per_bank
    tiles = -(-tokens // config.rows) * -(-layer.n // config.columns)
    weights = layer.n * layer.k * pe.dense.bits_per_element
    activations = tokens * layer.k * pe.sq.bits_per_element
    moved = (weights + activations) / 8 + tokens * layer.n * _RESULT_BYTES
    return tiles * beats / (mhz * 1e6), moved / (gb_per_second * 1e9)


def roofline(
    config: ArrayConfig, *, mhz: float, gb_per_second: float, models: Sequence[str], command: str
) -> dict[str, Any]:
    """The report: a row per model and number of tokens, of :data:`TOKENS`."""
    found = []
    for model in models:
        for tokens in TOKENS:
            array = memory = total = 0.0
            for layer in MODELS[model]:
                seconds = layer_seconds(layer, tokens, config, mhz=mhz, gb_per_second=gb_per_second)
                array += layer.count * seconds[0]
                memory += layer.count * seconds[1]
                total += layer.count * max(seconds)
            found.append(
                {
                    "model": model,
                    "tokens": tokens,
                    "tokens_per_second": round(tokens / total, 2),
                    "array_busy": round(array / total, 3),
                    "memory_busy": round(memory / total, 3),
                    "megabytes_per_token": round(memory * gb_per_second * 1e3 / tokens, 3),
                }
            )
    return {
        "command": command,
        "array": f"{config.rows}x{config.columns}",
        "lanes": config.pe.lanes,
        "mhz": mhz,
        "gb_per_second": gb_per_second,
        "rows": found,
    }


def table(report: Mapping[str, Any]) -> Table:
    """The report's table: a title, the heads, the rows."""
    columns = {
        "model": "{model}",
        "at once": "{tokens}",
        "tokens/s": "{tokens_per_second:,.1f}",
        "array busy": "{array_busy:.0%}",
        "memory busy": "{memory_busy:.0%}",
        "MB/token": "{megabytes_per_token:,.1f}",
    }
    title = (
        f"{report['array']} of {report['lanes']} lanes at {report['mhz']:g} MHz,"
        f" {report['gb_per_second']:g} GB/s: calculated"
    )
    return title, *rows(report["rows"], columns)
