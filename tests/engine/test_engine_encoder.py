# amaranth: UnusedElaboratable=no
"""An engine with an encoder, emitted and compiled: X as rows of FP16, bit for bit the golden model's."""

from dataclasses import replace
from functools import cache

import ml_dtypes
import numpy as np
import pytest

from sqhw.driver.engine import Engine, golden
from sqhw.driver.packets import as_rows, dense_packet, results, results_bytes, row_packet, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import Format, Input, register
from sqhw.presets import engine_preset
from sw_reference.activations import load_activations
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.encoder.rows import edge_rows
from tests.engine.engine_jobs import ALL, START, errors, recover, status

CONFIG = engine_preset("encoder")
WORD = CONFIG.axi_bytes
PAUSES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)]
SHAPES = [(1, 1, 1), (3, 5, 13), (2, 2, 32), (9, 7, 300), (17, 3, 1024), (35, 4, 70), (16, 3, 8)]


@cache
def device() -> RTLDevice:
    return RTLDevice(CONFIG)


@pytest.fixture
def dut() -> RTLDevice:
    device().reset()
    return device()


def numbers(rng, m, k):
    return np.clip(rng.standard_t(1.5, (m, k)), -65504, 65504).astype(np.float16)


def weights(rng, n, k):
    return quantize_dense(rng.standard_normal((n, k)).astype(np.float32), CONFIG.pe.dense)


def expected(rows, w, output=Format.FLOAT32):
    return golden(quantize_sq(rows, CONFIG.pe.sq, scale="saturating"), w, output)


def start(dut, m, n, k, output=Format.FLOAT32, way=Input.ROWS):
    settings = {"M": m, "N": n, "K": k, "OUTPUT": output, "INPUT": way, "CONTROL": START}
    for name, value in settings.items():
        assert dut.write(name, int(value)) == 0


def send(dut, packet, w, m, output=Format.FLOAT32, pauses=(0.0, 0.0), seed=1):
    """Sends a packet of X and the weights; returns the reply."""
    return dut.run(
        packet,
        dense_packet(CONFIG, w),
        passes=CONFIG.passes(m),
        room=results_bytes(CONFIG, m, w.rows, output) // WORD,
        cycles=100_000,
        pause_in=pauses[0],
        pause_out=pauses[1],
        seed=seed,
    )


def run_good(dut, rng, m, n, k, output=Format.FLOAT32, pauses=(0.0, 0.0)):
    """Runs a job of rows, compares its results bit for bit; returns how many."""
    rows, w = numbers(rng, m, k), weights(rng, n, k)
    start(dut, m, n, k, output)
    reply = send(dut, row_packet(CONFIG, rows), w, m, output, pauses, int(rng.integers(1 << 30)))
    assert reply.ended
    assert not reply.flags.any()
    assert results(CONFIG, m, n, output, reply.packet).tobytes() == expected(rows, w, output).tobytes()
    assert (errors(dut), status(dut)) == ([], [])
    return m * n


@pytest.mark.parametrize("output", list(Format))
def test_results_are_the_golden_models(dut, output):
    """Shapes that are no multiple of anything, several blocks, jobs back to back, pauses on all streams."""
    rng, compared = np.random.default_rng(1), 0
    for shape in SHAPES:
        for pauses in PAUSES:
            compared += run_good(dut, rng, *shape, output, pauses)
    assert compared == len(PAUSES) * sum(m * n for m, n, _ in SHAPES) == 1288


def test_both_ways_in_turn(dut):
    rng, compared = np.random.default_rng(2), 0
    for shape in SHAPES:
        compared += run_good(dut, rng, *shape)
        m, n, k = shape
        x, w = quantize_sq(numbers(rng, m, k), CONFIG.pe.sq), weights(rng, n, k)
        start(dut, m, n, k, way=Input.PACKED)
        reply = send(dut, sq_packet(CONFIG, x), w, m)
        y = results(CONFIG, m, n, Format.FLOAT32, reply.packet)
        assert y.tobytes() == golden(x, w).tobytes()
        compared += y.size
    assert compared == 2 * sum(m * n for m, n, _ in SHAPES) == 644


def test_edge_rows_and_real_activations(dut):
    """Exact sums: zeros, ties, subnormal numbers, extremes; and every captured input of a layer."""
    rng, compared = np.random.default_rng(3), 0
    cases = [np.stack(list(edge_rows(96).values()))]
    cases += [site.x[:4, :1536].astype(np.float16) for site in load_activations().sites]
    for rows in cases:
        w = weights(rng, 3, rows.shape[1])
        start(dut, len(rows), 3, rows.shape[1], Format.INT64)
        reply = send(dut, row_packet(CONFIG, rows), w, len(rows), Format.INT64)
        y = results(CONFIG, len(rows), 3, Format.INT64, reply.packet)
        assert y.tobytes() == expected(rows, w, Format.INT64).tobytes()
        compared += y.size
    assert compared == 3 * (len(edge_rows(96)) + 4 * 12)


@pytest.mark.parametrize("output", list(Format))
def test_a_row_that_is_no_number_is_flagged_and_no_other(dut, output):
    rng, compared = np.random.default_rng(4), 0
    void = np.iinfo(np.int64).min if output is Format.INT64 else np.nan
    for special in (np.nan, np.inf, -np.inf):
        rows, w = numbers(rng, 21, 70), weights(rng, 5, 70)
        clean = rows.copy()
        bad = rng.choice(21, 5, replace=False)
        rows[bad, rng.integers(0, 70, 5)] = special
        clean[bad] = 0
        start(dut, 21, 5, 70, output)
        reply = send(dut, row_packet(CONFIG, rows), w, 21, output, (0.2, 0.2))
        y, wanted = results(CONFIG, 21, 5, output, reply.packet), expected(clean, w, output)
        wanted[bad] = void
        assert y.tobytes() == wanted.tobytes()
        assert reply.flags.sum() * len(rows) == 5 * len(reply.flags)
        assert errors(dut) == ["malformed"]
        dut.write("ERRORS", ALL)
        compared += y.size + run_good(dut, rng, 21, 5, 70, output)
    assert compared == 3 * 2 * 105


def test_what_pads_a_row_does_not_matter(dut):
    rng, compared = np.random.default_rng(5), 0
    for k in (1, 7, 8, 9, 31, 33, 70):
        rows, w = numbers(rng, 5, k), weights(rng, 3, k)
        packet = np.frombuffer(row_packet(CONFIG, rows), np.uint16).reshape(5, -1).copy()
        packet[:, k:] = rng.integers(0, 1 << 16, packet[:, k:].shape)
        start(dut, 5, 3, k)
        reply = send(dut, packet.tobytes(), w, 5)
        assert results(CONFIG, 5, 3, Format.FLOAT32, reply.packet).tobytes() == expected(rows, w).tobytes()
        compared += 15
    assert compared == 105


@pytest.mark.parametrize("error", ["sq_early", "sq_late"])
def test_a_bad_packet_ends_the_job_and_leaves_nothing_behind(dut, error):
    rng, compared = np.random.default_rng(6), 0
    for _ in range(8):
        m, n, k = (int(size) for size in rng.integers((2, 2, 9), (40, 10, 200)))
        packet, w = row_packet(CONFIG, numbers(rng, m, k)), weights(rng, n, k)
        cut = WORD * int(rng.integers(1, len(packet) // WORD))
        start(dut, m, n, k)
        reply = send(dut, packet[:-cut] if error == "sq_early" else packet + bytes(cut), w, m)
        assert reply.flags[-1]
        assert errors(dut) == [error]
        assert status(dut) == ["discarding"]
        recover(dut)
        compared += run_good(dut, rng, 5, 3, 21, pauses=(0.2, 0.2))
    assert compared == 8 * 15


def test_words_behind_the_packet_are_left_over(dut):
    rng = np.random.default_rng(7)
    rows, w = numbers(rng, 3, 40), weights(rng, 4, 40)
    start(dut, 3, 4, 40)
    packet = row_packet(CONFIG, rows)
    device_packets = dense_packet(CONFIG, w)
    dut.run(packet, b"", room=1, cycles=300)
    reply = dut.run(packet, device_packets, room=6, cycles=5000)
    assert results(CONFIG, 3, 4, Format.FLOAT32, reply.packet).tobytes() == expected(rows, w).tobytes()
    assert errors(dut) == ["leftover"]
    recover(dut)
    run_good(dut, rng, 3, 4, 40)


def test_abort_and_reset_at_any_moment(dut):
    rng, compared = np.random.default_rng(8), 0
    for cycles in range(1, 700, 47):
        rows, w = numbers(rng, 20, 90), weights(rng, 7, 90)
        start(dut, 20, 7, 90)
        dut.run(row_packet(CONFIG, rows), dense_packet(CONFIG, w), passes=2, room=900, cycles=cycles)
        if cycles % 2:
            dut.write("CONTROL", register("CONTROL").pack(abort=1))
            dut.run(b"", b"", room=900, cycles=5000)
            recover(dut)
        else:
            dut.reset()
        compared += run_good(dut, rng, 3, 3, 40)
    assert compared == 15 * 9


def test_an_unknown_input_begins_nothing(dut):
    for way in (2, ALL):
        start(dut, 1, 1, 1, way=way)
        assert errors(dut) == ["dimensions"]
        assert status(dut) == []
        dut.write("ERRORS", ALL)
    assert dut.read("ENCODER") == CONFIG.encoder == 8
    run_good(dut, np.random.default_rng(9), 2, 3, 20)


def test_numbers_come_as_fast_as_their_words(dut):
    """An encoder of as many elements as a word has: a cycle per word of X, then the last row leaves it."""
    rng = np.random.default_rng(10)
    m, k = 16, 1024
    engine = Engine(CONFIG, dut)
    engine.matmul(numbers(rng, m, k).astype(np.float32), rng.standard_normal((1, k)))
    assert engine.statistics is not None
    words = (m + 1) * k // 8
    assert words < engine.statistics.cycles < words + 96


def test_engine_is_one_interface():
    """Floats are rounded to FP16, and the two backends agree; tensors go packed."""
    rng, compared = np.random.default_rng(11), 0
    x, w = rng.standard_t(2, (7, 60)), rng.standard_normal((5, 60))
    rtl, model = Engine(CONFIG, device()), Engine(CONFIG)
    rows = x.astype(np.float16)
    for output in Format:
        y = model.matmul(x, w, output)
        assert y.tobytes() == expected(rows, quantize_dense(w, CONFIG.pe.dense), output).tobytes()
        for weight in (w, rtl.pack(w)):
            assert rtl.matmul(x, weight, output).tobytes() == y.tobytes()
            compared += y.size
        tensor = quantize_sq(x, CONFIG.pe.sq)
        assert rtl.matmul(tensor, w, output).tobytes() == model.matmul(tensor, w, output).tobytes()
        compared += y.size
    assert compared == 3 * 3 * 35


def test_engine_refuses():
    model, rtl = Engine(CONFIG), Engine(CONFIG, device())
    x, w = np.ones((2, 16)), np.ones((3, 16))
    for engine in (model, rtl):
        with pytest.raises(ValueError, match=r"^Both operands must have the same K, not 16 and 8$"):
            engine.matmul(x, w[:, :8])
        message = r"^Row 1, column 2: an element must be a finite FP16, not 65520.0$"
        with pytest.raises(ValueError, match=message):
            engine.matmul(np.where(np.arange(32).reshape(2, 16) == 18, 65520.0, 1), w)
        with pytest.raises(ValueError, match=r"^Row 0, column 0: an element must be a finite float32"):
            engine.matmul(x * np.nan, w)
        with pytest.raises(ValueError, match=r"^K must be from 1 to 2048, not 2049$"):
            engine.matmul(np.ones((1, 2049)), np.ones((1, 2049)))
    with pytest.raises(ValueError, match=r"^Engine must have an encoder to take rows of numbers$"):
        row_packet(engine_preset("tiny"), np.ones((1, 1), np.float16))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "axi_bits", "elements"), [("bf16", 512, 8), ("float32", 128, 4)])
def test_rows_of_other_numbers(name, axi_bits, elements):
    """Of BF16 an encoder that takes a word in four cycles; of float32 one that takes one in each."""
    config = replace(
        CONFIG,
        array=replace(CONFIG.array, pe=replace(CONFIG.pe, k_max=512)),
        axi_bits=axi_bits,
        encoder=elements,
        input=name,
    )
    rng, compared = np.random.default_rng(12), 0
    with Engine(config, "rtl") as rtl:
        model = Engine(config)
        for m, n, k in [*SHAPES[:4], (21, 4, 512)]:
            x = rng.standard_t(1.5, (m, k)) * 10.0 ** rng.uniform(-38, 30, (m, 1))
            w = rng.standard_normal((n, k))
            for output in Format:
                y = rtl.matmul(x, w, output)
                assert y.tobytes() == model.matmul(x, w, output).tobytes()
                compared += y.size
    assert compared == 3 * (1 + 15 + 4 + 63 + 84)


def test_floats_are_rounded_to_what_rows_are_made_of():
    x = np.float64([[1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-20, 2.0**-133, 0, 3.3895e38]])
    bf16 = as_rows(replace(CONFIG, input="bf16"), x)
    assert bf16.tobytes() == x.astype(ml_dtypes.bfloat16).astype(np.float32).tobytes()
    assert as_rows(replace(CONFIG, encoder=4, input="float32"), x).tobytes() == x.astype(np.float32).tobytes()
    message = r"^Row 0, column 0: an element must be a finite BF16, not 3.4e\+38$"
    with pytest.raises(ValueError, match=message):
        as_rows(replace(CONFIG, input="bf16"), np.full((1, 1), 3.4e38))
