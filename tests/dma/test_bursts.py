# amaranth: UnusedElaboratable=no
"""Readers and writers of bursts in the Amaranth simulator, with a memory that is slow at random."""

import random
from dataclasses import dataclass, field

import pytest

from sqhw.console import SEED
from sqhw.dma.reader import BurstReader
from sqhw.dma.writer import BurstWriter
from tests.hardware import simulate

WORD = 4
PAGE = 4096


@dataclass
class Seen:
    """What a memory was asked for."""

    bursts: list[tuple[int, int]] = field(default_factory=list)

    def add(self, address: int, words: int, burst: int) -> None:
        assert 1 <= words <= burst
        assert address % WORD == 0
        assert address // PAGE == (address + WORD * words - 1) // PAGE, "burst across a page"
        self.bursts.append((address, words))


def memory_word(address: int) -> int:
    return address * 2654435761 % (1 << 32)


def run_reader(jobs, *, burst, pause, seed, bad=()):
    """Runs jobs of (address, words, times); returns the words with `last`, what was asked for, errors."""
    dut = BurstReader(8 * WORD, 32, burst)
    rng = random.Random(seed)
    seen, queue, received, errors = Seen(), [], [], []
    ended = []

    async def control(ctx):
        for address, words, times in jobs:
            ctx.set(dut.address, address)
            ctx.set(dut.words, words)
            ctx.set(dut.times, times)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while ctx.get(dut.busy):
                await ctx.tick()
        for _ in range(5):
            await ctx.tick()
        ended.append(True)

    async def addresses(ctx):
        while not ended:
            ready = rng.random() >= pause
            ctx.set(dut.ar.ready, ready)
            *_, valid, address, length = await ctx.tick().sample(dut.ar.valid, dut.ar.p.addr, dut.ar.p.len)
            if valid and ready:
                seen.add(address, length + 1, burst)
                queue.extend(address + WORD * word for word in range(length + 1))

    async def words(ctx):
        while not ended:
            send = bool(queue) and rng.random() >= pause
            if send:
                address = queue.pop(0)
                ctx.set(dut.r.p.data, memory_word(address))
                ctx.set(dut.r.p.resp, 2 if address in bad else 0)
            ctx.set(dut.r.valid, send)
            *_, ready, error = await ctx.tick().sample(dut.r.ready, dut.error)
            assert ready
            errors.append(error)

    async def sink(ctx):
        while not ended:
            ready = rng.random() >= pause
            ctx.set(dut.o.ready, ready)
            *_, valid, data, last = await ctx.tick().sample(dut.o.valid, dut.o.p.data, dut.o.p.last)
            if valid and ready:
                received.append((data, last))

    simulate(dut, control, addresses, words, sink, limit=30_000)
    return received, seen.bursts, sum(errors)


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("burst", [2, 16, 256])
def test_packets_arrive_whole(burst, pause):
    rng = random.Random(SEED)
    jobs = [(WORD * rng.randrange(1 << 20), rng.randint(1, 90), rng.randint(1, 3)) for _ in range(6)]
    jobs += [(PAGE - 4, 1, 1), (PAGE - 8, 5, 2), (0, 300, 1), (PAGE, 0, 1), (PAGE, 3, 0)]
    received, bursts, errors = run_reader(jobs, burst=burst, pause=pause, seed=SEED)
    expected = [
        (memory_word(address + WORD * word), int(word == words - 1))
        for address, words, times in jobs
        for _ in range(times)
        for word in range(words)
    ]
    assert received == expected
    assert sum(words for _, words in bursts) == len(expected) > 300
    assert errors == 0


def test_bad_responses_are_told():
    received, _, errors = run_reader([(0, 40, 2)], burst=16, pause=0.2, seed=SEED, bad={8, 92})
    assert errors == 4
    assert len(received) == 80


def test_a_reader_keeps_the_stream_busy():
    """A memory that answers at once: a word per cycle but for the start."""
    received, _, _ = run_reader([(0, 256, 1)], burst=16, pause=0.0, seed=SEED)
    assert len(received) == 256


def run_writer(jobs, *, burst, pause, seed, bad=0):
    """Runs jobs of (address, room, words); returns memory, what was asked for, and counts of events."""
    dut = BurstWriter(8 * WORD, 32, burst)
    rng = random.Random(seed)
    seen, memory, answers, events, ended = Seen(), {}, [], {"error": 0, "overflow": 0, "written": []}, []
    pending = []

    async def control(ctx):
        for address, room, _ in jobs:
            ctx.set(dut.address, address)
            ctx.set(dut.room, room)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while ctx.get(dut.busy):
                await ctx.tick()
            assert not answers
            assert not pending
            events["written"].append(ctx.get(dut.written))
        ended.append(True)

    async def source(ctx):
        for number, (_, _, words) in enumerate(jobs):
            for word in range(words):
                while rng.random() < pause:
                    await ctx.tick()
                ctx.set(dut.i.p.data, number << 16 | word)
                ctx.set(dut.i.p.last, word == words - 1)
                ctx.set(dut.i.valid, 1)
                *_, ready = await ctx.tick().sample(dut.i.ready)
                while not ready:
                    *_, ready = await ctx.tick().sample(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def memory_side(ctx):
        left, at = 0, 0
        while not ended:
            aw, w = rng.random() >= pause, rng.random() >= pause
            answer = bool(answers) and rng.random() >= pause
            ctx.set(dut.aw.ready, aw)
            ctx.set(dut.w.ready, w)
            ctx.set(dut.b.valid, answer)
            if answer:
                ctx.set(dut.b.p, answers.pop(0))
            sampled = (dut.aw.valid, dut.aw.p.addr, dut.aw.p.len, dut.w.valid, dut.w.p.data, dut.w.p.last)
            *_, av, address, length, wv, data, last, error, overflow = await ctx.tick().sample(
                *sampled, dut.error, dut.overflow
            )
            events["error"] += error
            events["overflow"] += overflow
            if av and aw:
                seen.add(address, length + 1, burst)
                pending.append((address, length + 1))
            if wv and w:
                if not left:
                    at, left = pending[0]
                memory[at] = data
                at, left = at + WORD, left - 1
                assert last == (left == 0)
                if last:
                    pending.pop(0)
                    answers.append(2 if len(seen.bursts) <= bad else 0)

    simulate(dut, control, source, memory_side, limit=30_000)
    return memory, seen.bursts, events


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("burst", [2, 16, 256])
def test_packets_are_written_whole(burst, pause):
    rng = random.Random(SEED)
    jobs = [(1 << 20, 1, 1), (PAGE - 4, 9, 9), (0, 300, 300), (1 << 16, 40, 17)]
    jobs += [
        ((2 + number) << 20 | WORD * rng.randrange(1 << 10), 99, rng.randint(1, 90)) for number in range(6)
    ]
    memory, _, events = run_writer(jobs, burst=burst, pause=pause, seed=SEED)
    expected = {
        address + WORD * word: number << 16 | word
        for number, (address, _, words) in enumerate(jobs)
        for word in range(words)
    }
    assert memory == expected
    assert events == {"error": 0, "overflow": 0, "written": [words for _, _, words in jobs]}
    assert len(memory) > 400


def test_what_has_no_room_is_dropped():
    memory, _, events = run_writer([(0, 7, 12), (256, 5, 5), (512, 0, 3)], burst=4, pause=0.3, seed=SEED)
    assert memory == {**{4 * word: word for word in range(7)}, **{256 + 4 * w: 1 << 16 | w for w in range(5)}}
    assert events == {"error": 0, "overflow": 5 + 3, "written": [7, 5, 0]}


def test_bad_answers_are_told():
    _, bursts, events = run_writer([(0, 64, 64)], burst=16, pause=0.2, seed=SEED, bad=2)
    assert len(bursts) == 4
    assert events["error"] >= 1


@pytest.mark.parametrize("burst", [0, 3, 1, 512])
def test_bursts_that_axi_does_not_have(burst):
    for kind in (BurstReader, BurstWriter):
        with pytest.raises(ValueError, match=rf"^Burst must be a power of two from 2 to 256, not {burst}$"):
            kind(32, 32, burst)
