"""Credit-based flow control: a queue behind what cannot stop, and a counter of the room in it."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["CreditQueue", "Credits"]


class CreditQueue(wiring.Component):
    """A FIFO without backpressure: whoever sends has a credit for each payload on its way and in here.

    It writes in every cycle and counts what is valid, so that nothing is broadcast to its places but their
    addresses, which are registers.

    Latency: :attr:`latency` cycle. Throughput: one payload per cycle.

    Parameters
    ----------
    shape
        Of the payload.
    credits
        The most payloads that are in here at a time, at least 1. A further one is lost, and others with it.

    Members
    -------
    i : In(stream.Signature(shape, always_ready=True))
    o : Out(stream.Signature(shape))
        ``valid`` is a register.
    """

    latency = 1

    def __init__(self, shape: Shape, credits: int):
        self._shape, self._credits = shape, credits
        super().__init__(
            {
                "i": In(stream.Signature(shape, always_ready=True)),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = 1 << ceil_log2(self._credits + 1)  # one place is always being written
        m.submodules.places = places = memory.Memory(shape=self._shape, depth=depth, init=[])
        write = places.write_port()
        read = places.read_port(domain="comb")
        level = Signal(range(depth))
        valid, take = Signal(name="valid"), Signal(name="take")
        m.d.comb += [
            take.eq(valid & self.o.ready),
            write.en.eq(1),
            write.data.eq(self.i.payload),
            self.o.payload.eq(read.data),
            self.o.valid.eq(valid),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.i.valid),
            read.addr.eq(read.addr + take),
            level.eq(level + self.i.valid - take),
        ]
        with m.If(self.i.valid):
            m.d.sync += valid.eq(1)
        with m.Elif(take):
            m.d.sync += valid.eq(level != 1)
        return m


class Credits(wiring.Component):
    """Counts the payloads that may still be sent.

    Parameters
    ----------
    credits
        At the beginning, at least 1.

    Members
    -------
    spend : In(1)
        A payload is sent; only while ``left``.
    give : In(1)
        A payload has left the queue.
    left : Out(1)
        There is a credit. Registered.
    """

    def __init__(self, credits: int):
        self._credits = credits
        super().__init__({"spend": In(1), "give": In(1), "left": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(self._credits + 1), init=self._credits)
        m.d.sync += count.eq(count + self.give - self.spend)
        with m.If(self.give):
            m.d.sync += self.left.eq(1)
        with m.Elif(self.spend):
            m.d.sync += self.left.eq(count != 1)
        return m
