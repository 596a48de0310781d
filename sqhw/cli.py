"""The command line: ``sqhw``, or ``python -m sqhw``. A command is imported when it runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from . import __version__
from .console import HELP_FLAGS, SETTINGS, run
from .tools.tools import ToolError

__all__ = ["Group", "cli", "data", "main", "measure", "verilog"]

_CHECKOUT = Path(__file__).parents[1]
"""Where ``sim`` is, unless the package was installed without the rest of the project."""


class Group(click.Group):
    """Commands by name, imported when they run.

    Parameters
    ----------
    commands
        For each name: the module and the name of the command in it ("module:name"), and a line of help.
    default
        The command that runs where none is named.
    """

    def __init__(
        self, name: str, text: str, commands: Mapping[str, tuple[str, str]], *, default: str | None = None
    ) -> None:
        super().__init__(name, help=text, context_settings=SETTINGS, no_args_is_help=default is None)
        self.lazy = dict(commands)
        self._default = default

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, name = self.lazy[cmd_name][0].partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing.partition(".")[0] == module.partition(".")[0] == "sim":
                raise ToolError(
                    f"sqhw {cmd_name} needs a checkout of the project: `git clone` it, then `make venv` there"
                ) from error
            raise ToolError(
                f"Python's package {missing} is needed, but it is not installed: run `make venv`"
            ) from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        helping = args and args[0] in (*HELP_FLAGS, "--version")
        if self._default and not helping and (not args or args[0].startswith("-")):
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        lines = [
            (name, f"{text}  [default]" if name == self._default else text)
            for name, (_, text) in self.lazy.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


verilog = Group(
    "verilog",
    "Emit Verilog, and a manifest of each module.",
    {
        "pe": ("sqhw.commands.verilog:pe", "Processing elements."),
        "array": ("sqhw.commands.verilog:array", "Arrays of them."),
        "encoder": ("sqhw.commands.verilog:encoder", "Encoders of rows of FP16."),
        "engine": ("sqhw.commands.verilog:engine", "Matrix engines with AXI ports."),
        "dma": ("sqhw.commands.verilog:dma", "Matrix engines that read and write memory by themselves."),
    },
    default="pe",
)

measure = Group(
    "measure",
    "Measure area, clock, energy, speed and accuracy.",
    {
        "area": ("sqhw.commands.measure:area", "Area against clock, beside rivals."),
        "fpga": ("sqhw.commands.measure:fpga", "Resources and clock on FPGAs, beside rivals."),
        "layout": ("sqhw.commands.measure:layout", "Elements placed and routed, beside rivals."),
        "energy": ("sqhw.commands.measure:energy", "Switching energy on real activations."),
        "explore": ("sqhw.commands.measure:explore", "Gates and error of design points."),
        "zigzag": ("sqhw.commands.measure:zigzag", "An array as a core of the mapper ZigZag."),
        "hwcomponents": ("sqhw.commands.measure:hwcomponents", "Elements for HWComponents and AccelForge."),
        "roofline": ("sqhw.commands.compare:roofline", "Tokens per second of a model, calculated."),
        "resources": ("sqhw.commands.verilog:resources", "Processing elements in gates and on FPGAs."),
        "clock": ("sqhw.commands.speed:clock", "Clock of an engine after place and route."),
        "speed": ("sqhw.cli:speed", "Cycles of products, of a model's layers; speed of simulation."),
        "agreement": ("sqhw.commands.torch:agreement", "A model in PyTorch beside the accuracy study."),
        "accuracy": ("sqhw.commands.accuracy:accuracy", "Perplexity of each format on a real LLM."),
        "generate": ("sqhw.commands.answers:answers", "A language model's answers through the Verilog."),
        "losses": ("sqhw.commands.losses:losses", "A text read through an engine's Verilog, bit by bit."),
        "reference": ("sqhw.commands.data:reference", "Speed of the golden model against plain NumPy."),
        "pages": ("sqhw.commands.measure:pages", "Pages, tables and figures from the committed reports."),
        "notebooks": ("sqhw.commands.measure:notebooks", "The notebooks of docs/notebooks, run anew."),
    },
)

speed = Group(
    "speed",
    "Measure cycles, and how fast simulation is.",
    {
        "product": ("sqhw.commands.speed:product", "Cycles of whole products against the peak rate."),
        "layer": ("sqhw.commands.speed:layer", "All linear layers of a real block."),
        "stream": ("sqhw.commands.speed:stream", "The share of W's bandwidth that a model's layers use."),
        "simulation": (
            "sqhw.commands.speed:simulation",
            "Cycles per second: the driver's backend against cocotb.",
        ),
        "torch": ("sqhw.commands.torch:speed", "Layers in PyTorch beside nn.Linear."),
    },
    default="product",
)

data = Group(
    "data",
    "Embedded activations of a real LLM, and the model that they come from.",
    {
        "show": ("sqhw.commands.data:show", "What the activations are."),
        "capture": ("sqhw.commands.data:capture", "Redo them from the model's weights."),
        "checkpoints": ("sqhw.commands.checkpoints:checkpoints", "Inputs and results of layers, to compare."),
        "continue": ("sqhw.commands.data:continue_text", "Continue a text with the model."),
    },
)

cli = Group(
    "sqhw",
    "Generator of synthesizable hardware for the Sparse-Quantized format.",
    {
        "presets": ("sqhw.commands.verilog:presets", "Design points by name, and what follows from them."),
        "verilog": ("sqhw.cli:verilog", "Verilog of a processing element, array, encoder or engine."),
        "registers": ("sqhw.commands.verilog:registers", "Register map of the engine."),
        "bitstream": ("sqhw.commands.bitstream:bitstream", "Bitstreams of engines on FPGA boards."),
        "board": ("sqhw.commands.board:board", "A simulated board, on a pseudo-terminal."),
        "quantize": ("sqhw.commands.quantize:quantize", "A model's weights in SQ-format."),
        "inspect": ("sqhw.commands.quantize:inspect", "What a file holds; packed tensors are checked."),
        "generate": (
            "sqhw.commands.generate:generate",
            "A language model answers, computed as hardware does.",
        ),
        "compare": (
            "sqhw.commands.compare:compare",
            "Area, clock, energy, bits: one point beside every rival.",
        ),
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
