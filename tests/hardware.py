"""Plumbing of the hardware tests: simulations with a cycle limit, stream ends that stall, a rule monitor."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amaranth.hdl import Value
from amaranth.sim import Simulator

__all__ = ["STALLS", "drive_pipeline", "drive_stream", "simulate"]

STALLS = {"none": (0.0, 0.0), "in": (0.5, 0.0), "out": (0.0, 0.5), "both": (0.4, 0.4)}
"""Probabilities that a stream's source and its sink pause in a cycle."""


def simulate(dut: Any, *testbenches: Callable[..., Any], limit: int) -> None:
    """Runs the testbenches to their end; fails when they have not ended after `limit` cycles."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    for testbench in testbenches:
        simulator.add_testbench(testbench)
    # The clock makes two events a cycle; whatever else happens, twice as many is far too many.
    for _ in range(4 * limit):
        if not simulator.advance():
            return
    raise AssertionError(f"simulation has not ended after {limit} cycles")


def drive_pipeline(
    dut: Any, stimuli: Sequence[dict[str, Any]], outputs: Sequence[str], skew: dict[str, int] | None = None
) -> list[dict[str, Any]]:
    """Feeds one stimulus per cycle and returns one output per stimulus, ``dut.latency`` cycles later.

    ``skew`` names inputs that the block expects some cycles after the others.
    """
    results: list[dict[str, Any]] = []
    skew = skew or {}

    async def testbench(ctx: Any) -> None:
        for cycle in range(len(stimuli) + dut.latency):
            for name in stimuli[0]:
                at = cycle - skew.get(name, 0)
                if 0 <= at < len(stimuli):
                    ctx.set(getattr(dut, name), stimuli[at][name])
            if dut.latency == 0:
                results.append({name: ctx.get(getattr(dut, name)) for name in outputs})
                await ctx.delay(1e-7)
                continue
            await ctx.tick()
            if cycle >= dut.latency - 1 and len(results) < len(stimuli):
                results.append({name: ctx.get(getattr(dut, name)) for name in outputs})

    if dut.latency == 0:
        simulator = Simulator(dut)
        simulator.add_testbench(testbench)
        simulator.run()
    else:
        simulate(dut, testbench, limit=len(stimuli) + dut.latency + 2)
    assert len(results) == len(stimuli) > 0
    return results


def _source(
    stream: Any, payloads: Iterable[Any], pause: float, rng: random.Random, after: list[int] | None = None
) -> Callable[..., Any]:
    async def testbench(ctx: Any) -> None:
        for number, payload in enumerate(payloads):
            while rng.random() < pause or (after is not None and len(after) < number):
                await ctx.tick()
            ctx.set(Value.cast(stream.payload), payload)
            ctx.set(stream.valid, 1)
            *_, ready = await ctx.tick().sample(stream.ready)
            while not ready:
                *_, ready = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)

    return testbench


def _sink(
    stream: Any, count: int, pause: float, rng: random.Random, received: list[int], when: list[int]
) -> Callable[..., Any]:
    async def testbench(ctx: Any) -> None:
        cycle = 0
        waiting: int | None = None
        while len(received) < count:
            ready = rng.random() >= pause
            ctx.set(stream.ready, ready)
            *_, valid, payload = await ctx.tick().sample(stream.valid, Value.cast(stream.payload))
            # The stream rule: once valid, a payload stays as it is until it is taken.
            assert waiting is None or (valid and payload == waiting), f"payload withdrawn in cycle {cycle}"
            waiting = payload if valid and not ready else None
            if valid and ready:
                received.append(payload)
                when.append(cycle)
            cycle += 1
        ctx.set(stream.ready, 0)

    return testbench


def drive_stream(
    dut: Any,
    inputs: dict[str, Sequence[Any]],
    count: int,
    *,
    output: str = "o",
    stalls: str = "none",
    seed: int = 1,
    limit: int = 20_000,
    answers: str = "",
) -> tuple[list[int], list[int]]:
    """Sends payloads (as integers) into input streams; returns `count` output payloads and their cycles.

    The input stream `answers` sends a payload only once as many have been received as it has sent.
    """
    pause_in, pause_out = STALLS[stalls]
    received: list[int] = []
    when: list[int] = []
    sources = [
        _source(
            getattr(dut, name),
            payloads,
            pause_in,
            random.Random(f"{seed} {name}"),
            received if name == answers else None,
        )
        for name, payloads in inputs.items()
    ]
    sink = _sink(getattr(dut, output), count, pause_out, random.Random(f"{seed} {output}"), received, when)
    simulate(dut, *sources, sink, limit=limit)
    assert len(received) == count
    return received, when
