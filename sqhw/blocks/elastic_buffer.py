"""Elastic buffer: two places in a stream's way, so that neither side waits for the other within a cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ElasticBuffer"]


class ElasticBuffer(wiring.Component):
    """A FIFO of two payloads whose ``i.ready`` and ``o.valid`` are registers themselves.

    Latency: :attr:`latency` cycle. Throughput: one payload per cycle. Backpressure: full; no combinational
    path between the streams' handshakes.

    Parameters
    ----------
    shape
        Of the payload.

    Members
    -------
    i : In(stream.Signature(shape)), o : Out(stream.Signature(shape))
    """

    latency = 1

    def __init__(self, shape: Shape):
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.places = places = memory.Memory(shape=self._shape, depth=2, init=[])
        write, read = places.write_port(), places.read_port(domain="comb")
        ready, valid = Signal(init=1), Signal()
        put, take = Signal(), Signal()
        m.d.comb += [
            put.eq(self.i.valid & ready),
            take.eq(valid & self.o.ready),
            write.en.eq(put),
            write.data.eq(self.i.payload),
            self.i.ready.eq(ready),
            self.o.payload.eq(read.data),
            self.o.valid.eq(valid),
        ]
        m.d.sync += [write.addr.eq(write.addr ^ put), read.addr.eq(read.addr ^ take)]
        with m.If(put & ~take):
            m.d.sync += [valid.eq(1), ready.eq(~valid)]
        with m.If(take & ~put):
            m.d.sync += [ready.eq(1), valid.eq(~ready)]
        return m
