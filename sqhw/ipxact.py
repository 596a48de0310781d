"""An IP-XACT description (IEEE 1685-2009) of emitted hardware: ports, buses, registers, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as xml

from .engine.register_types import Register
from .engine.registers import ADDRESS_BITS

__all__ = ["component"]

_SPACE = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_MAP = "registers"
_LINES = ("portMap", "port", "field")
"""Elements that are written on one line each."""
_ACCESS = {"ro": "read-only", "rw": "read-write", "w1c": "read-write", "wo": "write-only"}


@dataclass(frozen=True)
class _Bus:
    """A standard bus: start of its ports' names, its name and version, and whether it is a slave."""

    prefix: str
    name: str
    version: str
    slave: bool


_BUSES = (
    _Bus("s_axil", "AXI4-Lite", "r0p0_0", True),
    *(_Bus(f"s_axis_{name}", "AXI4Stream", "r0p0_1", True) for name in ("sq", "dense", "scale")),
    _Bus("m_axis_y", "AXI4Stream", "r0p0_1", False),
    *(_Bus(f"m_axi_{name}", "AXI4", "r0p0_0", False) for name in "xwy"),
)


def component(manifest: Mapping[str, Any], registers: Sequence[Register]) -> str:
    """Returns the description of the design of this manifest.

    Parameters
    ----------
    manifest
        As :func:`sqhw.emit.emit` makes it.
    registers
        Of its AXI4-Lite slave, if it has one.
    """
    xml.register_namespace("spirit", _SPACE)
    root = _element("component")
    version = manifest["generator"]["sqhw"]
    identity = {"vendor": "sqhw", "library": "sqhw", "name": manifest["module"], "version": version}
    for tag, text in identity.items():
        _element(tag, root, text)
    names = [port["name"] for port in manifest["ports"]]
    buses = [bus for bus in _BUSES if any(name.startswith(f"{bus.prefix}_") for name in names)]
    if buses:
        interfaces = _element("busInterfaces", root)
        for bus in buses:
            _interface(interfaces, bus, names)
    for bus in buses:
        if not bus.slave and bus.name == "AXI4":
            _address_space(root, bus, manifest)
    if any(bus.prefix == "s_axil" for bus in buses):
        _memory_map(root, registers)
    _model(root, manifest)
    _files(root, manifest)
    xml.indent(root)
    for tag in _LINES:
        for element in root.iter(f"{{{_SPACE}}}{tag}"):
            _on_one_line(element)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _element(
    tag: str, parent: xml.Element | None = None, text: object = None, **attributes: str
) -> xml.Element:
    name = f"{{{_SPACE}}}{tag}"
    values = {f"{{{_SPACE}}}{key}": value for key, value in attributes.items()}
    element = xml.Element(name, values) if parent is None else xml.SubElement(parent, name, values)
    if text is not None:
        element.text = str(text)
    return element


def _on_one_line(element: xml.Element) -> None:
    """Takes the line breaks out of an element."""
    for inside in element.iter():
        if inside.text and not inside.text.strip():
            inside.text = None
        if inside is not element:
            inside.tail = None


def _interface(parent: xml.Element, bus: _Bus, names: Iterable[str]) -> None:
    """A bus interface: its type, its side, and which port is which of its signals."""
    interface = _element("busInterface", parent)
    _element("name", interface, bus.prefix)
    identity = {"vendor": "amba.com", "library": "AMBA4", "version": bus.version}
    _element("busType", interface, **identity, name=bus.name)
    _element("abstractionType", interface, **identity, name=f"{bus.name}_rtl")
    side = _element("slave" if bus.slave else "master", interface)
    if bus.prefix == "s_axil":
        _element("memoryMapRef", side, memoryMapRef=_MAP)
    if bus.name == "AXI4":
        _element("addressSpaceRef", side, addressSpaceRef=bus.prefix)
    maps = _element("portMaps", interface)
    start = f"{bus.prefix}_"
    ports = {name.removeprefix(start).upper(): name for name in names if name.startswith(start)}
    for logical, physical in {"ACLK": "aclk", "ARESETn": "aresetn", **ports}.items():
        port = _element("portMap", maps)
        _element("name", _element("logicalPort", port), logical)
        _element("name", _element("physicalPort", port), physical)


def _address_space(root: xml.Element, bus: _Bus, manifest: Mapping[str, Any]) -> None:
    """The memory that a master sees."""
    spaces = root.find(f"{{{_SPACE}}}addressSpaces")
    space = _element("addressSpace", _element("addressSpaces", root) if spaces is None else spaces)
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    address, word = (
        next(widths[f"{bus.prefix}_{name}"] for name in names if f"{bus.prefix}_{name}" in widths)
        for names in (("araddr", "awaddr"), ("rdata", "wdata"))
    )
    _element("name", space, bus.prefix)
    _element("range", space, 1 << address)
    _element("width", space, word)


def _memory_map(root: xml.Element, registers: Iterable[Register]) -> None:
    memory = _element("memoryMap", _element("memoryMaps", root))
    _element("name", memory, _MAP)
    block = _element("addressBlock", memory)
    for tag, text in (("name", _MAP), ("baseAddress", 0), ("range", 1 << ADDRESS_BITS), ("width", 32)):
        _element(tag, block, text)
    for register in registers:
        entry = _element("register", block)
        _element("name", entry, register.name)
        _element("description", entry, register.text)
        _element("addressOffset", entry, f"0x{register.offset:X}")
        _element("size", entry, 32)
        _element("access", entry, _ACCESS[register.access])
        for field in register.fields:
            part = _element("field", entry)
            _element("name", part, field.name)
            _element("description", part, field.text)
            _element("bitOffset", part, register.shift(field.name))
            _element("bitWidth", part, field.bits)
            if register.access == "w1c":
                _element("modifiedWriteValue", part, "oneToClear")


def _model(root: xml.Element, manifest: Mapping[str, Any]) -> None:
    """The view of synthesis and simulation, and every port."""
    model = _element("model", root)
    view = _element("view", _element("views", model))
    _element("name", view, "rtl")
    _element("envIdentifier", view, ":*Synthesis:")
    _element("envIdentifier", view, ":*Simulation:")
    _element("language", view, "verilog")
    _element("modelName", view, manifest["module"])
    _element("localName", _element("fileSetRef", view), "rtl")
    ports = _element("ports", model)
    for entry in manifest["ports"]:
        port = _element("port", ports)
        _element("name", port, entry["name"])
        wire = _element("wire", port)
        _element("direction", wire, entry["direction"].removesuffix("put"))
        if entry["width"] > 1:
            vector = _element("vector", wire)
            _element("left", vector, entry["width"] - 1)
            _element("right", vector, 0)


def _files(root: xml.Element, manifest: Mapping[str, Any]) -> None:
    files = _element("fileSet", _element("fileSets", root))
    _element("name", files, "rtl")
    file = _element("file", files)
    _element("name", file, manifest["verilog"])
    _element("fileType", file, "verilogSource-2001")
