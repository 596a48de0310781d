# amaranth: UnusedElaboratable=no
"""What the engine promises a driver: every start is answered by one event, and nothing wrong goes unsaid."""

import numpy as np
import pytest

from sqhw.driver.engine import golden
from sqhw.driver.packets import dense_packet, results, results_bytes, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import REGISTERS, Format, register
from sqhw.presets import ENGINE_PRESETS
from tests.engine.engine_jobs import (
    ABORT,
    ALL,
    CONFIG,
    RECOVER,
    START,
    WORD,
    device,
    errors,
    events,
    operands,
    packets,
    recover,
    run_good,
    start,
    status,
)

OKAY, SLVERR = 0, 2
LIMITS = {"M": CONFIG.m_max, "N": CONFIG.n_max, "K": CONFIG.pe.k_max, "OUTPUT": max(Format)}


@pytest.fixture
def dut() -> RTLDevice:
    device().reset()
    return device()


def run(dut, sq=b"", dense=b"", **options):
    return dut.run(sq, dense, **{"room": 4096, "cycles": 20_000} | options)


@pytest.mark.parametrize("name", list(LIMITS))
def test_every_bit_of_a_size_counts(dut, name):
    """None is dropped: a size with any bit above its limit begins nothing."""
    refused = 0
    for bit in range(32):
        for low in (0, 1):
            value = 1 << bit | low
            if value <= LIMITS[name]:
                continue
            for register_name, size in ({"M": 2, "N": 2, "K": 8, "OUTPUT": 0} | {name: value}).items():
                dut.write(register_name, size)
            assert dut.read(name) == value
            dut.write("CONTROL", START)
            assert (errors(dut), events(dut), status(dut)) == (["dimensions"], ["done", "error"], [])
            dut.write("ERRORS", ALL)
            refused += 1
    assert refused >= 44
    run_good(dut, np.random.default_rng(1), (2, 3, 20))


def test_a_good_job_is_over_once(dut):
    rng = np.random.default_rng(2)
    for shape in ((1, 1, 1), (9, 7, 100)):
        events(dut)
        run_good(dut, rng, shape)
        assert events(dut) == ["done"]
        run(dut, cycles=200)
        assert events(dut) == []


def _bad_jobs(rng):
    """Name, errors, packets, options of jobs that go wrong in each way there is."""
    x, w = operands(rng, 5, 3, 40)
    sq, dense = packets(x, w)
    cut = 3 * WORD
    yield ["sq_early"], sq[:-cut], dense
    yield ["sq_late"], sq + bytes(cut), dense
    yield ["dense_early"], sq, dense[:-cut]
    yield ["dense_late"], sq, dense + bytes(cut)
    yield ["scale"], bytes(4) + sq[4:], dense


@pytest.mark.parametrize("when", ["at once", "when over"])
@pytest.mark.parametrize("case", range(5))
def test_recovery_takes_effect_whenever_it_is_written(dut, case, when):
    """At the interrupt of the error, while the job is still being ended, or after it."""
    rng = np.random.default_rng(3)
    expected, sq, dense = list(_bad_jobs(rng))[case]
    events(dut)
    start(dut, 5, 3, 40)
    run(dut, sq, dense, pause_out=0.9999999, cycles=3000)  # results wait, so the job cannot be over
    assert (errors(dut), events(dut), status(dut)) == (expected, ["error"], ["busy", "discarding"])
    if when == "at once":
        dut.write("CONTROL", RECOVER)
        assert status(dut) == ["busy", "discarding"]
    assert run(dut).ended
    assert events(dut) == ["done"]
    assert status(dut) == ([] if when == "at once" else ["discarding"])
    if when == "when over":
        dut.write("CONTROL", RECOVER)
    dut.write("ERRORS", ALL)
    assert status(dut) == []
    run_good(dut, rng, (5, 3, 21))


def test_every_way_to_end_is_one_event(dut):
    rng = np.random.default_rng(4)
    seen = set()
    for expected, sq, dense in _bad_jobs(rng):
        events(dut)
        start(dut, 5, 3, 40)
        reply = run(dut, sq, dense)
        assert reply.ended
        assert reply.flags[-1]
        assert (errors(dut), events(dut)) == (expected, ["done", "error"])
        run(dut, cycles=300)
        assert events(dut) == []
        # A start that is refused while streams are discarded has its event, too, and at once.
        dut.write("CONTROL", START)
        assert (errors(dut)[-1], events(dut)) in (
            (expected[-1], ["done", "error"]),
            ("busy", ["done", "error"]),
        )
        recover(dut)
        seen |= set(expected)
    assert len(seen) == 5


def test_a_start_while_a_job_runs_is_answered_by_that_job(dut):
    rng = np.random.default_rng(5)
    x, w = operands(rng, 3, 3, 20)
    start(dut, 3, 3, 20)
    dut.write("CONTROL", START)
    assert (errors(dut), events(dut)) == (["busy"], ["error"])
    run(dut, *packets(x, w), room=9)
    assert events(dut) == ["done"]


@pytest.mark.parametrize("delay", range(5))
def test_an_abort_directly_behind_a_start(dut, delay):
    """Also in the cycles in which the job is prepared."""
    start(dut, 3, 3, 20)
    if delay:
        run(dut, cycles=delay)
    dut.write("CONTROL", ABORT)
    reply = run(dut, cycles=200)
    assert (reply.ended, list(reply.flags)) == (True, [True])
    assert (errors(dut), events(dut), status(dut)) == (["aborted"], ["done", "error"], ["discarding"])
    recover(dut)
    run_good(dut, np.random.default_rng(6), (3, 3, 20))


def test_streams_are_discarded_while_a_job_is_being_ended(dut):
    """STATUS says so: the results' packet cannot leave, and the job is not over."""
    rng = np.random.default_rng(7)
    x, w = operands(rng, 4, 4, 40)
    start(dut, 4, 4, 40)
    run(dut, *packets(x, w), cycles=30, room=1)
    dut.write("CONTROL", ABORT)
    for _ in range(20):
        dut.read("STATUS")  # the sink takes nothing meanwhile
    assert status(dut) == ["busy", "discarding"]
    assert events(dut) == ["error"]
    run(dut)
    assert (status(dut), events(dut)) == (["discarding"], ["done"])


def test_too_few_packets_end_at_the_timeout(dut):
    """Of W or of X, at once or half-way; without a limit the job waits."""
    rng = np.random.default_rng(8)
    x, w = operands(rng, 20, 3, 40)
    sq, dense = packets(x, w)
    for sent, passes in ((sq, 1), (sq, 2), (b"", 1)):
        events(dut)
        start(dut, 20, 3, 40)
        assert not run(dut, sent, dense, passes=passes).ended
        assert (errors(dut), events(dut), status(dut)) == ([], [], ["busy"])
        dut.write("TIMEOUT", 500)
        reply = run(dut, cycles=2000)
        assert (reply.ended, bool(reply.flags[-1])) == (True, True)
        assert (errors(dut), events(dut)) == (["timeout"], ["done", "error"])
        dut.write("TIMEOUT", 0)
        recover(dut)
        run_good(dut, rng, (5, 3, 21))


def test_the_timeout_counts_cycles_without_a_word(dut):
    """A job whose streams pause for less goes on; one whose results are not taken ends once they are."""
    rng = np.random.default_rng(9)
    dut.write("TIMEOUT", 400)
    for pauses in ((0.9, 0.0), (0.0, 0.9), (0.8, 0.8)):
        run_good(dut, rng, (5, 3, 40), pauses=pauses)
    x, w = operands(rng, 8, 8, 40)
    start(dut, 8, 8, 40)
    run(dut, *packets(x, w), cycles=3, room=1)
    while not errors(dut):
        dut.read("ID")
    assert errors(dut) == ["timeout"]
    assert status(dut) == ["busy", "discarding"]
    assert run(dut).ended
    recover(dut)


@pytest.mark.parametrize("extra", [1, 2, 5])
def test_too_many_packets_are_noticed(dut, extra):
    """The job's results are right; what is left is discarded, and the next job finds nothing."""
    rng = np.random.default_rng(10)
    for m, n, k in ((3, 3, 20), (10, 5, 64), (1, 1, 256)):
        x, w = operands(rng, m, n, k)
        events(dut)
        start(dut, m, n, k)
        reply = run(dut, *packets(x, w), passes=CONFIG.passes(m) + extra)
        y = results(CONFIG, m, n, Format.FLOAT32, reply.packet)
        assert y.tobytes() == golden(x, w).tobytes()
        assert not reply.flags.any()
        run(dut, dense_packet(CONFIG, w), cycles=100)
        assert (errors(dut), events(dut), status(dut)) == (["leftover"], ["done", "error"], ["discarding"])
        recover(dut)
        run_good(dut, rng, (5, 3, 21))


def test_another_packet_of_x_is_noticed(dut):
    rng = np.random.default_rng(11)
    x, w = operands(rng, 3, 3, 20)
    sq, dense = packets(x, w)
    start(dut, 3, 3, 20)
    # Its first words come behind the packet's end: the harness marks the end of all of it only.
    run(dut, sq + sq, dense)
    assert errors(dut) == ["sq_late"]
    recover(dut)
    start(dut, 3, 3, 20)
    run(dut, sq, b"", cycles=200)
    run(dut, sq, b"", cycles=200)  # the job still waits for W
    assert errors(dut) == ["leftover"]
    reply = run(dut, b"", dense)
    assert results(CONFIG, 3, 3, Format.FLOAT32, reply.packet).tobytes() == golden(x, w).tobytes()
    assert status(dut) == ["discarding"]
    recover(dut)


def test_unaligned_addresses_are_refused(dut):
    for entry in REGISTERS:
        for offset in (1, 2, 3):
            assert dut.read_address(entry.offset + offset) == (0, SLVERR)
            assert dut.write_address(entry.offset + offset, ALL) == SLVERR
    for name in (*LIMITS, "TIMEOUT", "INTERRUPT_ENABLE"):
        assert dut.read(name) == 0
    assert dut.read("STATUS") == 0


@pytest.mark.parametrize(
    ("output", "pattern"),
    [(Format.FLOAT32, 0x7FC00000), (Format.FLOAT16, 0x7E00), (Format.INT64, 0x8000000000000000)],
)
def test_the_pattern_of_a_flagged_result(dut, output, pattern):
    rng = np.random.default_rng(14)
    x, w = operands(rng, 1, 4, 8)
    sq = bytearray(sq_packet(CONFIG, x))
    sq[4 + 1] = 0xFF  # the bank's bitmap
    start(dut, 1, 4, 8, output)
    reply = run(dut, bytes(sq), dense_packet(CONFIG, w), room=results_bytes(CONFIG, 1, 4, output) // WORD)
    y = results(CONFIG, 1, 4, output, reply.packet)
    assert [int(word) for word in y.view(f"u{y.itemsize}").ravel()] == [pattern] * 4
    assert errors(dut) == ["malformed"]


def test_registers_of_the_contract():
    """What a driver waits for has a name."""
    names = [field.name for field in register("ERRORS").fields]
    assert names[:8] == [
        "sq_early", "sq_late", "dense_early", "dense_late", "malformed", "dimensions", "busy", "aborted",
    ]  # fmt: skip
    assert names[8:] == ["leftover", "timeout", "scale"]
    assert all(register(name).bits == 32 for name in (*LIMITS, "TIMEOUT"))
    assert ENGINE_PRESETS["tiny"] is CONFIG
