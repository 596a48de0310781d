# amaranth: UnusedElaboratable=no
"""The drain of a long pipeline, alone: tiles as they were shown, row by row, and the cycles that it takes."""

import numpy as np
import pytest

from sqhw.array.long_drain import LongDrain
from sqhw.config import ArrayConfig, PEConfig
from sqhw.console import SEED
from sqhw.layouts import tile_row_layout
from sw_reference.format import DenseFormat, SQFormat
from tests.hardware import simulate

PE = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16), 8, 1, 256, pipeline="long")


def drained(rows, shown, ready, cycles):
    """Shows each tile from its cycle on, until the next one; returns cycle, sums, error, last of each row.

    `shown`: cycle, sums, errors of each tile. Errors are there in that cycle alone. `ready`: by cycle.
    """
    config = ArrayConfig(PE, rows, 2)
    dut = LongDrain(config)
    layout = tile_row_layout(config)
    begin = {cycle: (sums, errors) for cycle, sums, errors in shown}
    left = []

    async def testbench(ctx):
        for cycle in range(cycles):
            ctx.set(dut.finishes, cycle + 1 in begin)
            sums, errors = begin.get(cycle, (None, (1 << rows) - 1))
            ctx.set(dut.error, errors)
            if sums is not None:
                ctx.set(dut.acc, sums.tolist())
            ctx.set(dut.o.ready, ready(cycle))
            *_, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.p.as_value())
            if valid and ready(cycle):
                row = layout.from_bits(payload)
                left.append((cycle, [*row.acc], row.error, row.last))

    simulate(dut, testbench, limit=cycles + 2)
    return left


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("late", [0, 7])
def test_a_cycle_without_a_row_between_two_tiles(rows, late):
    """The second tile waits in the accumulators, also if the output takes nothing for some time."""
    rng = np.random.default_rng([SEED, rows])
    tiles = rng.integers(-1000, 1000, (2, rows, 2))
    errors = [int(value) for value in rng.integers(0, 1 << rows, 2)]
    shown = [(2, tiles[0], errors[0]), (3 + rows // 2, tiles[1], errors[1])]
    left = drained(rows, shown, lambda cycle: cycle >= 3 + late, 4 * rows + late + 8)
    first = 2 + LongDrain.latency + late
    assert [cycle for cycle, *_ in left] == [first + n + n // rows for n in range(2 * rows)]
    assert [row for _, *row in left] == [
        [tile[row].tolist(), error >> row & 1, row == rows - 1]
        for tile, error in zip(tiles, errors, strict=True)
        for row in range(rows)
    ]


def test_full_while_a_tile_waits_or_may_have_to():
    """With one tile begun, `full` as long as another one leaves; with two, until one is captured."""
    dut = LongDrain(ArrayConfig(PE, 2, 1))
    full = []

    async def testbench(ctx):
        for cycle in range(12):
            ctx.set(dut.ended, cycle in (0, 2))
            ctx.set(dut.finishes, cycle in (3, 5))
            ctx.set(dut.o.ready, cycle >= 7)
            *_, seen = await ctx.tick().sample(dut.full)
            full.append(seen)

    simulate(dut, testbench, limit=14)
    # One tile from 1 on, two from 3 to 4, where the first is captured; it leaves in 7 and 8, the second is
    # captured in 9.
    assert full == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
