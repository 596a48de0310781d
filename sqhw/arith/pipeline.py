"""Small verbs for fixed-latency pipelines."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value

__all__ = ["delay", "register", "signed_range"]


def signed_range(bound: int) -> Shape:
    """Returns the smallest signed shape that holds -bound..bound."""
    return Shape(bound.bit_length() + 1, signed=True)


def register(m: Module, value: Any, *, name: str, en: Any = None, reset: bool = False) -> Any:
    """Returns `value` one cycle later, in a signal of its own shape called `name`.

    With `en`, the register holds while `en` is low. Only control needs `reset`: data that nothing
    calls valid may hold anything.
    """
    held = Signal(_shape_of(value), name=name, reset_less=not reset)
    if en is None:
        m.d.sync += held.eq(value)
    else:
        with m.If(en):
            m.d.sync += held.eq(value)
    return held


def delay(m: Module, value: Any, cycles: int, *, name: str, en: Any = None, reset: bool = False) -> Any:
    """Returns `value` as it was `cycles` cycles ago; 0 cycles is `value` itself.

    With `en`, cycles count only while it is high.
    """
    for age in range(cycles):
        value = register(m, value, name=f"{name}_{age + 1}", en=en, reset=reset)
    return value


def _shape_of(value: Any) -> Any:
    return value.shape() if hasattr(value, "shape") else Value.cast(value).shape()
