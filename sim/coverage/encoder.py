"""An encoder under rows of every kind and length, with coverage; every bank is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.bench.streams import compile_encoder, drive_encoder
from sim.coverage.bins import RUN_BINS, Bins, sample_run
from sim.coverage.data import OPTIONS, Points
from sim.coverage.designs import PAUSES, Covered
from sim.report import Failure, Note
from sim.traffic.faults import read_field
from sim.traffic.rows import KINDS, Row, random_row
from sqhw.encoder.config import EncoderConfig, encoded_layout
from sqhw.layouts import sq_beat_layout

__all__ = ["cover_encoder", "row_bins", "sample_row"]

ROWS = 4000
_SIDES = ("largest", "most negative")
_ROUNDINGS = ("a tie down", "a tie up", "beyond the largest code", "beyond the most negative code")


def row_bins(config: EncoderConfig) -> list[str]:
    """What rows and their banks must have shown."""
    names = [f"row: {kind}" for kind in (*KINDS, "special", "too long")]
    names += [
        "row: zeros alone",
        "row: k_max",
        "row: one element",
        "row: part of a word",
        "row: part of a bank",
    ]
    names += ["right row behind a flagged one", "bank: zeros alone"]
    names += [f"bank scale: {kind}" for kind in ("smallest", "largest", "positive", "negative")]
    names += [f"{part}: {what}" for part in ("regular element", "outlier") for what in _ROUNDINGS]
    names += [f"outliers in a segment: {count}" for count in range(config.sq.outliers + 1)]
    names += ["outlier: first of its segment", "outlier: last of its segment"]
    return [*names, "equal elements: the first is the outlier", "NaN", "Inf", *RUN_BINS]


def sample_row(bins: Bins, config: EncoderConfig, row: Row) -> None:
    """Counts what a row holds."""
    bins.hit(f"row: {row.kind}")
    bits, size = row.x.view(np.uint16) & 0x7FFF, len(row.x)
    bins.hit("NaN", int((bits > 0x7C00).sum()))
    bins.hit("Inf", int((bits == 0x7C00).sum()))
    if row.kind in ("special", "too long"):
        return
    bins.hit("row: zeros alone", not bits.any())
    bins.hit("row: k_max", size == config.banks_max * config.sq.bank)
    bins.hit("row: one element", size == 1)
    bins.hit("row: part of a word", size % config.elements > 0)
    bins.hit("row: part of a bank", size % config.sq.bank > 0)
    x = np.pad(row.x, (0, -size % config.sq.bank)).astype(np.float64)
    layout = encoded_layout(config)
    for bank, word in zip(x.reshape(-1, config.sq.bank), row.banks, strict=True):
        assert word is not None
        beat = word & (1 << sq_beat_layout(config.pe).size) - 1
        code = read_field(sq_beat_layout(config.pe), beat, "scale")
        _sample_bank(bins, config, bank, code, read_field(layout, word, "row_exponent"))


def _sample_bank(
    bins: Bins, config: EncoderConfig, bank: NDArray[np.float64], code: int, row_exponent: int
) -> None:
    sq, shape = config.sq, config.sq.bank_scale
    magnitude = code & (1 << shape.magnitude_bits) - 1
    bins.hit("bank: zeros alone", not bank.any())
    bins.hit("bank scale: smallest", magnitude == shape.legal[0])
    bins.hit("bank scale: largest", magnitude == shape.legal[-1])
    bins.hit("bank scale: positive", code == magnitude)
    bins.hit("bank scale: negative", code != magnitude)
    outliers = np.zeros(sq.bank, np.bool_)
    for first in range(0, sq.bank, sq.segment_size):
        segment = np.abs(bank[first : first + sq.segment_size])
        order = np.argsort(-segment, kind="stable")[: sq.outliers]
        taken = order[segment[order] > 0]
        outliers[first + taken] = True
        bins.hit(f"outliers in a segment: {len(taken)}")
        bins.hit("outlier: first of its segment", int((taken == 0).sum()))
        bins.hit("outlier: last of its segment", int((taken == sq.segment_size - 1).sum()))
        left = np.delete(segment, taken)
        bins.hit("equal elements: the first is the outlier", bool(np.isin(segment[taken], left).any()))
    exact = bank / (shape.units(code) * 2.0 ** (row_exponent - 127))
    for part, chosen, (largest, lowest) in (
        ("regular element", ~outliers, config.limits.low),
        ("outlier", outliers, config.limits.high),
    ):
        _sample_roundings(bins, part, exact[chosen], largest, lowest)


def _sample_roundings(bins: Bins, part: str, exact: Any, largest: int, lowest: int) -> None:
    """Counts ties and saturations among quotients, as floats that hold them well enough for that."""
    floor = np.floor(exact)
    ties = (exact - floor == 0.5) & (exact < largest) & (exact > lowest)
    for what, found in zip(
        _ROUNDINGS,
        (ties & (floor % 2 == 0), ties & (floor % 2 == 1), exact > largest + 0.5, exact < lowest - 0.5),
        strict=True,
    ):
        bins.hit(f"{part}: {what}", int(found.sum()))


def cover_encoder(config: EncoderConfig, seed: int, folder: Path, note: Note) -> Covered:
    """Covers an encoder; raises as :func:`~sim.coverage.designs.cover_pe`."""
    note("compiling")
    program = compile_encoder(config, folder, options=OPTIONS)
    rng = np.random.default_rng(seed)
    rows = [random_row(config, rng) for _ in range(ROWS)]
    bins = Bins(row_bins(config))
    flagged = False
    for row in rows:
        sample_row(bins, config, row)
        bins.hit("right row behind a flagged one", flagged and row.banks[0] is not None)
        flagged = row.banks[0] is None
    error = 1 << encoded_layout(config)["error"].offset
    points, cycles, compared = Points(program.path.parents[1].joinpath("top.v").read_text()), 0, 0
    counts = program.path.with_name("coverage.dat")
    for number, (pause_in, pause_out) in enumerate(PAUSES):
        note(f"run {number + 1} of {len(PAUSES)}")
        part = rows[number :: len(PAUSES)]
        expected = [bank for row in part for bank in row.banks]
        run = drive_encoder(
            program,
            [word for row in part for word in row.words],
            results=len(expected),
            seed=seed + number,
            pause_in=pause_in,
            pause_out=pause_out,
            coverage=counts,
        )
        found = [None if beat & error else beat for beat, _ in run.results]
        if run.state != "done" or found != expected:
            raise Failure(f"run {number}: {run.state}, {len(found)} banks, not all right")
        sample_run(bins, run)
        cycles += run.cycles
        compared += len(expected)
        points.add(counts)
    return Covered(points, bins, compared, cycles)
