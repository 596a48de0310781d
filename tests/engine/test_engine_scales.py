# amaranth: UnusedElaboratable=no
"""Row scales and group scales in an engine's packets: an illegal one ends the job."""

from dataclasses import replace

import numpy as np
import pytest

from sqhw.config import ArrayConfig
from sqhw.driver.engine import Engine, golden
from sqhw.driver.packets import dense_packet, results, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import Format
from sw_reference.format import DenseFormat
from tests.engine.engine_jobs import (
    CONFIG,
    WORD,
    device,
    errors,
    events,
    operands,
    packets,
    recover,
    run_good,
    start,
)
from tests.reference.cases import random_dense, random_sq


@pytest.fixture
def dut() -> RTLDevice:
    device().reset()
    return device()


def run(dut, sq=b"", dense=b"", **options):
    return dut.run(sq, dense, **{"room": 4096, "cycles": 20_000} | options)


BAD_SCALES = {
    "zero": 0x00000000,
    "negative zero": 0x80000000,
    "subnormal": 0x007FFFFF,
    "smallest subnormal": 0x00000001,
    "negative": 0xBF800000,
    "infinity": 0x7F800000,
    "minus infinity": 0xFF800000,
    "NaN": 0x7FC00000,
    "signalling NaN": 0x7F800001,
}
GOOD_SCALES = {"smallest": 0x00800000, "largest": 0x7F7FFFFF}


def _scale_places(packet, rows, tile, row_bytes):
    """Where the scale of each row lies in a packet."""
    places, at = [], 0
    for first in range(0, rows, tile):
        count = min(tile, rows - first)
        places += [at + 4 * index for index in range(count)]
        at += 4 * count + -(-count * row_bytes // WORD) * WORD
    assert at == len(packet)
    return places


@pytest.mark.parametrize("operand", ["sq", "dense"])
def test_row_scales_are_checked(dut, operand):
    """Any that is not positive, normal and finite ends the job, in whichever row and format of results."""
    rng = np.random.default_rng(12)
    m, n, k = 5, 3, 40
    x, w = operands(rng, m, n, k)
    good = dict(zip(("sq", "dense"), packets(x, w), strict=True))
    row_bytes = {"sq": -(-5 * CONFIG.pe.sq.bank_bits // 8), "dense": 20}[operand]
    places = _scale_places(good[operand], {"sq": m, "dense": n}[operand], 2, row_bytes)
    cases = 0
    for place in places:
        for name, bits in (BAD_SCALES | GOOD_SCALES).items():
            packet = bytearray(good[operand])
            packet[place : place + 4] = bits.to_bytes(4, "little")
            events(dut)
            start(dut, m, n, k, list(Format)[cases % 3])
            reply = run(dut, *(good | {operand: bytes(packet)}).values())
            if name in GOOD_SCALES:
                assert (errors(dut), events(dut), reply.flags.any()) == ([], ["done"], False)
            else:
                assert (errors(dut), events(dut), bool(reply.flags[-1])) == (
                    ["scale"],
                    ["done", "error"],
                    True,
                )
                recover(dut)
            cases += 1
    assert cases == len(places) * 11 > 0
    run_good(dut, rng, (5, 3, 21))


@pytest.mark.slow
@pytest.mark.parametrize("unpacking", ["parallel", "serial"])
def test_padding_and_reserved_bits_of_scales(unpacking):
    """Four scales to a word: what pads it is no scale. A group scale's two reserved bits must be 0."""
    pe = replace(CONFIG.pe, dense=DenseFormat(4, 8))
    config = replace(CONFIG, array=ArrayConfig(pe, 3, 3), axi_bits=128, unpacking=unpacking)
    dut, rng, compared = RTLDevice(config), np.random.default_rng(13), 0
    x, w = random_sq(rng, pe.sq, 4, 20), random_dense(rng, pe.dense, 5, 20)
    sq, dense = sq_packet(config, x), dense_packet(config, w)
    padded = [(sq, 12, 16), (dense, 12, 16), (dense, len(dense) - 16 * 3, len(dense) - 16 * 3)]
    y = Engine(config, dut).matmul(x, w)
    assert y.tobytes() == golden(x, w).tobytes()
    for packet, first, last in padded[:2]:
        noisy = packet[:first] + b"\xff" * (last - first) + packet[last:]
        start(dut, 4, 5, 20)
        reply = dut.run(
            noisy if packet is sq else sq, noisy if packet is dense else dense, room=999, cycles=50_000
        )
        assert errors(dut) == []
        y = results(config, 4, 5, Format.FLOAT32, reply.packet)
        assert y.tobytes() == golden(x, w).tobytes()
        compared += y.size
    assert compared == 40
    # A row of W: three groups of a scale and 4 bytes, the last one of 2.
    for row in range(3):
        for group in range(3):
            for bit in (6, 7):
                place = 16 + 13 * row + 5 * group
                bad = bytearray(dense)
                bad[place] |= 1 << bit
                start(dut, 4, 5, 20)
                reply = dut.run(sq, bytes(bad), room=999, cycles=50_000)
                assert errors(dut) == ["scale"]
                assert reply.flags[-1]
                recover(dut)
