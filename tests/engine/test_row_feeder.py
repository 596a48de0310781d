# amaranth: UnusedElaboratable=no
"""Rows cut into an encoder's words: any widths, whoever waits; packets that end too early or too late."""

import random

import numpy as np
import pytest
from amaranth.hdl import Value

from sqhw.config import ArrayConfig, EngineConfig
from sqhw.driver.packets import row_packet
from sqhw.encoder.config import engine_encoder
from sqhw.encoder.payloads import row_words
from sqhw.engine.row_feeder import RowFeeder
from sqhw.presets import preset
from tests.hardware import simulate

CASES = [(32, 1), (32, 2), (128, 8), (128, 2), (512, 8), (1024, 32), (1024, 1)]


def config(axi_bits: int, elements: int) -> EngineConfig:
    return EngineConfig(
        ArrayConfig(preset("lean"), 2, 2), axi_bits=axi_bits, output_stages=1, encoder=elements
    )


def feed(dut, engine, k, m, packet, *, pause=0.3):
    """Sends a packet; returns the words that come, and the events by name, in order."""
    rng, words, events = random.Random(1), [], []

    async def source(ctx):
        ctx.set(dut.k, k)
        ctx.set(dut.count, m)
        await ctx.tick().repeat(3)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        pieces = [packet[at : at + engine.axi_bytes] for at in range(0, len(packet), engine.axi_bytes)]
        for place, piece in enumerate(pieces):
            while rng.random() < pause:
                await ctx.tick()
            last = place == len(pieces) - 1
            ctx.set(dut.i.p, {"data": int.from_bytes(piece, "little"), "last": last})
            ctx.set(dut.i.valid, 1)
            taken = False
            while not taken and "leftover" not in events:
                *_, taken = await ctx.tick().sample(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        watched = (dut.o.valid, dut.o.ready, Value.cast(dut.o.p), dut.early, dut.late, dut.leftover)
        for _ in range(4 * len(packet) + 100):
            ctx.set(dut.o.ready, rng.random() >= pause)
            *_, valid, ready, word, early, late, leftover = await ctx.tick().sample(*watched)
            if valid and ready:
                words.append(word)
            flags = {"early": early, "late": late, "leftover": leftover}
            events.extend(name for name, flag in flags.items() if flag and name not in events)

    simulate(dut, source, sink, limit=8 * len(packet) + 400)
    return words, events


@pytest.mark.parametrize(("axi_bits", "elements"), CASES)
def test_rows_of_any_length(axi_bits, elements):
    engine, rng, compared = config(axi_bits, elements), np.random.default_rng(1), 0
    for k in (1, 2, 7, 32, 33, 64, 70):
        rows = rng.standard_normal((3, k)).astype(np.float16)
        packet = np.frombuffer(row_packet(engine, rows), np.uint16).reshape(3, -1).copy()
        packet[:, k:] = rng.integers(0, 1 << 16, packet[:, k:].shape)  # what pads a row does not matter
        words, events = feed(RowFeeder(engine), engine, k, 3, packet.tobytes())
        assert words == [word for row in rows for word in row_words(engine_encoder(engine), row)]
        assert events == []
        compared += len(words)
    assert compared == 3 * sum(-(-k // elements) for k in (1, 2, 7, 32, 33, 64, 70))


@pytest.mark.parametrize(("change", "events"), [(-1, ["early"]), (1, ["late", "leftover"])])
def test_a_packet_of_another_length(change, events):
    engine = config(128, 8)
    packet = row_packet(engine, np.ones((3, 20), np.float16))
    packet = packet[:-16] if change < 0 else packet + bytes(16)
    assert feed(RowFeeder(engine), engine, 20, 3, packet)[1] == events
