"""Narrow scales: a signed float of a few bits and a linear 8-bit factor, multiplied exactly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from .bit_heap import BitHeap
from .pipeline import signed_range

__all__ = ["LinearScale", "LinearScales", "NarrowScale", "add_scaled"]


def add_scaled(heap: BitHeap, value: Value, fraction: Value, negative: Value | None = None) -> None:
    """Adds ``value * (2**f + fraction)``, for a fraction of f bits, or its negative, to a heap.

    A number's negative is its inverse plus one; that one is multiplied by the significand as well.
    """
    bits = len(fraction)
    if negative is not None:
        value = (value.as_unsigned() ^ negative.replicate(len(value))).as_signed()
        heap.add_bit(negative, bits)
        for bit in range(bits):
            heap.add_bit(negative & fraction[bit], bit, arrival=1)
    heap.add(value, column=bits)
    heap.add_product(value, fraction)


class _Scale(wiring.Component):
    """``value``, one of `inputs`, times a scale: a product made in one heap, at most `bound` in magnitude."""

    def __init__(self, inputs: dict[str, Member], bound: int, registered: Sequence[int]):
        self._bound = bound
        self._registered = registered
        super().__init__(inputs | {"o": Out(signed_range(bound))})

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._bound

    @property
    def latency(self) -> int:
        return len(self._registered)

    @abstractmethod
    def _add(self, heap: BitHeap) -> None:
        """Adds the product to its heap."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="product")
        self._add(heap)
        m.d.comb += self.o.eq(heap.sum(self._registered))
        return m


class NarrowScale(_Scale):
    """``value * (2**f + fraction)``, or its negative: sign and significand of a narrow bank scale.

    Latency: :attr:`latency` cycles; combinational without registers.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    fraction_bits
        Bits f of the fraction, from 0.
    signed_scale
        Whether the scale has a sign.
    registered
        Heights at which the heap is registered.

    Members
    -------
    value : In(signed)
    fraction : In(fraction_bits)
    negative : In(1)
        Only with a sign.
    o : Out(signed)
    """

    def __init__(self, bound: int, fraction_bits: int, *, signed_scale: bool, registered: Sequence[int] = ()):
        self._signed = signed_scale
        inputs = {"value": In(signed_range(bound)), "fraction": In(fraction_bits)}
        if signed_scale:
            inputs["negative"] = In(1)
        super().__init__(inputs, bound * ((2 << fraction_bits) - 1), registered)

    def _add(self, heap: BitHeap) -> None:
        add_scaled(heap, self.value, self.fraction, self.negative if self._signed else None)


class LinearScale(_Scale):
    """``value * factor``: a linear group scale, an unsigned integer.

    Latency: :attr:`latency` cycles; combinational without registers.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    bits
        Bits of the factor.
    registered
        Heights at which the heap is registered.

    Members
    -------
    value : In(signed)
    factor : In(bits)
    o : Out(signed)
    """

    def __init__(self, bound: int, bits: int, *, registered: Sequence[int] = ()):
        inputs = {"value": In(signed_range(bound)), "factor": In(bits)}
        super().__init__(inputs, bound * ((1 << bits) - 1), registered)

    def _add(self, heap: BitHeap) -> None:
        heap.add_product(self.value, self.factor)


class LinearScales(_Scale):
    """The sum of several ``value * factor``, in one heap: linear group scales of a beat's groups.

    Latency and `registered` are those of :class:`LinearScale`.

    Parameters
    ----------
    count
        How many products.
    bound
        Largest magnitude of a value.
    bits
        Bits of a factor.

    Members
    -------
    value0, value1, ... : In(signed)
    factor0, factor1, ... : In(bits)
    o : Out(signed)
    """

    def __init__(self, count: int, bound: int, bits: int, *, registered: Sequence[int] = ()):
        self._count = count
        inputs = {f"value{index}": In(signed_range(bound)) for index in range(count)}
        inputs |= {f"factor{index}": In(bits) for index in range(count)}
        super().__init__(inputs, count * bound * ((1 << bits) - 1), registered)

    def _add(self, heap: BitHeap) -> None:
        for index in range(self._count):
            heap.add_product(getattr(self, f"value{index}"), getattr(self, f"factor{index}"))
