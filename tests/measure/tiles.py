"""Tiles through arrays of rivals."""

from tests.hardware import simulate


def run_array(dut, rows, columns, beats, count):
    """Feeds one tile and returns what leaves: `count` rows of a drained array, or all sums at once."""
    got = []
    drained = "last" in dut.signature.members

    async def testbench(ctx):
        for beat in range(beats + dut.latency):
            for index, row in enumerate(rows):
                ctx.set(dut.rows[index], row[min(beat, beats - 1)] | {"valid": int(beat < beats)})
            for index, column in enumerate(columns):
                ctx.set(dut.columns[index], column[min(beat, beats - 1)])
            if drained:
                ctx.set(dut.last, beat == beats - 1)
            await ctx.tick()
        for _ in range(count):
            sums = dut.o if drained else dut.o[0]
            got.append([ctx.get(sums[column]) for column in range(len(columns))])
            if drained:
                ctx.set(dut.leave, 1)
                await ctx.tick()

    simulate(dut, testbench, limit=beats + dut.latency + count + 4)
    return got
