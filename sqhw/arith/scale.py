"""Scales: multiplication by small floats, (8 + fraction) * 2**exponent, exactly."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .narrow_scale import NarrowScale
from .pipeline import delay, register, signed_range

__all__ = [
    "BANK_EXPONENT_MAX",
    "FRACTION_BITS",
    "GROUP_EXPONENT_MAX",
    "ScaleMultiply",
    "ScaleShift",
    "shift_latency",
]

FRACTION_BITS = 3
SIGNIFICAND_MAX = 15
BANK_EXPONENT_MAX = 31
GROUP_EXPONENT_MAX = 7
_FINE_BITS = 3


class ScaleMultiply(NarrowScale):
    """``value * (8 + fraction)``: the significand of a bank scale (E5M3) or of a group scale (e3m3).

    Latency: :attr:`latency` cycles; combinational without registers.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    registered
        Heights at which its heap is registered.

    Members
    -------
    value : In(signed)
    fraction : In(3)
    o : Out(signed)
    """

    def __init__(self, bound: int, *, registered: Sequence[int] = ()):
        super().__init__(bound, FRACTION_BITS, signed_scale=False, registered=registered)


def shift_latency(*, long: bool) -> int:
    """Returns the latency of :class:`ScaleShift`."""
    return 3 if long else 1


class ScaleShift(wiring.Component):
    """``value << exponent >> drop``: the exponents of the scales.

    The unit of a bank scale, 2**-27, lies three bits below the accumulator's, so that ``drop`` is 3: a
    bank scale that would leave a remainder there is reserved.

    The register lies in the middle, where the word is still narrow: the lower three bits of the exponent
    shift before it, the others behind it. In a long pipeline there is one before and one behind it too.

    Latency: :attr:`latency` cycles. Throughput: one value per cycle; it never stops.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    exponent_max
        Largest exponent.
    drop
        Low bits of the result that are always zero and left out.
    fine
        Bits of the exponent that shift before the register, in place of three.
    long
        Whether it is part of a long pipeline.

    Members
    -------
    value : In(signed)
    exponent : In(range(exponent_max + 1))
    o : Out(signed)
        Depends on registers alone.
    """

    def __init__(
        self, bound: int, exponent_max: int, *, drop: int = 0, fine: int = _FINE_BITS, long: bool = False
    ):
        self._drop = drop
        self._fine = fine
        self._long = long
        super().__init__(
            {
                "value": In(signed_range(bound)),
                "exponent": In(range(exponent_max + 1)),
                "o": Out(signed_range(bound << exponent_max >> drop)),
            }
        )

    @property
    def latency(self) -> int:
        return shift_latency(long=self._long)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        around = int(self._long)
        value = delay(m, self.value, around, name="value")
        exponent = delay(m, self.exponent, around, name="exponent")
        fine, coarse = exponent[: self._fine], exponent[self._fine :]
        half = register(m, value << fine, name="half_shifted")
        late = register(m, coarse, name="coarse")
        shifted = (half << (late << self._fine))[self._drop : self._drop + len(self.o)]
        m.d.comb += self.o.eq(delay(m, shifted.as_signed(), around, name="shifted"))
        return m
