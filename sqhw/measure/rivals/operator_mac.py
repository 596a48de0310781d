"""Integer dot products as one writes them down: what a synthesizer makes of `*` and `+`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module

from ...arith.pipeline import register, signed_range
from .integer_mac import IntegerMAC

__all__ = ["OperatorMAC"]


class OperatorMAC(IntegerMAC):
    """An :class:`IntegerMAC` whose lanes are `*` and a balanced tree of `+`: no bit heap, no compressors.

    It is no rival, but shows what the bit heap of all other units is worth. Parameters, members, latency and
    errors are those of :class:`IntegerMAC`.
    """

    def _sum(self, m: Module) -> Any:
        """Returns the sum of the products one cycle later."""
        terms: list[Any] = [a * b for a, b in zip(self.a, self.b, strict=True)]
        while len(terms) > 1:
            odd = terms[len(terms) & ~1 :]
            terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + odd
        width = signed_range(self._beat_bound).width
        return register(m, terms[0][:width].as_signed(), name="sum")
