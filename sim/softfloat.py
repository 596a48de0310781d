"""Every float step, of hardware and golden model, against Berkeley SoftFloat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import softfloatpy as softfloat
from numpy.typing import NDArray

from sim.bench.blocks import FP16Times, IntegerToFloat, Results, play_block
from sim.report import Check, Report
from sqhw.arith.float_pack import Float16Round
from sqhw.console import Begin
from sw_reference.format import UNIT_EXPONENT
from sw_reference.rounding import round_result, to_float32

__all__ = ["CHECK", "CHECKS", "COMMAND", "compare", "run"]

NAN32, NAN16 = 0x7FC00000, 0x7E00
UNIT = 0x33800000
"""2**-24 as a float32."""

Play = Callable[[Any, dict[str, NDArray[Any]]], NDArray[Any]]
"""Plays a stimulus to a block and returns its output ``o``."""


def _float32(pattern: int) -> Any:
    return softfloat.Float32.from_bytes(pattern.to_bytes(4, "big"))


def _pattern(value: Any) -> int:
    """The bits of a result; the project knows one NaN of each size."""
    bits = int.from_bytes(value.to_bytes(), "big")
    if not value.is_nan():
        return bits
    return NAN32 if len(value.to_bytes()) == 4 else NAN16


def _patterns(values: list[Any], dtype: Any) -> NDArray[Any]:
    return np.array([_pattern(value) for value in values], dtype)


def integers(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Integers of every exponent and both signs: `count` heads each, with ties and the neighbours of ties."""
    values = [np.array([0, -(2**63), 2**63 - 1], np.int64)]
    for exponent in range(63):
        unit = max(1, 1 << exponent >> 23)
        heads = np.concatenate([rng.integers(1 << 23, 1 << 24, count), [1 << 23, (1 << 24) - 1]])
        heads = heads >> max(0, 23 - exponent)
        half = unit >> 1
        tails = {0, 1, half - 1, half, half + 1, unit - 1, int(rng.integers(0, unit))}
        values += [heads * unit + tail for tail in sorted(tails) if 0 <= tail < unit]
    magnitudes = np.concatenate(values)
    return np.concatenate([magnitudes, -magnitudes])


def _normals(exponents: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Positive float32 with these exponents; many have few bits set, so that products meet ties."""
    fractions = rng.integers(0, 1 << 23, len(exponents))
    fractions &= -(1 << rng.integers(0, 24, len(exponents)))
    return (np.clip(exponents + 127, 1, 254) << 23 | fractions).astype(np.uint32)


def _integer_to_float(play: Play, count: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    values = integers(count, rng)
    expected = [softfloat.i64_to_f32(softfloat.Int64.from_int(value)) for value in values.tolist()]
    seen = play(IntegerToFloat(), {"value": values.view(np.uint64)})
    return _patterns(expected, np.uint32), seen, to_float32(values).view(np.uint32)


def _results(play: Play, count: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """The whole output stage: three roundings and two products, over all exponents of scales and results."""
    acc = rng.permutation(integers(count, rng))
    # The exponents of the products of scales: evenly from below the subnormal ones to above the largest.
    exponents = rng.integers(-160, 140, len(acc))
    rows = rng.integers(np.maximum(-126, exponents - 127), np.minimum(127, exponents + 126) + 1)
    row, column = _normals(rows, rng), _normals(exponents - rows, rng)
    unit = _float32(UNIT)
    expected = []
    for a, r, c in zip(acc.tolist(), row.tolist(), column.tolist(), strict=True):
        scale = softfloat.f32_mul(_float32(r), _float32(c))
        total = softfloat.i64_to_f32(softfloat.Int64.from_int(a))
        expected.append(softfloat.f32_mul(softfloat.f32_mul(total, scale), unit))
    seen = play(Results(), {"acc": acc.view(np.uint64), "row": row, "column": column})
    golden = [
        round_result(np.array([[a]]), r[None].view(np.float32), c[None].view(np.float32), UNIT_EXPONENT)[0, 0]
        for a, r, c in zip(acc, row, column, strict=True)
    ]
    return _patterns(expected, np.uint32), seen, np.array(golden, np.float32).view(np.uint32)


def _to_float16(play: Play, count: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Every float16, the ties between them, and the float32 neighbours of both."""
    codes = np.arange(1 << 15, dtype=np.uint16)[: 0x7C01 if count > 10 else 0x400]
    exact = codes.view(np.float16).astype(np.float32)
    ties = (exact[:-1].astype(np.float64) + exact[1:]) / 2
    ties[~np.isfinite(ties)] = 65520.0
    points = np.concatenate([exact, ties.astype(np.float32)]).view(np.uint32).astype(np.int64)
    near = np.unique(np.clip(np.add.outer(points, (-1, 0, 1)).ravel(), 0, 0x7F800001))
    patterns = np.concatenate([near, near | 1 << 31]).astype(np.uint32)
    expected = [softfloat.f32_to_f16(_float32(value)) for value in patterns.tolist()]
    seen = play(Float16Round(), {"i": patterns})
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        golden = patterns.view(np.float32).astype(np.float16)
    golden[np.isnan(golden)] = np.array(NAN16, np.uint16).view(np.float16)
    return _patterns(expected, np.uint16), seen, golden.view(np.uint16)


def _fp16_to_fixed(play: Play, count: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Finite FP16 codes as integers in units of 2**-24."""
    codes = np.arange(1 << 16, dtype=np.uint16)
    codes = codes[(codes & 0x7C00) != 0x7C00][:: 1 if count > 10 else 61]
    scale = softfloat.Float64.from_float(2.0**24)
    expected = []
    for code in codes.tolist():
        wide = softfloat.f16_to_f64(softfloat.Float16.from_bytes(code.to_bytes(2, "big")))
        expected.append(softfloat.f64_to_i64(softfloat.f64_mul(wide, scale)).to_int())
    ones = np.ones(len(codes), np.uint8)
    block = FP16Times(4)
    shift = np.int64(64 - len(block.o))
    seen = play(block, {"code": codes, "d": ones, "take": ones}).astype(np.uint64).view(np.int64)
    golden = (codes.view(np.float16).astype(np.float64) * 2.0**24).astype(np.int64)
    return np.array(expected), (seen << shift) >> shift, golden


CHECKS: dict[str, Callable[[Play, int, np.random.Generator], tuple[Any, Any, Any]]] = {
    "int64 to float32": _integer_to_float,
    "float32 x float32, the whole output stage": _results,
    "float32 to float16": _to_float16,
    "FP16 to fixed point": _fp16_to_fixed,
}
"""Each returns what SoftFloat, the hardware and the golden model say."""


def compare(name: str, count: int, seed: int, play: Play) -> dict[str, Any]:
    """Runs a check; returns how much was compared, and how often hardware and golden model were wrong."""
    expected, seen, golden = CHECKS[name](play, count, np.random.default_rng(seed))
    assert len(expected) == len(seen) == len(golden)
    return {
        "step": name,
        "compared": len(expected),
        "hardware_wrong": int((seen != expected).sum()),
        "golden_wrong": int((golden != expected).sum()),
    }


def run(folder: Path, begin: Begin, *, count: int, seed: int) -> Report:
    """Compare every float step, of hardware under Verilator and golden model, with Berkeley SoftFloat."""

    def play(block: Any, stimulus: dict[str, NDArray[Any]]) -> NDArray[Any]:
        return play_block(block, folder, stimulus, block.latency)["o"]

    rows, step = [], begin("SoftFloat", len(CHECKS))
    for name in CHECKS:
        rows.append(compare(name, count, seed, play))
        step(name)
    figures = {key: sum(row[key] for row in rows) for key in ("compared", "hardware_wrong", "golden_wrong")}
    problems = [
        f"{row['step']}: of {row['compared']} floats hardware has {row['hardware_wrong']} wrong, the golden "
        f"model {row['golden_wrong']}"
        for row in rows
        if row["hardware_wrong"] or row["golden_wrong"] or not row["compared"]
    ]
    return Report(figures, {"steps": rows}, problems)


CHECK = Check(
    "softfloat",
    "SoftFloat",
    run,
    "{compared:,} floats compared with Berkeley SoftFloat; hardware wrong {hardware_wrong}, golden model "
    "wrong {golden_wrong}",
    ("amaranth", "softfloatpy", "verilator"),
    options=(
        click.Option(
            ["--count"], type=int, default=200, show_default=True, help="Numbers per exponent and tie."
        ),
    ),
    quick={"count": 8},
)
COMMAND = CHECK.command()
