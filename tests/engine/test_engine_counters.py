# amaranth: UnusedElaboratable=no
"""The engine's counters, with few bits: each event is counted, and one that is full stays so."""

from sqhw.engine import control
from sqhw.engine.control import COUNTERS, Counters
from tests.hardware import simulate

BITS = 4
FULL = (1 << BITS) - 1


def test_counts_and_stays_full(monkeypatch):
    monkeypatch.setattr(control, "COUNTER_BITS", BITS)
    dut = Counters(rows=2)
    expected = dict.fromkeys(COUNTERS, 0)
    compared = 0

    def values(ctx):
        return {name: ctx.get(getattr(dut.value, name)) for name in COUNTERS}

    async def bench(ctx):
        nonlocal compared
        ctx.set(dut.running, 1)
        for cycle in range(200):
            valid, ready, idle = cycle % 3 != 0, cycle % 5 != 0, cycle % 4
            for port, value in ((dut.valid, valid), (dut.ready, ready), (dut.idle, idle)):
                ctx.set(port, value)
            await ctx.tick()
            assert values(ctx) == {name: min(count, FULL) for name, count in expected.items()}
            compared += 1
            expected["CYCLES"] += 1
            expected["BEATS"] += valid and ready
            expected["STARVED"] += not valid
            expected["HELD"] += valid and not ready
            expected["GATED"] += idle.bit_count() if valid and ready else 0
        ctx.set(dut.running, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick().repeat(2)
        assert values(ctx) == dict.fromkeys(COUNTERS, 0)

    simulate(dut, bench, limit=300)
    assert compared == 200
    assert min(expected.values()) > FULL
