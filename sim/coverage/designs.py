"""Processing elements and an array under the benches' traffic, with coverage; every result is compared."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.bench.streams import compile_array, compile_pe, drive, drive_array
from sim.coverage.bins import (
    RUN_BINS,
    Bins,
    OperandBins,
    applicable_faults,
    result_bins,
    sample_results,
    sample_run,
)
from sim.coverage.data import OPTIONS, Points
from sim.report import Failure, Note
from sim.traffic.dot_products import NAN, UNEQUAL, DotProduct, Traffic, dot_products
from sim.traffic.extreme_values import extreme_operands, extreme_products
from sim.traffic.faults import DENSE_FAULTS, FAULTS, counted, longer, replace_field
from sqhw.config import ArrayConfig, PEConfig
from sqhw.emit import emit
from sqhw.layouts import sq_beat_layout
from sqhw.packing import dense_beats, read_tile_row, sq_beats, tile_beats
from sw_reference.format import LEGAL_SCALES
from sw_reference.multiply import multiply

__all__ = ["Covered", "cover_array", "cover_pe"]

PAUSES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.97), (0.4, 0.9))
"""Of the inputs and the output; results are rare, and an output buffer must fill before anything waits."""


@dataclass(frozen=True)
class Tile:
    """Beats of each row and column, the sums of each row (None: flagged), how it was broken, if it was."""

    sq: list[list[int]]
    dense: list[list[int]]
    sums: list[list[int] | None]
    fault: str = ""


@dataclass(frozen=True)
class Covered:
    """What a design's runs covered, and how many results they compared."""

    points: Points
    bins: Bins
    compared: int
    cycles: int


def cover_pe(config: PEConfig, seed: int, folder: Path, note: Note) -> Covered:
    """Covers an AXI processing element.

    Raises
    ------
    Failure
        If a result differs from the golden model's.
    ToolError
        If a tool is missing or fails.
    """
    note("compiling")
    design = emit(config, "sq_pe")
    program = compile_pe(design, folder, options=OPTIONS)
    legal, malformed = dot_products(config, seed)
    legal += extreme_products(config, seed)
    malformed += _far_from_legal(config, seed, legal)
    products = [*legal, *(product for bad in malformed for product in (bad, legal[0]))]
    random.Random(seed).shuffle(legal)
    products = legal + products
    traffic, operands = Traffic(), OperandBins(config)
    bins = Bins([*operands.names(), *result_bins(config), *RUN_BINS])
    for product in products:
        traffic.add(product)
        operands.sample(bins, product.sq, product.dense, legal=not product.fault)
    points, cycles, counts = Points(design.verilog), 0, program.path.with_name("coverage.dat")
    for number, (pause_in, pause_out) in enumerate(PAUSES):
        note(f"run {number + 1} of {len(PAUSES)}")
        run = drive(
            program,
            config,
            traffic.beats,
            results=len(products),
            seed=seed + number,
            pause_in=pause_in,
            pause_out=pause_out,
            limit=200 * len(traffic.sq),
            coverage=counts,
        )
        if run.state != "done" or list(run.results) != traffic.expected:
            raise Failure(f"run {number}: {run.state}, {len(run.results)} results, not all right")
        sample_run(bins, run)
        cycles += run.cycles
        points.add(counts)
    sample_results(bins, products)
    return Covered(points, bins, len(PAUSES) * len(products), cycles)


def _far_from_legal(config: PEConfig, seed: int, legal: Sequence[DotProduct]) -> list[DotProduct]:
    """Dot products longer than k_max, all reserved bank scales, bitmaps of any number of outliers.

    None with an index mask, where every bit pattern is legal.
    """
    if config.one_step:
        return []
    rng, layout, good = random.Random(seed), sq_beat_layout(config), legal[0]
    broken = [(good, counted(config, longer(config, list(good.sq))), "longer than k_max")]
    for code in sorted({*range(256)} - {*LEGAL_SCALES}):
        for product in legal[:8]:
            words = [replace_field(layout, word, "scale", code) for word in product.sq]
            broken.append((product, words, "reserved bank scale"))
    if config.slots and config.sq.has_bitmap and config.sq.outliers < config.lanes:
        for count in 3 * [*range(config.sq.outliers + 1, config.lanes + 1)]:
            bitmap = sum(1 << lane for lane in rng.sample(range(config.lanes), count))
            words = [replace_field(layout, good.sq[0], "bitmap", bitmap), *good.sq[1:]]
            broken.append((good, words, "mask over the capacity"))
    return [
        DotProduct(words, [p.dense[0]] * (len(words) - 1) + [p.dense[-1]], p.scales, NAN, 1, name)
        for p, words, name in broken
    ]


def _array_tiles(config: ArrayConfig, seed: int) -> list[Tile]:
    """Tiles of extreme operands, and for each kind of fault one per row that it can strike alone."""
    pe, tiles = config.pe, []
    for sq, dense in extreme_operands(pe, seed):
        rows, columns, acc = sq_beats(pe, sq), dense_beats(pe, dense), multiply(sq, dense).acc
        for r in range(sq.rows - config.rows + 1):
            for c in range(dense.rows - config.columns + 1):
                sums = acc[r : r + config.rows, c : c + config.columns].tolist()
                tiles.append(Tile(rows[r : r + config.rows], columns[c : c + config.columns], sums))
    legal = tuple(tiles)
    for name in applicable_faults(pe):
        tiles += _broken_tiles(config, name, legal)
    good = legal[0]
    late = [good.dense[-1][0]] * len(good.dense[-1])
    return [*tiles, Tile(good.sq, [*good.dense[:-1], late], [None] * config.rows, UNEQUAL), good]


def _broken_tiles(config: ArrayConfig, name: str, legal: Sequence[Tile]) -> list[Tile]:
    """A fault in each row, or column, alone; in all rows if it changes their length. Good tiles follow."""
    void: list[list[int] | None] = [None] * config.rows
    tiles = []
    if name in DENSE_FAULTS:
        for c in range(config.columns):
            good, broken = _first(
                (tile, DENSE_FAULTS[name](config.pe, list(tile.dense[c]))) for tile in legal
            )
            columns = [broken if column == c else beats for column, beats in enumerate(good.dense)]
            tiles += [Tile(good.sq, columns, void, name), good]
        return tiles
    for r in range(config.rows):
        good, broken = _first((tile, FAULTS[name](config.pe, list(tile.sq[r]))) for tile in legal)
        length = len(broken)
        if length != len(good.sq[r]):
            dense = [[column[0]] * (length - 1) + [column[-1]] for column in good.dense]
            return [Tile([broken] * config.rows, dense, void, name), good]
        rows = [broken if row == r else beats for row, beats in enumerate(good.sq)]
        sums = [None if row == r else line for row, line in enumerate(good.sums)]
        tiles += [Tile(rows, good.dense, sums, name), good]
    return tiles


def _first(struck: Iterable[tuple[Tile, list[int] | None]]) -> tuple[Tile, list[int]]:
    """Returns the first tile that a fault can strike, and the beats that it makes."""
    return next((tile, broken) for tile, broken in struck if broken)


def _array_bins(config: ArrayConfig, operands: OperandBins) -> list[str]:
    names = [*operands.names(), *RUN_BINS, "sum: 0", "sum: negative", "right tile behind a fault"]
    names += [f"fault: {name}" for name in (*applicable_faults(config.pe), UNEQUAL)]
    return [*names, *(f"fault of row {row} alone" for row in range(config.rows))]


def _sample_tiles(bins: Bins, operands: OperandBins, tiles: list[Tile]) -> None:
    before = ""
    for tile in tiles:
        for row, sums in zip(tile.sq, tile.sums, strict=True):
            for column in tile.dense:
                operands.sample(bins, row, column, legal=sums is not None and not tile.fault)
            bins.hit("sum: 0", (sums or []).count(0))
            bins.hit("sum: negative", sum(value < 0 for value in sums or []))
        void = [row for row, sums in enumerate(tile.sums) if sums is None]
        if tile.fault:
            bins.hit(f"fault: {tile.fault}")
        if len(void) == 1:
            bins.hit(f"fault of row {void[0]} alone")
        bins.hit("right tile behind a fault", bool(before and not tile.fault))
        before = tile.fault


def cover_array(config: ArrayConfig, seed: int, folder: Path, note: Note) -> Covered:
    """Covers an array; raises as :func:`cover_pe`."""
    note("compiling")
    program = compile_array(config, folder, options=OPTIONS)
    tiles, operands = _array_tiles(config, seed), OperandBins(config.pe)
    bins = Bins(_array_bins(config, operands))
    _sample_tiles(bins, operands, tiles)
    streams: tuple[list[int], list[int]] = [], []
    expected: list[tuple[Any, bool, bool]] = []
    for tile in tiles:
        for stream, payloads in zip(streams, tile_beats(config, tile.sq, tile.dense), strict=True):
            stream += payloads
        ends = [False] * (config.rows - 1) + [True]
        expected += [(sums, sums is None, last) for sums, last in zip(tile.sums, ends, strict=True)]
    points, cycles = Points(program.path.parents[1].joinpath("top.v").read_text()), 0
    counts = program.path.with_name("coverage.dat")
    for number, (pause_in, pause_out) in enumerate(PAUSES):
        note(f"run {number + 1} of {len(PAUSES)}")
        run = drive_array(
            program,
            config,
            streams,
            results=len(expected),
            seed=seed + number,
            pause_in=pause_in,
            pause_out=pause_out,
            coverage=counts,
        )
        rows = [read_tile_row(config, payload) for payload, _ in run.results]
        found = [(None if error else sums, error, last) for sums, error, last in rows]
        if run.state != "done" or found != expected:
            raise Failure(f"run {number}: {run.state}, {len(found)} rows, not all right")
        sample_run(bins, run)
        cycles += run.cycles
        points.add(counts)
    return Covered(points, bins, len(PAUSES) * len(expected) * config.columns, cycles)
