# amaranth: UnusedElaboratable=no
"""Unpacking in hardware: any row, cut into pieces, gives the beats that the golden tensors give."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Value

from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.engine.gearboxes import Gearbox, SerialGearbox, piece_layout
from sqhw.engine.unpack import SQRows
from sqhw.engine.unpack_groups import dense_rows
from sqhw.layouts import dense_beat_layout, dense_word_layout, sq_beat_layout
from sqhw.packing import dense_beats, sq_beats
from sqhw.presets import PRESETS
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.pack import pack_dense, pack_sq
from tests.hardware import simulate
from tests.reference.cases import random_dense, random_sq

UNITS = {
    "default": PEConfig(k_max=256),
    "two int8": PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, 64), 16, 2, k_max=256),
    "two fp16": PEConfig(SQFormat(32, 2, "fp16"), DenseFormat(4, 64), lanes=32, outlier_lanes=1, k_max=256),
    "paper": PRESETS["paper"],
    "several beats": PEConfig(
        SQFormat(32, 5, "fp16"), DenseFormat(8, 96), lanes=8, outlier_lanes=2, k_max=128
    ),
    "sentinel": PEConfig(
        SQFormat(8, 3, "fp16", "sentinel"), DenseFormat(4), lanes=2, outlier_lanes=1, k_max=256
    ),
    "odd banks": PEConfig(SQFormat(4, 1, "int8"), DenseFormat(4, 4), lanes=1, outlier_lanes=1, k_max=256),
    "no outliers": PEConfig(SQFormat(16, 0), DenseFormat(8), lanes=4, outlier_lanes=0, k_max=256),
    "short groups": PEConfig(SQFormat(8, 1), DenseFormat(4, 8), lanes=8, outlier_lanes=1, k_max=256),
    "lean": replace(PRESETS["lean"], k_max=256),
    "fine": replace(PRESETS["fine"], k_max=256),
    "offsets": replace(PRESETS["lean"], dense=DenseFormat(4, 32, scale="linear8", offset=True), k_max=256),
    "long groups": replace(
        PRESETS["fine"], dense=DenseFormat(4, 64, scale="linear8", offset=True), k_max=256
    ),
    "segments": PEConfig(
        SQFormat(64, 1, "int8", "index", "e2m1", 16), DenseFormat(8, 32, scale="linear8"), 32, 2, 256
    ),
}
BOTH = {
    "both": replace(PRESETS["both"], k_max=256),
    "long groups": replace(
        PRESETS["both"], dense=DenseFormat(4, 64, 3, 32, scale="linear8", mask="index"), k_max=256
    ),
    "whole bytes": replace(
        PRESETS["both"], dense=DenseFormat(4, 32, 8, 32, scale="linear8", mask="index"), k_max=256
    ),
}
LENGTHS = (1, 5, 16, 33, 64, 100)
CASES = [(name, bits) for name in UNITS for bits in (32, 128)]
CASES += [(name, 1024) for name in ("short groups", "lean", "fine", "offsets", "segments")]


def engine(name: str, axi_bits: int, units: dict[str, PEConfig] = UNITS) -> EngineConfig:
    return EngineConfig(ArrayConfig(units[name], 2, 2), axi_bits, output_stages=1)


def unpacked(dut, rows: list[bytes], k: int) -> list[list[int]]:
    """Per row the words that come out, taking pieces as they are asked for."""
    words = []

    async def testbench(ctx):
        ctx.set(dut.k, k)
        await ctx.tick().repeat(3)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for row in rows:
            words.append([])
            rest, last = row, False
            while not last:
                count, last = ctx.get(dut.bytes), ctx.get(dut.last)
                piece, rest = rest[:count], rest[count:]
                assert len(piece) == count
                ctx.set(dut.next, 1)
                await ctx.tick()
                ctx.set(dut.next, 0)
                # What follows in the stream must not matter.
                noise = bytes([0xA5]) * (dut.piece_bytes - count)
                ctx.set(dut.piece, int.from_bytes(piece + noise, "little"))
                words[-1].append(ctx.get(Value.cast(dut.word)))
                await ctx.tick()
            assert not rest

    simulate(dut, testbench, limit=5000)
    return words


@pytest.mark.parametrize(("name", "axi_bits"), CASES)
def test_sq_rows(name, axi_bits):
    config = engine(name, axi_bits)
    layout = sq_beat_layout(config.pe)
    size = layout.size - 1
    rng = np.random.default_rng(1)
    compared = 0
    for k in LENGTHS[::2]:
        tensor = random_sq(rng, config.pe.sq, 2, k)
        words = unpacked(SQRows(config), [row.tobytes() for row in pack_sq(tensor)], k)
        for beats, row in zip(sq_beats(config.pe, tensor), words, strict=True):
            got = [
                word >> size * beat & (1 << size) - 1
                for word in row
                for beat in range(config.sq_beats_per_word)
            ]
            assert got[: len(beats)] == [beat & (1 << size) - 1 for beat in beats]
            compared += len(beats)
    assert compared >= 2 * sum(config.beats(k) for k in LENGTHS[::2]) > 0


@pytest.mark.parametrize(("name", "axi_bits"), CASES)
def test_dense_rows(name, axi_bits):
    config = engine(name, axi_bits)
    layout = dense_beat_layout(config.pe)
    rng = np.random.default_rng(2)
    per_word, width = config.dense_beats_per_word, layout["codes"].width
    compared = 0
    for k in LENGTHS:
        tensor = random_dense(rng, config.pe.dense, 2, k)
        words = unpacked(dense_rows(config), [row.tobytes() for row in pack_dense(tensor)], k)
        for beats, row in zip(dense_beats(config.pe, tensor), words, strict=True):
            mask = (1 << width) - 1
            codes = [word >> width * beat & mask for word in row for beat in range(per_word)]
            assert codes[: len(beats)] == [beat & mask for beat in beats]
            if config.pe.dense.group:
                groups, stored = config.dense_groups_per_word, -(-k // config.pe.lanes)
                start, place = width * per_word, width
                for bits in (config.pe.dense.group_scale_bits, *([8] * config.pe.dense.offset)):
                    mask = (1 << bits) - 1
                    found = [
                        word >> start + bits * (beat * groups // per_word) & mask
                        for word in row
                        for beat in range(per_word)
                    ]
                    # What comes behind meets zeros alone.
                    assert found[:stored] == [beat >> place & mask for beat in beats[:stored]]
                    start, place = start + bits * groups, place + bits
            compared += len(beats)
    assert compared == 2 * sum(config.beats(k) for k in LENGTHS) > 0


@pytest.mark.parametrize("axi_bits", [32, 128, 1024])
@pytest.mark.parametrize("name", BOTH)
def test_dense_rows_with_outliers(name, axi_bits):
    config = engine(name, axi_bits, BOTH)
    word_layout, beat_layout = dense_word_layout(config), dense_beat_layout(config.pe)
    width, groups = beat_layout["codes"].width, config.dense_groups_per_word
    rng, compared = np.random.default_rng(3), 0
    for k in LENGTHS:
        tensor = random_dense(rng, config.pe.dense, 2, k)
        rows = unpacked(dense_rows(config), [row.tobytes() for row in pack_dense(tensor)], k)
        for beats, row in zip(dense_beats(config.pe, tensor), rows, strict=True):
            for place, payload in enumerate(beats):
                piece, at = divmod(place, config.dense_beats_per_word)
                word, beat = word_layout.from_bits(row[piece]), beat_layout.from_bits(payload)
                codes = word.codes.as_bits() >> width * at & (1 << width) - 1
                scale = word.group_scale
                scale = scale[at * groups // config.dense_beats_per_word] if groups > 1 else scale
                got = codes, scale, word.index[at].as_bits(), word.high[at].as_bits()
                assert got == (
                    beat.codes.as_bits(),
                    beat.group_scale,
                    beat.index.as_bits(),
                    beat.high.as_bits(),
                )
                compared += 1
    assert compared == 2 * sum(config.beats(k) for k in LENGTHS) > 0


@pytest.mark.parametrize(
    ("kind", "word_bytes", "piece_bytes"),
    [
        (Gearbox, 4, 13),
        (Gearbox, 16, 26),
        (Gearbox, 8, 1),
        (Gearbox, 1, 3),
        (SerialGearbox, 4, 13),
        (SerialGearbox, 8, 1),
        (SerialGearbox, 2, 4),
    ],
)
def test_gearbox(kind, word_bytes, piece_bytes):
    """Pieces of any length, in order, whatever pauses; what follows an aligned one in its word is skipped."""
    rng = random.Random(3)
    dut = kind(word_bytes, piece_bytes)
    pieces, stream = [], b""
    for index in range(60):
        count, align = rng.randint(0, piece_bytes), rng.random() < 0.2 or index == 59
        body = rng.randbytes(count)
        pieces.append((body, align, index == 59))
        stream += body
        if align:
            stream += bytes(-len(stream) % word_bytes)
    received = []

    async def source(ctx):
        words = [stream[at : at + word_bytes] for at in range(0, len(stream), word_bytes)]
        for index, word in enumerate(words):
            while rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.i.p, {"data": int.from_bytes(word, "little"), "last": index == len(words) - 1})
            ctx.set(dut.i.valid, 1)
            *_, ready = await ctx.tick().sample(dut.i.ready)
            while not ready:
                *_, ready = await ctx.tick().sample(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        for body, align, end in pieces:
            request = {"bytes": len(body), "align": align, "end": end}
            ctx.set(Value.cast(dut.request.p), piece_layout(piece_bytes).const(request).as_value().value)
            ctx.set(dut.request.valid, 1)
            *_, ready, early, late = await ctx.tick().sample(dut.request.ready, dut.early, dut.late)
            while not ready:
                *_, ready, early, late = await ctx.tick().sample(dut.request.ready, dut.early, dut.late)
            assert (early, late) == (0, 0)
            ctx.set(dut.request.valid, 0)
            assert ctx.get(dut.o.valid)
            received.append(ctx.get(dut.o.p) & (1 << 8 * len(body)) - 1)

    simulate(dut, source, sink, limit=3000)
    assert received == [int.from_bytes(body, "little") for body, *_ in pieces]
    assert len(received) == 60
