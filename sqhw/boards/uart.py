"""A serial line of 8 data bits, no parity, one stop bit: receiver and transmitter."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import cdc, stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

__all__ = ["UARTReceiver", "UARTTransmitter", "uart_divisor"]

DIVISOR_MIN, DIVISOR_MAX = 4, 1 << 16
_TOLERANCE = 0.02


def uart_divisor(frequency: float, baudrate: int) -> int:
    """Returns the cycles per bit; raises ValueError if no whole number comes within 2 % of the rate.

    Half a bit after nine and a half, a receiver stands 5 % of a difference between both ends; 2 % leave
    room for the host's own error.
    """
    divisor = round(frequency / baudrate)
    if divisor < DIVISOR_MIN or abs(frequency / divisor / baudrate - 1) > _TOLERANCE:
        raise ValueError(
            f"Baud rate must be {frequency:g} Hz over a whole number from {DIVISOR_MIN}, not {baudrate}"
        )
    return divisor


class UARTReceiver(wiring.Component):
    """Bytes from a serial line.

    A start bit that is gone by its middle is noise. A byte without a stop bit is dropped, and the line must
    rest before the next one; so is a byte whose predecessor has not been taken yet: a line cannot wait.

    Latency: :attr:`latency` cycles from the start bit's edge to the byte, which then stands in the middle of
    its stop bit. Backpressure: none.

    Parameters
    ----------
    divisor
        Cycles per bit, 4 to 65536.

    Members
    -------
    rx : In(1)
        The line, asynchronous; it passes two registers.
    o : Out(stream.Signature(8))
    """

    def __init__(self, divisor: int):
        check_int("Divisor", divisor, DIVISOR_MIN, DIVISOR_MAX)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    @property
    def latency(self) -> int:
        """Two cycles of synchronizer, one to see the edge, nine bits and a half."""
        return 3 + self._divisor // 2 + 9 * self._divisor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = cdc.FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self._divisor))
        # A one travels ahead of the bits and falls out when all eight are there.
        bits = Signal(9)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += timer.eq(timer - 1)
        with m.FSM():
            with m.State("Idle"):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                with m.If(~rx):
                    m.next = "Start"
            with m.State("Start"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(1 << 8)]
                with m.If(rx):
                    m.next = "Idle"
                with m.Else():
                    m.next = "Data"
            with m.State("Data"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(Cat(bits[1:], rx))]
                with m.If(bits[1]):
                    m.next = "Stop"
            with m.State("Stop"), m.If(timer == 0):
                with m.If(rx & (~self.o.valid | self.o.ready)):
                    m.d.sync += [self.o.valid.eq(1), self.o.p.eq(bits[1:])]
                m.next = "Rest"
            with m.State("Rest"), m.If(rx):
                m.next = "Idle"
        return m


class UARTTransmitter(wiring.Component):
    """Bytes onto a serial line.

    Latency: one cycle from taking a byte to the edge of its start bit. Throughput: a byte every ten bits
    and a cycle. Backpressure: full; ``i.ready`` depends on registers alone.

    Parameters
    ----------
    divisor
        Cycles per bit, 4 to 65536.

    Members
    -------
    i : In(stream.Signature(8))
    tx : Out(1)
        The line; a register.
    """

    def __init__(self, divisor: int):
        check_int("Divisor", divisor, DIVISOR_MIN, DIVISOR_MAX)
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(10, init=1)
        left = Signal(range(11))
        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq(left == 0)]
        with m.If(left == 0):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.i.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.p, Const(1, 1))), left.eq(10)]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits.eq(Cat(bits[1:], Const(1, 1))), left.eq(left - 1)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
