"""Every input of small spaces, on Verilog under Verilator, against NumPy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.bench.blocks import (
    CAPACITIES,
    DecoderRow,
    DotProduct,
    FP16Times,
    IntegerToFloat,
    OneBeat,
    Scales,
    play_block,
)
from sim.report import Check, Report, Row, choice
from sqhw.console import Begin
from sqhw.presets import engine_preset, preset
from sw_reference.codes import bank_scale_units

__all__ = ["CHECK", "CHECKS", "COMMAND", "run"]

Counts = tuple[int, int]
"""Results compared, and how many of them were wrong."""


def _signed(values: NDArray[Any], bits: int) -> NDArray[np.int64]:
    shift = 64 - bits
    return (values.astype(np.uint64) << np.uint64(shift)).view(np.int64) >> shift


def _bits(values: NDArray[Any], bits: int) -> NDArray[np.uint64]:
    return values.astype(np.int64).view(np.uint64) & np.uint64((1 << bits) - 1)


def fp16_times_int4(folder: Path, seed: int) -> Counts:
    """All 2**16 FP16 codes times all 16 INT4 codes."""
    block = FP16Times(4)
    code, d = np.divmod(np.arange(1 << 20), 16)
    d -= 8
    stimulus: dict[str, Any] = {
        "code": code.astype(np.uint16),
        "d": _bits(d, 4).astype(np.uint8),
        "take": np.ones(1 << 20, np.uint8),
    }
    seen = _signed(play_block(block, folder, stimulus, block.latency)["o"], len(block.o))
    value = code.astype(np.uint16).view(np.float16)
    finite = np.isfinite(value)
    expected = np.where(finite, value, 0).astype(np.float64) * 2.0**24 * d
    return int(finite.sum()), int((seen != expected)[finite].sum())


def fp16_to_fixed(folder: Path, seed: int) -> Counts:
    """All 2**16 FP16 codes to fixed point, NaN and Inf flagged."""
    block = FP16Times(4)
    code = np.arange(1 << 16, dtype=np.uint16)
    ones = np.ones(1 << 16, np.uint8)
    stimulus: dict[str, Any] = {"code": code, "d": ones, "take": ones}
    seen = _signed(play_block(block, folder, stimulus, block.latency)["o"], len(block.o))
    bad = play_block(block, folder, stimulus, 1)["bad"]
    exponent, fraction, sign = (code >> 10 & 31).astype(np.int64), (code & 1023).astype(np.int64), code >> 15
    magnitude = np.where(exponent == 0, fraction, (1024 + fraction) << np.maximum(exponent - 1, 0))
    expected = np.where(sign == 1, -magnitude, magnitude)
    wrong = (bad != (exponent == 31)) | ((exponent != 31) & (seen != expected))
    return len(code), int(wrong.sum())


def int_pairs(folder: Path, seed: int) -> Counts:
    """All pairs of INT4 x INT4 and INT4 x INT8 codes in every lane, the others random."""
    compared = wrong = 0
    rng = np.random.default_rng(seed)
    lanes = 16
    for bits in (4, 8):
        block = DotProduct(lanes, bits)
        low, code = (grid.ravel() for grid in np.mgrid[-8:8, -(1 << (bits - 1)) : 1 << (bits - 1)])
        lows = rng.integers(-8, 8, (lanes, len(low), lanes))
        codes = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), lows.shape)
        for lane in range(lanes):
            lows[lane, :, lane], codes[lane, :, lane] = low, code
        lows, codes = lows.reshape(-1, lanes), codes.reshape(-1, lanes)
        stimulus = {"low": _pack(lows, 4), "codes": _pack(codes, bits)}
        seen = _signed(play_block(block, folder, stimulus, block.latency)["o"], len(block.o))
        compared += len(seen)
        wrong += int((seen != (lows * codes).sum(axis=1)).sum())
    return compared, wrong


def _pack(codes: NDArray[np.int64], bits: int) -> NDArray[Any]:
    """Codes [n, lanes] as one integer (up to 64 bits) or one block of bytes each, first lane lowest."""
    if bits == 8:
        block = np.ascontiguousarray(codes.astype(np.int8))
        return block.view(np.dtype((np.void, block.shape[1])))[:, 0]
    nibbles = (codes & 15).astype(np.uint8)
    block = np.ascontiguousarray(nibbles[:, ::2] | nibbles[:, 1::2] << 4)
    return block.view("<u8")[:, 0]


def scales(folder: Path, seed: int) -> Counts:
    """All legal bank scales times all group scales times extreme and small sums."""
    block = Scales()
    sums = [
        sign * size for size in (block.BOUND, block.BOUND - 1, 896, 784, 64, 49, 3, 1) for sign in (1, -1)
    ]
    scale, group_scale, value = (
        grid.ravel() for grid in np.meshgrid(np.arange(256), np.arange(64), [0, *sums])
    )
    units = (8 + scale % 8) << (scale // 8)
    legal = units % 8 == 0
    scale, group_scale, value, units = scale[legal], group_scale[legal], value[legal], units[legal] >> 3
    stimulus = {
        "value": _bits(value, len(block.value)).astype(np.uint16),
        "scale": scale.astype(np.uint8),
        "group_scale": group_scale.astype(np.uint8),
    }
    outputs = play_block(block, folder, stimulus, block.latency)["o"]
    seen = _signed(outputs, len(block.o))
    return len(seen), int((seen != value * units * ((8 + group_scale % 8) << (group_scale // 8))).sum())


def integer_to_float(folder: Path, seed: int) -> Counts:
    """64-bit integers of every exponent and sign: ties, their neighbours, many significands."""
    block = IntegerToFloat()
    rng = np.random.default_rng(seed)
    values = [np.array([0, -1, 1, -(2**63), 2**63 - 1], np.int64)]
    for exponent in range(63):
        power = 1 << exponent
        heads = np.concatenate([rng.integers(1 << 23, 1 << 24, 600), [1 << 23, (1 << 24) - 1, (1 << 24) - 2]])
        if exponent < 24:
            values.append(np.arange(power, min(2 * power, power + 4096)))
            continue
        unit = 1 << (exponent - 23)
        half = unit >> 1
        tails = {0, 1, half - 1, half, half + 1, unit - 1, int(rng.integers(0, unit))}
        values += [heads * unit + tail for tail in sorted(tails) if 0 <= tail < unit]
    magnitudes = np.concatenate(values)
    integers = np.concatenate([magnitudes, -magnitudes])
    seen = play_block(block, folder, {"value": integers.view(np.uint64)}, block.latency)["o"]
    return len(integers), int((seen != integers.astype(np.float32).view(np.uint32)).sum())


def meetings(folder: Path, seed: int) -> Counts:
    """All pairs of places of each two slots of the preset `both`, all pairs of nibbles; the rest random."""
    config = preset("both")
    block, rng = OneBeat(config), np.random.default_rng(seed)
    segment, bank, times = config.sq.segment_size, config.dense.bank or 0, 4
    own, other, first, second, _ = (
        grid.ravel() for grid in np.mgrid[: config.slots, : config.dense_slots, :segment, :bank, :times]
    )
    count = len(own)
    low, codes = (rng.integers(-8, 8, (count, config.lanes)) for _ in range(2))
    index, high = rng.integers(0, segment, (count, config.slots)), rng.integers(-8, 8, (count, config.slots))
    dense_index = rng.integers(0, bank, (count, config.dense_slots))
    dense_high = rng.integers(-8, 8, (count, config.dense_slots))
    beats = np.arange(count)
    index[beats, own], dense_index[beats, other] = first, second
    # Each two slots have a run of beats, in which every pair of nibbles occurs as often.
    pairs = rng.permuted(
        np.resize(np.arange(256), (config.slots * config.dense_slots, segment * bank * times)), axis=1
    )
    high[beats, own], dense_high[beats, other] = (pairs.ravel() >> 4) - 8, (pairs.ravel() & 15) - 8
    scale, group_scale = rng.integers(0, 64, count), rng.integers(0, 256, count)
    numbers = {"low": low, "codes": codes, "high": high, "dense_high": dense_high}
    stimulus = {name: _wide(values, 4) for name, values in numbers.items()}
    stimulus |= {"index": _wide(index, 5), "dense_index": _wide(dense_index, 5)}
    stimulus |= {"scale": scale.astype(np.uint8), "group_scale": group_scale.astype(np.uint8)}
    seen = _signed(play_block(block, folder, stimulus, block.latency)["o"], len(block.o))
    _add_nibbles(low, index, high)
    _add_nibbles(codes, dense_index, dense_high)
    expected = (low * codes).sum(axis=1) * bank_scale_units(config.sq)[scale] * group_scale
    return count, int((seen != expected).sum())


def one_step_scales(folder: Path, seed: int) -> Counts:
    """All pairs of bank scale, group scale and offset of the engine `imported`; elements random, extreme."""
    config = engine_preset("imported").array.pe
    block, rng, kinds = OneBeat(config), np.random.default_rng(seed), 1024
    low, codes = (rng.integers(-8, 8, (kinds, config.lanes)) for _ in range(2))
    index = rng.integers(0, config.sq.segment_size, (kinds, config.slots))
    high = rng.integers(-8, 8, (kinds, config.slots))
    for beat, (x, d) in enumerate(((-8, -8), (-8, 7), (7, -8), (7, 7))):
        low[beat], high[beat], codes[beat] = x, x, d
    numbers = {"low": (low, 4), "high": (high, 4), "index": (index, 5), "codes": (codes, 4)}
    scale, group_scale, turn = (grid.ravel() for grid in np.mgrid[:64, :256, :16])
    offset = (scale + group_scale + 16 * turn) % 256 - 128  # with one of them, every one comes
    kind = rng.integers(0, kinds, len(scale))
    stimulus = {name: _wide(values, bits)[kind] for name, (values, bits) in numbers.items()}
    stimulus |= {name: values.astype(np.uint8) for name, values in (("scale", scale), ("offset", offset))}
    stimulus["group_scale"] = group_scale.astype(np.uint8)
    seen = _signed(play_block(block, folder, stimulus, block.latency)["o"], len(block.o))
    _add_nibbles(low, index, high)
    sums = 16 * (low * codes).sum(axis=1)[kind] + low.sum(axis=1)[kind] * offset
    return len(scale), int((seen != sums * bank_scale_units(config.sq)[scale] * group_scale).sum())


def _add_nibbles(elements: NDArray[np.int64], index: NDArray[np.int64], high: NDArray[np.int64]) -> None:
    """Adds to elements [beats, lanes] the high nibbles [beats, slots] that name them."""
    for places, nibbles in zip(index.T, high.T, strict=True):
        elements[np.arange(len(elements)), places] += 16 * nibbles


def _wide(values: NDArray[np.int64], bits: int) -> NDArray[Any]:
    """Fields [n, count] of so many bits as one integer each (up to 64 bits) or one block of bytes."""
    flags = (values[..., None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(values), -1)
    packed = np.packbits(flags, axis=1, bitorder="little")
    size = 1 << (packed.shape[1] - 1).bit_length()
    block = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, size - packed.shape[1]))))
    return block.view(np.dtype((np.void, size)) if size > 8 else np.dtype(f"<u{size}"))[:, 0]


def bitmaps(folder: Path, seed: int) -> Counts:
    """All 2**16 bitmaps of a bank of 16 with every capacity from 1 to 16, one outlier at a time."""
    block = DecoderRow()
    wait = 18
    bitmap = np.repeat(np.arange(1 << 16, dtype=np.uint16), wait)
    valid = np.tile(np.arange(wait) == 0, 1 << 16).astype(np.uint8)
    outputs = play_block(block, folder, {"bitmap": bitmap, "valid": valid}, 1)
    marked = (np.arange(1 << 16)[:, None] >> np.arange(16)) & 1
    count = marked.sum(axis=1)
    # Where the n-th marked element is: one-hot, 0 if there is none.
    order = np.argsort(1 - marked, axis=1, kind="stable")
    select = np.where(np.arange(16) < count[:, None], 1 << order, 0)
    step = np.arange(wait - 1)
    steps = np.maximum(count, 1)
    compared = wrong = 0
    for capacity in CAPACITIES:
        seen = outputs[f"o{capacity}"].reshape(-1, wait)[:, : wait - 1].astype(np.int64)
        single = capacity == 1
        fits = count <= capacity
        expected_steps = np.where(single, 1, steps)
        is_valid = step < expected_steps[:, None]
        error = (seen >> 2) & 1
        good = (seen & 1) == is_valid
        good &= ~is_valid | (error == ~fits[:, None])
        good &= ~is_valid | (((seen >> 1) & 1) == (step == expected_steps[:, None] - 1))
        good &= ~is_valid | (((seen >> 3) & 1) == (step == 0))
        chosen = is_valid & fits[:, None]
        padded = np.pad(select, ((0, 0), (0, 1)))
        good &= ~chosen | (seen >> 10 == padded)
        good &= ~chosen | (padded == 0) | (((seen >> 4) & 63) == step + 1)
        compared += int(is_valid.sum())
        wrong += int((~good).sum())
    return compared, wrong


CHECKS: dict[str, Callable[[Path, int], Counts]] = {
    "FP16 x INT4": fp16_times_int4,
    "FP16 to fixed point": fp16_to_fixed,
    "INT4 x INT4 and INT4 x INT8, each lane": int_pairs,
    "bank scale x group scale x sums": scales,
    "int64 to float32": integer_to_float,
    "bitmaps of 16, capacities 1 to 16": bitmaps,
    "SQ x SQ by index, places and nibbles": meetings,
    "bank scales, group scales and offsets in pairs": one_step_scales,
}


def run(folder: Path, begin: Begin, *, only: Sequence[str], seed: int) -> Report:
    """Try every input of small spaces on Verilog under Verilator, against NumPy."""
    names, rows = only or tuple(CHECKS), list[Row]()
    step = begin("exhaustive", len(names))
    for name in names:
        step(name, 0)
        start = time.monotonic()
        compared, wrong = CHECKS[name](folder, seed)
        what = (CHECKS[name].__doc__ or "").strip()
        seconds = round(time.monotonic() - start, 1)
        rows.append({"check": name, "what": what, "compared": compared, "wrong": wrong, "seconds": seconds})
        step(name)
    figures = {key: sum(row[key] for row in rows) for key in ("compared", "wrong")}
    problems = [
        f"{row['check']}: {row['wrong']} of {row['compared']} are wrong"
        for row in rows
        if row["wrong"] or not row["compared"]
    ]
    shown = {"checks": ("what", "compared", "wrong", "seconds")}
    return Report(figures, {"checks": rows}, problems, shown)


CHECK = Check(
    "exhaustive",
    "Exhaustive",
    run,
    "{compared:,} results compared, {wrong} wrong",
    ("amaranth", "verilator"),
    options=(choice("--only", list(CHECKS), "These; by default all."),),
    quick={"only": ("FP16 to fixed point", "INT4 x INT4 and INT4 x INT8, each lane")},
)
COMMAND = CHECK.command()
