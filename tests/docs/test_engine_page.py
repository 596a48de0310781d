# amaranth: UnusedElaboratable=no
"""docs/engine.md and the files beside it: executed, linted, in step with the engine."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from sqhw.emit import Design, emit, module_name, write
from sqhw.layouts import buffer_bits
from sqhw.presets import ENGINE_PRESETS
from sqhw.tools.lint import lint, waivers

FOLDER = Path(__file__).parents[2] / "docs" / "integration"
PAGE = FOLDER.parent / "engine.md"
EXAMPLE = FOLDER / "sq_engine_example.v"


@cache
def design() -> Design:
    return emit(ENGINE_PRESETS["tiny"], module_name(ENGINE_PRESETS["tiny"], "tiny"))


def ports() -> dict[str, str]:
    """The engine's ports: i or o, by name."""
    return {port["name"]: port["direction"][0] for port in design().manifest["ports"]}


def test_page_gives_the_presets_sizes():
    text = PAGE.read_text()
    for name, config in ENGINE_PRESETS.items():
        array = config.array
        macs = array.rows * array.columns * config.pe.lanes
        size = buffer_bits(config)
        bits = f"{size / 1e6:.2f} Mbit" if size > 1e6 else f"{size / 1e3:.0f} kbit"
        row = (
            f"| `{name}` | {array.rows} x {array.columns} | {config.pe.lanes} | {macs:,} "
            f"| {config.axi_bits} bits | {bits} | {config.m_max}, {config.n_max}, {config.pe.k_max} |"
        )
        assert row in text


def test_example_connects_every_port():
    assert set(re.findall(r"\.(\w+)\(", EXAMPLE.read_text())) == set(ports())


def test_litex_module_connects_every_port():
    """Without LiteX: its code runs on stand-ins, and names every port of the engine."""
    seen = {}

    class Anything:
        def __init__(self, *args, **kwargs):
            pass

        def __call__(self, *args, **kwargs):
            return Anything()

        def __getattr__(self, name):
            return Anything()

        def __invert__(self):
            return self

        def __getitem__(self, bits):
            return self

        def __iadd__(self, other):
            return self

    class Module:
        specials = Anything()

    class Platform:
        def add_source(self, path):
            seen["source"] = path

    def instance(name, **connections):
        seen["ports"] = set(connections)
        return Anything()

    names = {
        "LiteXModule": Module,
        "stream": Anything(),
        "AXILiteInterface": Anything,
        "EventManager": Anything,
        "EventSourceLevel": Anything,
        "ClockSignal": Anything,
        "ResetSignal": Anything,
        "Instance": instance,
    }
    code = (FOLDER / "litex_engine.py").read_text()
    exec(compile(code[code.index("class SQEngine") :], "litex_engine.py", "exec"), names)
    names["SQEngine"](Platform(), "engine.v")
    assert seen == {"source": "engine.v", "ports": {f"{way}_{name}" for name, way in ports().items()}}


SOC = """
import sys
from litex.build.generic_platform import Pins
from litex.build.sim.platform import SimPlatform
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCMini
from migen import ClockDomain
from litex_engine import SQEngine

class SoC(SoCMini):
    def __init__(self, platform):
        super().__init__(platform, int(1e6), bus_standard="wishbone", with_uart=False)
        self.cd_sys = ClockDomain("sys")
        self.comb += self.cd_sys.clk.eq(platform.request("clk"))
        self.comb += self.cd_sys.rst.eq(platform.request("rst"))
        self.engine = SQEngine(platform, "sq_engine_tiny.v")
        self.bus.add_slave("engine", self.engine.bus, SoCRegion(origin=0x30000000, size=0x100, cached=False))

platform = SimPlatform("sim", [("clk", 0, Pins(1)), ("rst", 0, Pins(1))])
soc = SoC(platform)
soc.finalize()
platform.get_verilog(soc, name="soc").write("soc.v")
"""


def test_litex_makes_a_soc(tmp_path):
    """With LiteX, where it is installed: the engine as a slave of a SoC's bus."""
    pytest.importorskip("litex")
    (tmp_path / "soc.py").write_text(SOC)
    environment = os.environ | {"PYTHONPATH": str(FOLDER), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "soc.py"], cwd=tmp_path, env=environment, check=True)
    assert "sq_engine_tiny sq_engine_tiny(" in (tmp_path / "soc.v").read_text()


def test_example_lints(tmp_path):
    (engine,) = write([design()], tmp_path)
    lint(engine, design().name)
    whole = tmp_path / "sq_engine_example.v"
    whole.write_text(EXAMPLE.read_text() + engine.read_text())
    whole.with_suffix(".vlt").write_text(waivers(whole.stem))
    lint(whole, "sq_engine_example")
