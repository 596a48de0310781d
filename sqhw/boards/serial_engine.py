"""An engine on a serial line."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..engine.core import EngineCore
from .bridge import Bridge
from .framing import FrameDecoder, FrameEncoder
from .uart import UARTReceiver, UARTTransmitter

__all__ = ["FramedEngine", "SerialEngine", "patience"]

_PATIENCE_BYTES = 32


def patience(divisor: int) -> int:
    """Cycles to wait for the engine before an answer says how far it came: 32 bytes on the line.

    An answer and another request take about as long without payloads.
    """
    return 10 * divisor * _PATIENCE_BYTES


class FramedEngine(wiring.Component):
    """An :class:`~sqhw.engine.core.EngineCore` that takes requests in frames of bytes and answers in frames.

    Parameters
    ----------
    config
        The engine.
    patience
        Cycles that a request waits for the engine, see :class:`~sqhw.boards.bridge.Bridge`.

    Members
    -------
    i : In(stream.Signature(8)), o : Out(stream.Signature(8))
        From the host, and to it.
    """

    def __init__(self, config: EngineConfig, patience: int):
        self._engine = EngineCore(config)
        self._bridge = Bridge(config.axi_bytes, patience)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = FrameDecoder()
        m.submodules.bridge = bridge = self._bridge
        m.submodules.encoder = encoder = FrameEncoder()
        engine = self._engine
        m.submodules.engine = ResetInserter(bridge.reset)(engine)
        connect(m, flipped(self.i), decoder.i)
        connect(m, decoder.o, bridge.i)
        connect(m, bridge.o, encoder.i)
        connect(m, encoder.o, flipped(self.o))
        connect(m, bridge.registers, engine.registers)
        connect(m, bridge.sq, engine.sq)
        connect(m, bridge.dense, engine.dense)
        connect(m, engine.y, bridge.y)
        m.d.comb += bridge.interrupt.eq(engine.interrupt)
        return m


class SerialEngine(wiring.Component):
    """A :class:`FramedEngine` at a serial line.

    Parameters
    ----------
    config
        The engine.
    divisor
        Cycles per bit of the line, 4 to 65536.

    Members
    -------
    rx : In(1)
        The line from the host; asynchronous.
    tx : Out(1)
        The line to the host.
    """

    def __init__(self, config: EngineConfig, divisor: int):
        self._receiver = UARTReceiver(divisor)
        self._transmitter = UARTTransmitter(divisor)
        self._engine = FramedEngine(config, patience(divisor))
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.engine = engine = self._engine
        m.submodules.transmitter = transmitter = self._transmitter
        connect(m, receiver.o, engine.i)
        connect(m, engine.o, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m
