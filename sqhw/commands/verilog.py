"""``sqhw presets``, ``verilog``, ``registers`` and ``measure resources``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text

from ..boards.targets import BOARDS
from ..config import ArrayConfig, EngineConfig, PEConfig
from ..console import Command, Outcome, command_line, folder, progress, refusing, say, table
from ..dma.config import DMA_PRESETS, DMAConfig
from ..dma.registers import DMA_REGISTERS
from ..emit import Design, emit, module_name, write
from ..encoder.config import ENCODERS, EncoderConfig, memory_bits
from ..engine.register_pages import c_header, markdown
from ..engine.registers import ENCODER_REGISTERS, REGISTERS
from ..layouts import buffer_bits
from ..measure import resources as synthesis
from ..options import options, parameters, selected
from ..presets import ARRAYS, ENGINE_PRESETS, PRESETS
from ..tools.lint import lint as lint_file
from ..tools.targets import TARGETS
from ..tools.tools import verilator_environment, yosys
from ..tools.verilog import check_module_name

__all__ = ["array", "dma", "encoder", "engine", "pe", "presets", "registers", "resources"]


@dataclass(frozen=True)
class Kind:
    """What is emitted.

    Parameters
    ----------
    config, presets, base
        The class of its configurations, those with names, and the one that parameters change.
    derived
        What follows from a configuration.
    """

    config: type
    presets: Mapping[str, Any]
    base: str
    derived: Mapping[str, Callable[[Any], float]]


KINDS = {
    "pe": Kind(
        PEConfig,
        PRESETS,
        "default",
        {
            "bits per SQ element": lambda config: config.sq.bits_per_element,
            "bits per dense element": lambda config: config.dense.bits_per_element,
            "beats per bank": lambda config: config.beats_per_bank,
            "accumulator bits": lambda config: config.acc_bits,
        },
    ),
    "array": Kind(
        ArrayConfig,
        ARRAYS,
        "default",
        {"MACs per cycle": lambda config: config.rows * config.columns * config.pe.lanes},
    ),
    "encoder": Kind(
        EncoderConfig,
        ENCODERS,
        "lean",
        {
            "bits per SQ element": lambda config: config.sq.bits_per_element,
            "memory bits": memory_bits,
        },
    ),
    "engine": Kind(
        EngineConfig,
        ENGINE_PRESETS,
        "8x8",
        {
            "MACs per cycle": lambda config: config.array.rows * config.array.columns * config.pe.lanes,
            "buffer bits": buffer_bits,
        },
    ),
    "dma": Kind(DMAConfig, DMA_PRESETS, "8x8", {}),
}
_TITLES = {"pe": "Processing elements", "array": "Arrays", "encoder": "Encoders", "engine": "Engines"}


@click.command(cls=Command)
def presets() -> Outcome:
    """Show the presets of processing elements, arrays, encoders, engines and boards."""
    document: dict[str, Any] = {
        name: {
            label: asdict(config) | {what: value(config) for what, value in kind.derived.items()}
            for label, config in kind.presets.items()
        }
        for name, kind in KINDS.items()
        if name in _TITLES
    }
    document["board"] = {
        name: {"title": board.title, "fpga": board.part, "baud": board.baudrate, **asdict(board.config)}
        for name, board in BOARDS.items()
    }

    def show() -> None:
        for name, title in _TITLES.items():
            _table(title, KINDS[name], KINDS[name].presets)
        _table(
            "Boards, with the engine that fits each",
            KINDS["engine"],
            {n: b.config for n, b in BOARDS.items()},
        )

    return Outcome(document, show)


def _table(title: str, kind: Kind, configurations: Mapping[str, Any]) -> None:
    rows: list[Any] = []
    for parameter in parameters(kind.config):
        values = [parameter.of(config) for config in configurations.values()]
        rows.append([parameter.name.replace("_", " "), *("none" if v is None else v for v in values)])
    rows.append(None)
    for name, value in kind.derived.items():
        rows.append([name, *(f"{value(config):,}" for config in configurations.values())])
    table(title, ["", *configurations], rows)


def _chosen(kind: Kind) -> Callable[[Any], Any]:
    """The options that choose configurations."""
    text = f"Preset; several may be given.  [default: all; parameters change {kind.base}]"
    preset = click.option(
        "--preset", "labels", multiple=True, type=click.Choice(list(kind.presets)), help=text
    )
    return lambda command: preset(options(kind.config)(command))


def _emitter(name: str, text: str) -> click.Command:
    kind = KINDS[name]

    @click.command(name, cls=Command, help=text)
    @_chosen(kind)
    @click.option(
        "--name", "module", metavar="MODULE", help=f"Of the top module.  [default: sq_{name}_ and the preset]"
    )
    @click.option("--lint", is_flag=True, help="Check the Verilog with Verilator, all warnings on.")
    @folder("build/verilog", "of the files.")
    def command(
        labels: tuple[str, ...], module: str | None, lint: bool, output: Path, **values: Any
    ) -> Outcome:
        if lint:
            verilator_environment()  # what is missing is said before work starts
        designs = _designs(name, labels, values, module)
        files = write(designs, output)
        for design, path in zip(designs, files, strict=True):
            if lint:
                lint_file(path, design.name)

        def show() -> None:
            for path in files:
                say(f"{path}: no warnings" if lint else path)

        manifests = {str(path): design.manifest for path, design in zip(files, designs, strict=True)}
        return Outcome({"command": command_line(), "files": manifests}, show)

    return command


def _designs(
    name: str, labels: tuple[str, ...], values: Mapping[str, Any], module: str | None = None
) -> list[Design]:
    """Emits what the options ask for: all of it before anything is written."""
    kind = KINDS[name]
    with refusing():
        configurations = selected(kind.presets, kind.base, labels, values)
        if module is not None:
            check_module_name(module)
            if len(configurations) > 1:
                raise ValueError(f"Module name must be for one configuration, not {len(configurations)}")
    yosys()
    designs = []
    with progress() as begin:
        done = begin("Emitting Verilog", len(configurations))
        for label, config in configurations.items():
            designs.append(emit(config, module or module_name(config, label)))
            done(label)
    return designs


pe = _emitter("pe", "Emit processing elements with AXI4-Stream ports.")
array = _emitter("array", "Emit arrays of processing elements.")
encoder = _emitter("encoder", "Emit encoders: rows of FP16 in, beats of an SQ operand out.")
engine = _emitter("engine", "Emit matrix engines with AXI ports.")
dma = _emitter("dma", "Emit matrix engines that read and write memory by themselves.")


@click.command(cls=Command)
@click.option("--language", type=click.Choice(["c", "markdown"]), default="c", help="Header or page.")
def registers(language: str) -> Outcome:
    """Print the engine's register map."""
    document = [
        {
            "name": register.name,
            "offset": register.offset,
            "access": register.access_text,
            "text": register.text,
            "fields": [
                {
                    "name": field.name,
                    "low": register.shift(field.name),
                    "bits": field.bits,
                    "text": field.text,
                }
                for field in register.fields
            ],
        }
        for register in (*REGISTERS, *ENCODER_REGISTERS, *DMA_REGISTERS)
    ]
    text = markdown(DMA_REGISTERS) if language == "markdown" else c_header(DMA_REGISTERS)
    return Outcome(document, lambda: say(text.rstrip("\n")))


@click.command(cls=Command)
@_chosen(KINDS["pe"])
@click.option(
    "--target", "targets", multiple=True, type=click.Choice(list(TARGETS)), help="Only these.  [default: all]"
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/measure/synth.json",
    help="The report.",
)
def resources(labels: tuple[str, ...], targets: tuple[str, ...], output: Path, **values: Any) -> Outcome:
    """Synthesize processing elements: gates, and resources of FPGAs, by block."""
    designs = _designs("pe", labels, values)
    chosen = targets or tuple(TARGETS)
    with progress() as begin:
        report = synthesis.measure(designs, chosen, begin=begin, command=command_line())
    write_text(output, as_json(report))

    def show() -> None:
        for each in synthesis.tables(report):
            table(*each)
        say(output)

    return Outcome(report, show)
