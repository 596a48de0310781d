"""Builds a Verilog file with a simulator and runs cocotb tests on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sim.report import Failure
from sqhw.tools.tools import simulator_environment
from sqhw.tools.verilated import MAKE, OPTIONS

__all__ = ["REPORT", "SIMULATOR", "Simulation", "run_tests"]


@dataclass(frozen=True)
class Simulation:
    """What the simulation of a design compared.

    Attributes
    ----------
    rows : list of dict
        A record per job.
    sha256 : str
        Of the Verilog; empty where no file was simulated.
    """

    rows: list[dict[str, Any]]
    sha256: str = ""


_ROOT = Path(__file__).parents[1]
_PROGRAM = "import json, sys; from cocotb_test.simulator import run; run(**json.loads(sys.argv[1]))"

REPORT = "report.jsonl"
"""What tests write beside the Verilog: a line per record."""
SIMULATOR = click.Option(
    ["--simulator"],
    type=click.Choice(["verilator", "icarus"]),
    default="verilator",
    help="What runs the Verilog.",
)


def run_tests(
    modules: list[str],
    toplevel: str,
    verilog: Path,
    *,
    simulator: str,
    settings: Mapping[str, str],
    seed: int,
    waves: bool = False,
    testcase: str | None = None,
) -> list[dict[str, Any]]:
    """Builds a Verilog file and runs cocotb tests on it; returns the records that they write.

    Parameters
    ----------
    modules
        Tests, as Python modules.
    settings
        Environment variables of the tests; they find seed and report as ``SQHW_SEED`` and ``SQHW_REPORT``.
    waves
        Whether to write a waveform. It, build, log and report go beside the Verilog.
    testcase
        Only the test of that name.

    Raises
    ------
    Failure
        If a test failed; the message names the log.
    ToolError
        If the simulator is missing.
    """
    environment = simulator_environment(simulator)
    folder = verilog.resolve().parent
    report = folder / REPORT
    report.write_text("")
    arguments: dict[str, Any] = {
        "simulator": simulator,
        "toplevel": toplevel,
        "module": ",".join(modules),
        "verilog_sources": [str(verilog.resolve())],
        "sim_build": str(folder / "build"),
        "seed": seed,
        "timescale": "1ns/1ps",
        "testcase": testcase,
    }
    if simulator == "verilator":
        kind = _wave_format(environment) if waves else None
        arguments["compile_args"] = [*OPTIONS, *([f"--trace-{kind}"] if kind else [])]
        arguments["make_args"] = ["OPT_FAST=-O1", *MAKE]
        arguments["plus_args"] = ["--trace", "--trace-file", str(folder / f"waves.{kind}")] if kind else []
    else:
        arguments["compile_args"] = ["-g2012"]
        arguments["waves"] = waves
    own = {"SQHW_SEED": str(seed), "SQHW_REPORT": str(report)}
    _run(arguments, {**environment, **settings, **own}, folder / "simulation.log")
    return [json.loads(line) for line in report.read_text().splitlines()]


def _wave_format(environment: dict[str, str]) -> str:
    """FST, which is far smaller, where the compression library it needs is present; else VCD."""
    probe = ["g++", "-xc++", "-fsyntax-only", "-include", "lz4.h", "/dev/null"]
    found = subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0
    return "fst" if found else "vcd"


def _run(arguments: dict[str, Any], environment: dict[str, str], log: Path) -> None:
    """Runs cocotb-test in a process of its own, whose output is the log."""
    own = {key: value for key, value in environment.items() if key not in ("SIM", "WAVES")}
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps(arguments)],
            env=own | {"PYTHONPATH": os.pathsep.join([str(_ROOT), environment.get("PYTHONPATH", "")])},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise Failure(f"simulation failed, see {log}")
