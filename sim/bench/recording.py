"""A processing element in the Amaranth simulator, recorded; its Verilog must answer alike in any other."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from sim.bench.program import Port, compile_program
from sim.bench.streams import Beats
from sqhw.config import PEConfig
from sqhw.emit import Design
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.packing import axi_words
from sqhw.pe.axi import AXIProcessingElement
from sqhw.tools.tools import ToolError, host_tool
from sw_reference.files import write_text

__all__ = ["Recording", "forget_power_up", "icarus", "record", "verilator"]

SOURCES = ("s_axis_sq", "s_axis_dense", "s_axis_scale")
CONTROL = (*(f"{name}_tready" for name in SOURCES), "m_axis_y_tvalid")
RESULT = ("m_axis_y_tdata", "m_axis_y_tuser")
BENCH = Path(__file__).with_name("recording.v")


@dataclass(frozen=True)
class Recording:
    """Every port at the end of every half of a clock cycle.

    Attributes
    ----------
    ports : list of Port
    values : dict of list of int
        By port name.
    results : int
        Results that were taken.
    """

    ports: list[Port]
    values: dict[str, list[int]]
    results: int

    @property
    def rows(self) -> int:
        return len(self.values["aclk"])


def record(config: PEConfig, beats: Beats, cycles: int, seed: int) -> Recording:
    """Simulates an AXI processing element under random stalls, with a reset at the start and in between."""
    dut = AXIProcessingElement(config)
    ports = [
        Port("_".join(map(str, path)), len(value), member.flow.name == "Out")
        for path, member, value in dut.signature.flatten(dut)
    ]
    values: dict[str, list[int]] = {port.name: [] for port in ports}
    rng = random.Random(seed)
    left = {
        "s_axis_sq": axi_words(pe_beat_layout(config), beats.sq),
        "s_axis_dense": axi_words(dense_beat_layout(config), beats.dense),
        "s_axis_scale": [(word, 0, 0) for word in beats.scales],
    }
    results = 0

    async def testbench(ctx: Any) -> None:
        nonlocal results
        position, offered = dict.fromkeys(SOURCES, 0), dict.fromkeys(SOURCES, False)

        async def half(clock: int) -> None:
            ctx.set(dut.aclk, clock)
            await ctx.delay(1e-6)
            for port in ports:
                values[port.name].append(ctx.get(getattr(dut, port.name)))

        for cycle in range(cycles):
            ctx.set(dut.aresetn, cycle >= 2 and cycle != cycles // 2)
            for name in SOURCES:
                offered[name] = offered[name] or (position[name] < len(left[name]) and rng.random() < 0.7)
                ctx.set(getattr(dut, f"{name}_tvalid"), offered[name])
                word = left[name][min(position[name], len(left[name]) - 1)]
                for port, value in zip(("tdata", "tlast", "tuser"), word, strict=True):
                    if hasattr(dut, f"{name}_{port}"):
                        ctx.set(getattr(dut, f"{name}_{port}"), value)
            # Long pauses: what is in front must fill before anything waits.
            ctx.set(dut.m_axis_y_tready, cycle % 200 >= 100 or rng.random() < 0.05)
            await half(0)
            for name in SOURCES:
                if offered[name] and ctx.get(getattr(dut, f"{name}_tready")):
                    position[name], offered[name] = position[name] + 1, False
            results += ctx.get(dut.m_axis_y_tvalid) & ctx.get(dut.m_axis_y_tready)
            await half(1)

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()
    return Recording(ports, values, results)


def verilator(design: Design, recording: Recording, folder: Path) -> int:
    """Plays the inputs to the Verilog under Verilator; returns how many rows of outputs differ."""
    program = compile_program(design.verilog, design.name, recording.ports, folder)
    stimulus = {}
    for port in (port for port in recording.ports if not port.output):
        octets = b"".join(value.to_bytes(port.size, "little") for value in recording.values[port.name])
        stimulus[port.name] = np.frombuffer(octets, port.dtype)
    outputs = program.play(stimulus)
    differ = np.zeros(recording.rows, np.bool_)
    for name, seen in outputs.items():
        differ |= seen != np.array(recording.values[name], seen.dtype)
    return int(differ.sum())


def forget_power_up(verilog: str) -> tuple[str, int]:
    """Removes all values that registers and memories have before a reset; returns how many had one."""
    blocks = re.compile(r"^  initial begin\n(?: {4}.*\n)+  end\n", re.MULTILINE)
    return blocks.sub("", verilog), sum(block.count(" = ") for block in blocks.findall(verilog))


def icarus(design: Design, recording: Recording, folder: Path, *, unknown: bool = False) -> tuple[int, int]:
    """Plays the inputs to the Verilog under Icarus; returns rows compared and rows that differ.

    With `unknown`, registers hold X until something is written to them, and from the end of the reset on no
    X may reach a ready, a valid, or a result while it is valid; only these are compared.

    Raises
    ------
    ToolError
        If Icarus is missing, is too old, or fails.
    """
    compiler = host_tool("iverilog")
    inputs = [port for port in recording.ports if not port.output]
    outputs = [port for port in recording.ports if port.output]
    verilog = forget_power_up(design.verilog)[0] if unknown else design.verilog
    write_text(folder / "design.v", verilog)
    write_text(folder / "stimulus.hex", _hex(recording, inputs))
    write_text(folder / "expected.hex", _hex(recording, outputs))
    write_text(folder / "mask.hex", _mask(recording, outputs, unknown))
    text = BENCH.read_text()
    for key, value in {
        "TOP": design.name,
        "ROWS": str(recording.rows),
        "INPUTS": str(sum(port.width for port in inputs)),
        "OUTPUTS": str(sum(port.width for port in outputs)),
        "DECLARE": " ".join(f"wire [{port.width - 1}:0] {port.name};" for port in recording.ports),
        "CONNECT": ", ".join(f".{port.name}({port.name})" for port in recording.ports),
        "INPUT_LIST": ", ".join(port.name for port in inputs),
        "OUTPUT_LIST": ", ".join(port.name for port in outputs),
    }.items():
        text = text.replace(f"@{key}@", value)
    write_text(folder / "bench.v", text)
    _run([compiler.path, "-g2012", "-o", "bench.vvp", "bench.v", "design.v"], folder)
    words = _run(["vvp", "-n", "bench.vvp"], folder).split()
    return int(words[-2]), int(words[-1])


def _hex(recording: Recording, ports: Sequence[Port]) -> str:
    """Rows of the ports' values side by side, the first port in the highest bits."""
    return _lines(ports, (recording.values[port.name] for port in ports))


def _lines(ports: Sequence[Port], columns: Any) -> str:
    lines = []
    for row in zip(*columns, strict=True):
        word = 0
        for port, value in zip(ports, row, strict=True):
            word = word << port.width | value
        lines.append(f"{word:x}")
    return "\n".join(lines) + "\n"


def _mask(recording: Recording, outputs: Sequence[Port], unknown: bool) -> str:
    """Rows of the bits that must agree."""
    reset = recording.values["aresetn"].index(1)  # until then, registers may hold anything
    rows = range(recording.rows)
    columns = []
    for port in outputs:
        ones = (1 << port.width) - 1
        if not unknown:
            must = [True] * recording.rows
        elif port.name in RESULT:
            valid = recording.values["m_axis_y_tvalid"]
            must = [row >= reset and bool(valid[row]) for row in rows]
        else:
            assert port.name in CONTROL, port.name
            must = [row >= reset for row in rows]
        columns.append([ones * bit for bit in must])
    return _lines(outputs, columns)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolError(f"{command[0]} failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout
