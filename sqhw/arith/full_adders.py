"""Full adders side by side, which synthesis finds in the Verilog and maps to a library's own cell."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

__all__ = ["FullAdders"]


class FullAdders(wiring.Component):
    """Adds three bits at each place: ``a + b + c == sum + 2 * carry``, no place knows another.

    Combinational. In emitted Verilog it is an instance of one module for all widths
    (:data:`sqhw.tools.adders.MODULE`): a platform with an attribute ``full_adders`` names it. Any other,
    such as the simulator's None, gets the logic itself.

    Parameters
    ----------
    width
        Number of full adders.

    Members
    -------
    a : In(width), b : In(width), c : In(width)
    sum : Out(width), carry : Out(width)

    Raises
    ------
    TypeError, ValueError
        If the width is out of its range.
    """

    def __init__(self, width: int):
        check_int("Width", width, 1, 1 << 16)
        self._width = width
        super().__init__(
            {"a": In(width), "b": In(width), "c": In(width), "sum": Out(width), "carry": Out(width)}
        )

    def elaborate(self, platform: Any) -> Module | Instance:
        module = getattr(platform, "full_adders", None)
        if module is not None:
            pins = {f"i_{name}": getattr(self, name) for name in "abc"}
            return Instance(module, p_WIDTH=self._width, **pins, o_sum=self.sum, o_carry=self.carry)
        m = Module()
        half = self.a ^ self.b
        m.d.comb += [self.sum.eq(half ^ self.c), self.carry.eq((half & self.c) | (~half & self.a))]
        return m
