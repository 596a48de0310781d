"""What benches of the DMA refuse: bursts that AXI4 does not have, words without an address, wrong ends."""

import random

import pytest

from sim.bench.memories import Bursts, ReadMemory, WriteMemory
from sim.report import Failure
from sim.traffic.transfers import random_read, random_write

SHAPE = Bursts(data_bits=32, address_bits=16, most=8)


class Ports(dict):
    """Ports that hold what they are set to."""

    def set(self, name, value):
        self[name] = int(value)

    def get(self, name):
        return self[name]


def cycles(memory, ports: Ports) -> None:
    """Three of them."""
    for _ in range(3):
        memory.before(ports, random.Random(0))
        memory.after(ports)


def burst(address: int, words: int) -> int:
    return address | words - 1 << SHAPE.address_bits


@pytest.mark.parametrize(("address", "words"), [(0, 1), (4096 - 32, 8), (0xFFFC, 1)])
def test_bursts_that_are_legal(address, words):
    assert SHAPE.read(burst(address, words)) == (address, words)


@pytest.mark.parametrize(
    ("address", "words", "message"),
    [
        (2, 1, "A burst of 1 words at 0x2"),
        (0, 9, "A burst of 9 words at 0x0"),
        (4096 - 28, 8, "A burst of 8 words at 0xfe4 leaves its page"),
    ],
)
def test_bursts_that_are_not(address, words, message):
    with pytest.raises(Failure, match=f"^{message}$"):
        SHAPE.read(burst(address, words))


def test_a_memory_that_is_read_sends_what_it_was_asked_for():
    memory, rng = ReadMemory(SHAPE, lambda address: (address, address // 4 % 2)), random.Random(0)
    ports = Ports(ar__valid=1, ar__payload=burst(0xFFF8, 2), r__ready=1)
    sent = []
    for cycle in range(4):
        memory.before(ports, rng)
        if ports["r__valid"]:
            sent.append(ports["r__payload"])
        memory.after(ports)
        ports["ar__valid"] = 0
        assert memory.bursts == [(0xFFF8, 2)], cycle
    assert sent == [0xFFF8, 0xFFFC | 1 << 32]
    assert memory.bad == 1


def test_a_reader_without_room_is_a_failure():
    memory = ReadMemory(SHAPE, lambda address: (address, 0))
    ports = Ports(ar__valid=1, ar__payload=burst(0, 1), r__ready=0)
    with pytest.raises(Failure, match=r"^There is no room for a word that was asked for$"):
        cycles(memory, ports)


@pytest.mark.parametrize(
    ("address", "word", "message"),
    [
        (0, 5 | 1 << 32, "A word without an address"),
        (1, 5 | 1 << 32, "Word 1 of a burst of 2 words has the wrong end"),
    ],
)
def test_words_that_a_writer_may_not_send(address, word, message):
    memory = WriteMemory(SHAPE, lambda: 0)
    ports = Ports(aw__valid=address, aw__payload=burst(0, 2), w__valid=1, w__payload=word)
    with pytest.raises(Failure, match=f"^{message}$"):
        cycles(memory, ports)


def test_transfers_of_every_kind():
    rng = random.Random(0)
    reads, writes = ([make(SHAPE, rng) for _ in range(400)] for make in (random_read, random_write))
    assert {read.times for read in reads} == {0, 1, 2, 3}
    assert min(read.words for read in reads) == 0
    assert {write.room < write.words for write in writes} == {True, False}
    assert all(0 <= job.address < 1 << SHAPE.address_bits for job in (*reads, *writes))
