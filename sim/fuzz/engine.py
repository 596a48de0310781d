"""Fuzzing of an engine: random packets, registers, aborts and resets, from which it must recover.

And jobs that are nearly right, run by a driver that reacts at every interrupt at once: nothing wrong leaves
without a flag or an error.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sim.traffic.engine_jobs import ABORT, ALL, OKAY, RECOVER, SLVERR, Job, found, starting
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import Format, Input, register, registers_of
from sqhw.presets import ENGINE_PRESETS, PRESETS
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["CONFIGS", "engine_rounds"]

_LEAN = replace(PRESETS["lean"], dense=DenseFormat(4, 32, scale="linear8", offset=True), k_max=256)
CONFIGS: dict[str, EngineConfig] = {
    "engine": ENGINE_PRESETS["tiny"],
    "one-step engine": EngineConfig(
        ArrayConfig(_LEAN, 2, 2), axi_bits=256, block_tiles=2, m_max=64, n_max=64, output_stages=2
    ),
    "engine of rows": EngineConfig(
        ArrayConfig(
            PEConfig(
                SQFormat(8, 1, "int8", "index", "e2m1s"),
                DenseFormat(4, 8, 2, 8, "linear8", mask="index"),
                lanes=8,
                outlier_lanes=1,
                k_max=128,
            ),
            2,
            2,
        ),
        axi_bits=64,
        block_tiles=2,
        m_max=64,
        n_max=64,
        output_stages=1,
        encoder=2,
    ),
}
"""An engine of each kind of unit; the second one unpacks several groups at a time, with offsets; X of the
third comes packed or as rows, and W has outliers."""
PATIENCE = 20_000
"""Cycles in which an engine that was told to stop must have stopped."""
PAUSES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.3, 0.4))


def engine_rounds(config: EngineConfig, device: RTLDevice, words: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row per round: random traffic, recovery as documented, a job that must be right.

    Goes on until the good jobs have taken `words` words. Of the others' packets, ``garbage`` counts the words
    that were at the ports; the engine takes as many of them as it likes.
    """
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    taken = number = 0
    while taken < words:
        start = device.cycles
        garbage, accesses = _garbage(config, device, rng)
        reset = rng.random() < 0.1
        if reset:
            device.reset()
        hung = not reset and not _recover(device)
        row = {"round": number, "garbage": garbage, "accesses": accesses, "resets": int(reset)}
        row |= {"hangs": int(hung), "words": 0, "compared": 0, "wrong": 0}
        if not hung:
            row |= _job(config, device, rng, numbers)
            row |= {name: row[name] + count for name, count in _odd_job(config, device, rng, numbers).items()}
            hung = row["hangs"] > 0
        yield row | {"cycles": device.cycles - start}
        taken += row["words"]
        number += 1
        if hung:
            return


def _pauses(rng: random.Random) -> dict[str, Any]:
    low, high = rng.choice(PAUSES)
    return {"pause_in": low, "pause_out": high, "seed": rng.randrange(1, 1 << 30)}


def _access(config: EngineConfig, device: RTLDevice, rng: random.Random) -> int:
    """Reads and writes any address; each must be answered as the map says. Returns how many there were."""
    count, known = rng.randrange(8), registers_of(config)
    for _ in range(count):
        address = rng.choice([rng.randrange(256), rng.choice(known).offset])
        entry = found(address, known)
        if rng.random() < 0.5:
            answer, legal = device.read_address(address)[1], entry is not None
        else:
            value = rng.choice([rng.getrandbits(32), rng.randrange(8)])
            answer, legal = device.write_address(address, value), entry is not None and entry.access != "ro"
        if answer != (OKAY if legal else SLVERR):
            raise AssertionError(f"Address {address} was answered with {answer}")
    return count


def _garbage(config: EngineConfig, device: RTLDevice, rng: random.Random) -> tuple[int, int]:
    """A job of random size, perhaps one out of range, and packets of random bytes and lengths."""
    accesses = _access(config, device, rng)
    choices = (rng.randrange(1, 40), rng.getrandbits(9), rng.getrandbits(32))
    m, n, k = (rng.choice(choices) for _ in range(3))
    device.write("TIMEOUT", rng.choice([0, 9, 500]))
    for name, value in starting(m, n, k, rng.choice([rng.randrange(4), rng.getrandbits(32)])):
        device.write(name, value)
    words, size = 0, config.axi_bytes
    for _ in range(rng.randrange(1, 4)):
        sq, dense = (rng.randbytes(size * rng.randrange(1, 600)) for _ in range(2))
        limits: dict[str, Any] = {"room": rng.randrange(1, 2000), "cycles": rng.randrange(20, 3000)}
        start = device.cycles
        device.run(sq, dense, passes=rng.randrange(1, 3), **limits, **_pauses(rng))
        words += sum(min(len(packet) // size, device.cycles - start) for packet in (sq, dense))
        accesses += _access(config, device, rng)
    return words, accesses


def _recover(device: RTLDevice) -> bool:
    """Ends whatever runs, as docs/engine.md tells; returns whether the engine is idle then."""
    device.write("CONTROL", ABORT)
    end = device.cycles + PATIENCE
    while register("STATUS").unpack(device.read("STATUS"))["busy"] and device.cycles < end:
        device.run(b"", b"", room=1000, cycles=200)
    for name, value in (("TIMEOUT", 0), ("CONTROL", RECOVER), ("ERRORS", ALL), ("INTERRUPT_STATUS", ALL)):
        device.write(name, value)
    return (device.read("STATUS"), device.read("ERRORS")) == (0, 0)


def _any_job(
    config: EngineConfig,
    device: RTLDevice,
    rng: random.Random,
    numbers: np.random.Generator,
    m: int,
    n: int,
    k: int,
) -> Job:
    """A product of any legal codes, or of rows where the engine has an encoder, which it is told."""
    if config.encoder is None:
        return Job.of_codes(config, numbers, m, n, k)
    rows = rng.random() < 0.7
    device.write("INPUT", Input.ROWS if rows else Input.PACKED)
    return (Job.of_rows if rows else Job.of_codes)(config, numbers, m, n, k)


def _job(
    config: EngineConfig, device: RTLDevice, rng: random.Random, numbers: np.random.Generator
) -> dict[str, int]:
    """A good job; returns the words it took, the results compared, and how many were wrong."""
    m, n, k = rng.randrange(1, 20), rng.randrange(1, 12), rng.randrange(1, 100)
    output = rng.choice(list(Format))
    job = replace(_any_job(config, device, rng, numbers, m, n, k), output=output)
    device.write("TIMEOUT", 0)
    for name, value in starting(m, n, k, output):
        device.write(name, value)
    sq, dense = job.packets
    limits = {"room": job.words, "cycles": 200_000}
    reply = device.run(sq, dense, passes=job.passes, **limits, **_pauses(rng))
    counts = {
        "words": (len(sq) + job.passes * len(dense)) // config.axi_bytes,
        "compared": m * n,
        "wrong": m * n,
    }
    status, errors = register("STATUS").unpack(device.read("STATUS")), device.read("ERRORS")
    idle = not status["busy"] and not status["discarding"]
    if reply.ended and not reply.flags.any() and idle and not errors:
        counts["wrong"] = job.wrong(reply.packet)
    return counts


def _odd_job(
    config: EngineConfig, device: RTLDevice, rng: random.Random, numbers: np.random.Generator
) -> dict[str, int]:
    """A job that is nearly right: a packet too few, too many or late, or with a scale that is none.

    The driver looks at INTERRUPT_STATUS every few cycles and does what the page says at once. The job must be
    over in time, and where ERRORS has nothing by then, every result must be right.
    """
    sizes = rng.randrange(1, 20), rng.randrange(1, 12), rng.randrange(1, 100)
    job = replace(_any_job(config, device, rng, numbers, *sizes), output=rng.choice(list(Format)))
    packets = [_bad_scale(packet, rng) if rng.random() < 0.2 else packet for packet in job.packets]
    passes = max(0, job.passes + rng.choice([-1, 0, 0, 1, 2]))
    queues = [packets[0]] * rng.choice([1] * 9 + [2]), [packets[1]] * passes
    for name, value in (("INTERRUPT_STATUS", ALL), ("TIMEOUT", rng.randrange(300, 2000))):
        device.write(name, value)
    for name, value in starting(*job.sizes, job.output):
        device.write(name, value)
    received, errors, end, size = b"", 0, device.cycles + PATIENCE, config.axi_bytes
    while device.cycles < end:
        heads = [queue[0] if queue and rng.random() < 0.9 else b"" for queue in queues]
        reply = device.run(*heads, room=4096, cycles=rng.randrange(1, 400), **_pauses(rng))
        received += reply.packet
        for queue, head, taken in zip(queues, heads, reply.taken, strict=True):
            if head:
                queue[:1] = [head[taken * size :]] if taken * size < len(head) else []
        events = register("INTERRUPT_STATUS").unpack(device.read("INTERRUPT_STATUS"))
        device.write("INTERRUPT_STATUS", ALL)
        errors |= device.read("ERRORS")
        if events["error"]:
            device.write("ERRORS", ALL)
            device.write("CONTROL", RECOVER)
        if events["done"]:
            device.write("CONTROL", RECOVER)
            if errors or packets != list(job.packets):  # another scale that is legal gives other numbers
                return {}
            return {"compared": sizes[0] * sizes[1], "wrong": job.wrong(received)}
    return {"hangs": 1}


def _bad_scale(packet: bytes, rng: random.Random) -> bytes:
    """Another first row scale."""
    scale = rng.choice([0, 1, 0x80000000, 0x7F800000, 0x7FC00000, rng.getrandbits(32)])
    return scale.to_bytes(4, "little") + packet[4:]
