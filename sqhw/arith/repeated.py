"""Submodules that a design has many times and its Verilog once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

__all__ = ["repeated"]


def repeated(
    m: Module, platform: Any, name: str, make: Callable[..., wiring.Component], *arguments: Hashable
) -> Any:
    """Adds ``make(*arguments)`` as the submodule `name` and returns its ports.

    Amaranth writes a module for every submodule, equal ones included. A platform with a method
    ``module_of(make, *arguments)``, which returns name and signature of one module that serves them all
    (:func:`sqhw.tools.verilog.convert` brings one), gets an instance of that; any other, such as the
    simulator's None, gets the component itself.

    The component's members must be plain ports, and its only clock domain ``sync``.
    """
    if not hasattr(platform, "module_of"):
        component = make(*arguments)
        m.submodules[name] = component
        return component
    module, signature = platform.module_of(make, *arguments)
    ports = signature.create(path=(name,))
    connections: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    for member, description in signature.members.items():
        direction = "i" if description.flow is wiring.In else "o"
        connections[f"{direction}_{member}"] = Value.cast(getattr(ports, member))
    m.submodules[name] = Instance(module, **connections)
    return ports
