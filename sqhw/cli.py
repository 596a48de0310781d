"""The command line: ``sqhw``, or ``python -m sqhw``. A command is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from . import __version__
from .console import Group, run

__all__ = ["cli", "data", "main", "measure", "verilog"]

_CHECKOUT = Path(__file__).parents[1]
"""Where ``sim`` is, unless the package was installed without the rest of the project."""

verilog = Group(
    "verilog",
    "Emit Verilog, and a manifest of each module.",
    {
        "pe": ("sqhw.commands.verilog:pe", "Processing elements."),
        "array": ("sqhw.commands.verilog:array", "Arrays of them."),
        "engine": ("sqhw.commands.verilog:engine", "Matrix engines with AXI ports."),
    },
    default="pe",
)

measure = Group(
    "measure",
    "Measure area, clock, energy, speed and accuracy.",
    {
        "area": ("sqhw.commands.measure:area", "Gates and clock frequency against rivals."),
        "energy": ("sqhw.commands.measure:energy", "Switching energy on real activations."),
        "explore": ("sqhw.commands.measure:explore", "Gates and error of hundreds of configurations."),
        "resources": ("sqhw.commands.verilog:resources", "Processing elements in gates and on FPGAs."),
        "clock": ("sqhw.commands.measure:clock", "Clock of an engine after place and route."),
        "speed": ("sqhw.cli:speed", "Cycles of products, of a model's layers; speed of simulation."),
        "accuracy": ("sqhw.commands.accuracy:accuracy", "Perplexity of each format on a real LLM."),
        "reference": ("sqhw.commands.data:reference", "Speed of the golden model against plain NumPy."),
        "pages": ("sqhw.commands.measure:pages", "Pages, tables and figures from the committed reports."),
    },
)

speed = Group(
    "speed",
    "Measure cycles, and how fast simulation is.",
    {
        "product": ("sqhw.commands.measure:product", "Cycles of whole products against the peak rate."),
        "layer": ("sqhw.commands.measure:layer", "All linear layers of a real block."),
        "simulation": (
            "sqhw.commands.measure:simulation",
            "Cycles per second: the driver's backend against cocotb.",
        ),
    },
    default="product",
)

data = Group(
    "data",
    "Embedded activations of a real LLM, and the model that they come from.",
    {
        "show": ("sqhw.commands.data:show", "What the activations are."),
        "capture": ("sqhw.commands.data:capture", "Redo them from the model's weights."),
        "continue": ("sqhw.commands.data:continue_text", "Continue a text with the model."),
    },
)

cli = Group(
    "sqhw",
    "Generator of synthesizable hardware for the Sparse-Quantized format.",
    {
        "presets": ("sqhw.commands.verilog:presets", "Design points by name, and what follows from them."),
        "verilog": ("sqhw.cli:verilog", "Verilog of a processing element, an array or an engine."),
        "registers": ("sqhw.commands.verilog:registers", "Register map of the engine."),
        "bitstream": ("sqhw.commands.bitstream:bitstream", "Bitstreams of engines on FPGA boards."),
        "board": ("sqhw.commands.board:board", "A simulated board, on a pseudo-terminal."),
        "quantize": ("sqhw.commands.quantize:quantize", "A model's weights in SQ-format."),
        "inspect": ("sqhw.commands.quantize:inspect", "What a file holds; packed tensors are checked."),
        "sim": ("sim.cli:sim", "Simulate the emitted Verilog against the golden model."),
        "verify": ("sim.cli:verify", "Proofs, exhaustive tests, mutation, coverage, ..."),
        "measure": ("sqhw.cli:measure", "Area, energy, clock, speed and accuracy."),
        "data": ("sqhw.cli:data", "The embedded activations, and their model."),
    },
)
click.version_option(__version__, prog_name="sqhw")(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code, as :func:`sqhw.console.run`."""
    if (_CHECKOUT / "sim" / "cli.py").exists() and str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
    return run(cli, arguments)
