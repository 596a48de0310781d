# amaranth: UnusedElaboratable=no
"""Arrays of one-step units in the Amaranth simulator: exact tiles, a beat every cycle, errors in place."""

import numpy as np
import pytest

from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.console import SEED
from sqhw.measure.core import BareArray
from sw_reference.format import DenseFormat, SQFormat
from tests.array.array_jobs import Tile, any_tile, drive
from tests.hardware import STALLS

UNIT = PEConfig(
    SQFormat(8, 2, "int8", "index", "e3m2s", 4), DenseFormat(4, 8, scale="linear8"), 8, 4, k_max=256
)
OFFSET = PEConfig(UNIT.sq, DenseFormat(4, 8, scale="linear8", offset=True), 8, 4, k_max=256)
BOTH = PEConfig(UNIT.sq, DenseFormat(4, 8, 1, 8, "linear8", mask="index"), 8, 4, k_max=256)
UNGROUPED = PEConfig(SQFormat(8, 1, "int8", "index", "e2m2"), DenseFormat(4), 8, 1, k_max=256)


HALVES = PEConfig(
    SQFormat(8, 1, "int8", "index", "e3m2s", 4),
    DenseFormat(4, 4, scale="linear8", offset=True),
    8,
    2,
    k_max=256,
)


UNITS = {"grouped": UNIT, "ungrouped": UNGROUPED, "offset": OFFSET, "both": BOTH}
# Each unit meets each kind of stalls; the quick suite takes two of them per unit, other ones for the next.
CASES = [
    pytest.param(
        UNITS[name],
        pipeline,
        stalls,
        marks=() if (unit + 2 * (pipeline == "long")) % 4 == index else pytest.mark.slow,
        id=f"{pipeline}-{name}-{stalls}",
    )
    for pipeline in ("short", "long")
    for unit, name in enumerate(UNITS)
    for index, stalls in enumerate(STALLS)
]


@pytest.mark.parametrize(("pe", "pipeline", "stalls"), CASES)
def test_tiles_agree_with_the_golden_model(pe, pipeline, stalls):
    """Short tiles and long ones; what any stream does leaves the sums alone."""
    config = ArrayConfig(PEConfig(pe.sq, pe.dense, 8, pe.slots, 256, pipeline=pipeline), 3, 2)
    rng = np.random.default_rng(SEED)
    tiles = [any_tile(config, k, rng) for k in (8, 64, 3, 17, 8, 40)]
    got, _ = drive(ProcessingArray(config), tiles, stalls)
    assert got == [row for tile in tiles for row in tile.rows()]
    assert len(got) == 18


def test_what_is_measured_is_the_same():
    config = ArrayConfig(UNIT, 2, 2)
    rng = np.random.default_rng(SEED)
    tiles = [any_tile(config, k, rng) for k in (8, 24, 16)]
    got, _ = drive(BareArray(config), tiles, "both")
    assert got == [row for tile in tiles for row in tile.rows()]
    assert len(got) == 6


def test_tiles_of_two_groups_a_beat():
    config = ArrayConfig(HALVES, 3, 2)
    rng = np.random.default_rng(SEED)
    tiles = [any_tile(config, k, rng) for k in (8, 64, 3, 17)]
    got, _ = drive(ProcessingArray(config), tiles, "both")
    assert got == [row for tile in tiles for row in tile.rows()]
    assert len(got) == 12


@pytest.mark.parametrize(("pipeline", "beats"), [("short", 12), ("long", 26)])
def test_tiles_follow_each_other_without_a_gap(pipeline, beats):
    config = ArrayConfig(PEConfig(UNIT.sq, UNIT.dense, 8, 4, 256, pipeline=pipeline), 3, 1)
    rng = np.random.default_rng(SEED)
    tiles = [any_tile(config, 8 * beats, rng) for _ in range(4)]
    dut = ProcessingArray(config)
    got, when = drive(dut, tiles)
    assert got == [row for tile in tiles for row in tile.rows()]
    assert np.diff(when[::3]).tolist() == [beats] * 3
    assert np.diff(when[:3]).tolist() == [1, 1]
    assert when[0] == beats - 1 + dut.latency


def test_operands_that_do_not_end_together():
    """A column that ends late flags the tile in all rows; a row that ends late flags itself."""
    config = ArrayConfig(UNIT, 2, 2)
    rng = np.random.default_rng(SEED)
    late, good = (any_tile(config, 16, rng) for _ in range(2))
    column = Tile(config, late.sq, [late.dense[0], [late.dense[1][0]] * 2], late.acc)
    row = Tile(config, [late.sq[0], [late.sq[1][0]] * 2], late.dense, late.acc)
    got, _ = drive(ProcessingArray(config), [column, good, row, good])
    expected = column.rows(errors=[0, 1]) + good.rows() + row.rows(errors=[1]) + good.rows()
    assert got == expected
