# amaranth: UnusedElaboratable=no
"""docs/engine.md and the files beside it: executed, linted, in step with the engine."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from sqhw.dma.config import DMA_PRESETS
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
        "AXIInterface": Anything,
        "AXILiteInterface": Anything,
        "EventManager": Anything,
        "EventSourceLevel": Anything,
        "ClockSignal": Anything,
        "ResetSignal": Anything,
        "Instance": instance,
    }
    code = (FOLDER / "litex" / "engine.py").read_text()
    exec(compile(code[code.index("class SQEngine") :], "engine.py", "exec"), names)
    names["SQEngine"](Platform(), "engine.v")
    dma = emit(DMA_PRESETS["tiny"], "sq_dma_tiny").manifest["ports"]
    wanted = {f"{port['direction'][0]}_{port['name']}" for port in dma}
    assert seen == {"source": "engine.v", "ports": wanted}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("riscv64-unknown-elf-gcc"), reason="needs gcc-riscv64-unknown-elf")
def test_a_processor_multiplies_on_the_engine(tmp_path):
    """With LiteX, where it is installed: a whole SoC, whose firmware compares every word."""
    pytest.importorskip("litex")
    command = [sys.executable, str(FOLDER / "litex" / "run.py"), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "55 words of results compared, 0 differ\n"


def test_example_lints(tmp_path):
    (engine,) = write([design()], tmp_path)
    lint(engine, design().name)
    whole = tmp_path / "sq_engine_example.v"
    whole.write_text(EXAMPLE.read_text() + engine.read_text())
    whole.with_suffix(".vlt").write_text(waivers(whole.stem))
    lint(whole, "sq_engine_example")
