# amaranth: UnusedElaboratable=no
"""The emitted engine, compiled and driven through its AXI ports: right results, bad streams, registers."""

from dataclasses import replace

import numpy as np
import pytest

from sqhw.boards.targets import BOARDS
from sqhw.driver.engine import Engine, golden
from sqhw.driver.packets import dense_packet, results, results_bytes, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import IDENTITY, REGISTERS, Format, constants, register
from tests.engine.engine_jobs import (
    ABORT,
    ALL,
    CONFIG,
    START,
    WORD,
    device,
    errors,
    operands,
    recover,
    run_good,
    start,
)
from tests.reference.cases import random_dense, random_sq

PAUSES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)]
SHAPES = [(1, 1, 1), (2, 2, 8), (3, 5, 13), (1, 7, 100), (9, 1, 64), (8, 6, 256), (17, 9, 33), (24, 3, 7)]


@pytest.fixture
def dut() -> RTLDevice:
    device().reset()
    return device()


@pytest.mark.parametrize("output", list(Format))
def test_results_are_the_golden_models(dut, output):
    """Shapes that are no multiple of anything, jobs back to back, pauses on all streams."""
    rng = np.random.default_rng(5)
    compared = 0
    for shape in SHAPES:
        for pauses in PAUSES:
            compared += run_good(dut, rng, shape, output, pauses)
    assert compared == len(PAUSES) * sum(m * n for m, n, _ in SHAPES) == 1236


def test_counters_add_up(dut):
    rng = np.random.default_rng(6)
    m, n, k = 8, 6, 100
    run_good(dut, rng, (m, n, k))
    counters = {name: dut.read(name) for name in ("CYCLES", "BEATS", "STARVED", "HELD", "GATED")}
    assert counters["BEATS"] == 4 * 3 * CONFIG.beats(k)
    assert counters["BEATS"] + counters["STARVED"] + counters["HELD"] == counters["CYCLES"]
    assert 0 < counters["GATED"] < counters["BEATS"] * CONFIG.array.rows


def test_gated_beats_are_those_without_outliers(dut):
    rng = np.random.default_rng(7)
    x, w = operands(rng, 3, 2, 64)
    start(dut, 3, 2, 64)
    dut.run(sq_packet(CONFIG, x), dense_packet(CONFIG, w), room=6, cycles=10_000)
    busy = x.bitmap.reshape(3, -1, CONFIG.pe.lanes).any(-1).sum()
    assert dut.read("GATED") == dut.read("BEATS") * CONFIG.array.rows - busy


BAD_STREAMS = {
    "sq_early": lambda sq, dense, cut: (sq[:-cut], dense),
    "sq_late": lambda sq, dense, cut: (sq + bytes(cut), dense),
    "dense_early": lambda sq, dense, cut: (sq, dense[:-cut]),
    "dense_late": lambda sq, dense, cut: (sq, dense + bytes(cut)),
}


@pytest.mark.parametrize("error", list(BAD_STREAMS))
def test_a_bad_packet_ends_the_job_and_leaves_nothing_behind(dut, error):
    rng = np.random.default_rng(8)
    for _ in range(12):
        m, n, k = (int(size) for size in rng.integers((2, 2, 9), (20, 20, 200)))
        x, w = operands(rng, m, n, k)
        sq, dense = sq_packet(CONFIG, x), dense_packet(CONFIG, w)
        cut = WORD * int(rng.integers(1, min(len(sq), len(dense)) // WORD))
        bad_sq, bad_dense = BAD_STREAMS[error](sq, dense, cut)
        room = results_bytes(CONFIG, m, n, Format.FLOAT32) // WORD + 1
        dut.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(error=1))
        start(dut, m, n, k)
        reply = dut.run(
            bad_sq, bad_dense, passes=CONFIG.passes(m), room=room, cycles=200_000, pause_in=0.2, pause_out=0.2
        )
        # The packet of results is ended; what is left of the streams is taken and forgotten.
        assert reply.ended
        assert reply.flags[-1]
        assert not reply.flags[:-1].any()
        dut.run(sq[: 9 * WORD], dense[: 5 * WORD], room=1, cycles=100)
        assert register("STATUS").unpack(dut.read("STATUS")) == {"busy": 0, "discarding": 1, "interrupt": 1}
        assert errors(dut) == [error]
        start(dut, m, n, k)
        assert errors(dut) == sorted([error, "busy"], key=list(BAD_STREAMS).__add__(["busy"]).index)
        recover(dut)
        run_good(dut, rng, (5, 3, 21), pauses=(0.2, 0.2))


def packet_of(y: np.ndarray) -> bytes:
    """The packet that holds these float32 results, whose words are as wide."""
    size = results_bytes(CONFIG, *y.shape, Format.FLOAT32)
    places = results(CONFIG, *y.shape, Format.FLOAT32, np.arange(size // 4, dtype=np.uint32).tobytes())
    words = np.zeros(size // 4, np.uint32)
    words[places.view(np.uint32)] = y.view(np.uint32)
    return words.tobytes()


def test_abort_at_any_moment(dut):
    """Tiles that were begun are finished; if more were to come, a word of its own ends the packet."""
    rng = np.random.default_rng(9)
    ends = {"early": 0, "whole": 0}
    for cycles in [*range(1, 1300, 53), *range(1130, 1200, 9)]:
        x, w = operands(rng, 10, 7, 90)
        sq, dense = sq_packet(CONFIG, x), dense_packet(CONFIG, w)
        expected = packet_of(golden(x, w))
        start(dut, 10, 7, 90)
        first = dut.run(sq, dense, passes=2, room=99, cycles=cycles, pause_out=0.3)
        dut.write("CONTROL", ABORT)
        reply = dut.run(sq, dense, room=99, cycles=5000)
        packet = first.packet + reply.packet
        if first.ended or not reply.flags[-1]:
            assert packet == expected
            ends["whole"] += 1
        else:
            assert reply.ended
            assert packet == expected[: len(packet) - WORD] + bytes(WORD)
            ends["early"] += 1
        assert errors(dut) == ([] if first.ended else ["aborted"])
        assert register("STATUS").unpack(dut.read("STATUS"))["discarding"] == 1
        recover(dut)
        run_good(dut, rng, (3, 3, 10))
    assert min(ends.values()) > 3, ends


def test_reset_at_any_moment(dut):
    rng = np.random.default_rng(10)
    for cycles in range(1, 700, 41):
        x, w = operands(rng, 10, 7, 90)
        start(dut, 10, 7, 90)
        dut.run(
            sq_packet(CONFIG, x), dense_packet(CONFIG, w), passes=2, room=70, cycles=cycles, pause_out=0.3
        )
        dut.reset()
        assert (dut.read("STATUS"), dut.read("ERRORS"), dut.read("M")) == (0, 0, 0)
        run_good(dut, rng, (3, 3, 10))


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (257, 1, 1, 0), (1, 257, 1, 0), (1, 1, 257, 0), (1, 1, 1, 3)],
)
def test_a_start_out_of_range_begins_nothing(dut, sizes):
    for name, value in zip(("M", "N", "K", "OUTPUT"), sizes, strict=True):
        dut.write(name, value)
    dut.write("CONTROL", START)
    assert errors(dut) == ["dimensions"]
    assert dut.read("STATUS") == 0
    dut.write("ERRORS", ALL)
    run_good(dut, np.random.default_rng(11), (2, 3, 20))


def test_a_start_while_a_job_runs_changes_nothing(dut):
    rng = np.random.default_rng(12)
    x, w = operands(rng, 4, 4, 40)
    start(dut, 4, 4, 40)
    dut.write("M", 99)
    dut.write("CONTROL", START)
    assert errors(dut) == ["busy"]
    reply = dut.run(sq_packet(CONFIG, x), dense_packet(CONFIG, w), room=16, cycles=10_000)
    assert results(CONFIG, 4, 4, Format.FLOAT32, reply.packet).tobytes() == golden(x, w).tobytes()


@pytest.mark.parametrize("output", list(Format))
def test_a_malformed_bank_voids_its_row_and_no_other(dut, output):
    rng = np.random.default_rng(13)
    x, w = operands(rng, 5, 3, 40)
    sq = bytearray(sq_packet(CONFIG, x))
    # The second tile's first row: behind a tile of two scales and two rows, and its own two scales.
    row_bytes = 5 * CONFIG.pe.sq.bank_bits // 8 + 1
    tile = 8 + -(-2 * row_bytes // WORD) * WORD
    sq[tile + 8 + 1] = 0xFF  # the first bank's bitmap
    start(dut, 5, 3, 40, output)
    room = results_bytes(CONFIG, 5, 3, output) // WORD
    reply = dut.run(bytes(sq), dense_packet(CONFIG, w), passes=1, room=room, cycles=10_000)
    assert errors(dut) == ["malformed"]
    expected = golden(x, w, output)
    expected[2] = -(2**63) if output is Format.INT64 else np.nan
    y = results(CONFIG, 5, 3, output, reply.packet)
    assert y.tobytes() == expected.tobytes()
    assert reply.flags.any()
    dut.write("ERRORS", ALL)
    run_good(dut, rng, (5, 3, 40), output)


def test_interrupt(dut):
    rng = np.random.default_rng(14)
    run_good(dut, rng, (2, 2, 8))
    assert dut.read("INTERRUPT_STATUS") == 1
    assert dut.read("STATUS") == 0
    dut.write("INTERRUPT_ENABLE", 1)
    assert register("STATUS").unpack(dut.read("STATUS"))["interrupt"] == 1
    dut.write("INTERRUPT_STATUS", 1)
    assert (dut.read("INTERRUPT_STATUS"), dut.read("STATUS")) == (0, 0)


def test_every_address(dut):
    """Registers answer as the map says; all other addresses with SLVERR."""
    known = {r.offset: r for r in REGISTERS}
    for address in range(0, 256, 4):
        assert dut.read_address(address)[1] == (0 if address in known else 2)
        writable = address in known and known[address].access != "ro"
        assert dut.write_address(address, 0) == (0 if writable else 2)
    for name, value in constants(CONFIG).items():
        assert dut.read(name) == value
    assert dut.read("ID") == IDENTITY
    for name in ("M", "N", "K", "OUTPUT", "INTERRUPT_ENABLE"):
        mask = (1 << register(name).bits) - 1
        dut.write(name, ALL)
        assert dut.read(name) == mask
        dut.write(name, 0)


@pytest.mark.slow
def test_serial_output_and_unpacking():
    """The iCEBreaker's engine, all formats of results."""
    config = BOARDS["icebreaker"].config
    rtl, rng, compared = Engine(config, "rtl"), np.random.default_rng(11), 0
    for shape in ((1, 1, 1), (3, 5, 13), (9, 7, 128), (128, 3, 40), (2, 128, 64)):
        x, w = random_sq(rng, config.pe.sq, *shape[::2]), random_dense(rng, config.pe.dense, *shape[1:])
        for output in Format:
            y = rtl.matmul(x, w, output)
            assert y.tobytes() == golden(x, w, output).tobytes()
            compared += y.size
    assert compared == 3 * (1 + 15 + 63 + 384 + 256)


@pytest.mark.slow
def test_an_array_with_a_long_pipeline():
    pe = replace(CONFIG.pe, pipeline="long")
    config = replace(CONFIG, array=replace(CONFIG.array, pe=pe))
    rtl, rng, compared = Engine(config, "rtl"), np.random.default_rng(12), 0
    for shape in ((1, 1, 1), (3, 5, 13), (9, 7, 128), (33, 12, 8)):
        x, w = operands(rng, *shape)
        y = rtl.matmul(x, w)
        assert y.tobytes() == golden(x, w, Format.FLOAT32).tobytes()
        compared += y.size
    assert compared == 1 + 15 + 63 + 396
