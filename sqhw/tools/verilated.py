"""Verilator builds with a C++ main of our own: millions of cycles per second, no Python in the loop."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import wiring
from numpy.typing import NDArray

from sw_reference.files import write_text

from .tools import ToolError, check_host, verilator_environment

__all__ = ["Port", "build", "play", "ports_of"]

CYCLES = Path(__file__).with_name("verilated_cycles.cpp")
"""Plays a stimulus, one record per clock cycle, and writes a record of outputs per cycle."""

# The packaged Verilator was configured without the compiler's flag for precompiled headers.
_MAKE = ["CFG_CXXFLAGS_PCH_I=-include", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "VM_PARALLEL_BUILDS=0"]


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module, and how C++ holds it."""

    name: str
    width: int
    output: bool

    @property
    def size(self) -> int:
        """Bytes of Verilator's type: 1, 2, 4, 8, or whole 32-bit words."""
        for size in (1, 2, 4, 8):
            if self.width <= 8 * size:
                return size
        return 4 * -(-self.width // 32)

    @property
    def member(self) -> str:
        """Verilator's name for it."""
        return f"__SYM__{self.name}" if self.name == "interrupt" else self.name.replace("__", "___05F")

    @property
    def dtype(self) -> Any:
        return np.dtype((np.void, self.size)) if self.size > 8 else np.dtype(f"<u{self.size}")


def ports_of(component: wiring.Component) -> list[Port]:
    """Ports of a component as Amaranth emits them, clock and reset left out."""
    return [
        Port("__".join(map(str, path)), Shape.cast(member.shape).width, member.flow is wiring.Out)
        for path, member, _ in component.signature.flatten(component)
    ]


def build(
    verilog: str,
    top: str,
    ports: Sequence[Port],
    main: Path,
    folder: Path,
    *,
    defines: Mapping[str, object] | None = None,
    options: Sequence[str] = (),
    optimize: str = "-O0",
) -> Path:
    """Builds a program from a Verilog module and a C++ main; returns its path. The same content once.

    `optimize` is the compiler's option: -O0 compiles soonest, -O1 pays from some million cycles on.
    `main` sees ``INPUTS(X)`` and ``OUTPUTS(X)`` (``X(member)`` for each port) and `defines`.

    Raises
    ------
    ToolError
        If a tool is missing or fails; the message names its log.
    """
    check_host(("g++", "make", "perl"))
    inputs = " ".join(f"X({port.member})" for port in ports if not port.output)
    outputs = " ".join(f"X({port.member})" for port in ports if port.output)
    header = [f"#define INPUTS(X) {inputs}", f"#define OUTPUTS(X) {outputs}"]
    header += [f"#define {name} {value}" for name, value in (defines or {}).items()]
    text = "\n".join([*header, '#include "Vtop.h"', "using Top = Vtop;", ""])
    content = json.dumps([verilog, text, main.read_text(), list(options), optimize])
    folder = folder / hashlib.sha256(content.encode()).hexdigest()[:16]
    program = folder / "obj" / "Vtop"
    if (folder / "built").exists():
        return program
    write_text(folder / "top.v", verilog)
    write_text(folder / "top.h", text)
    write_text(folder / "main.cpp", main.read_text())
    arguments = [
        "--cc",
        "--exe",
        "-O3",
        "-Wno-lint",
        "-Wno-fatal",
        "--top-module",
        top,
        "--prefix",
        "Vtop",
        "--Mdir",
        "obj",
    ]
    _run(
        ["verilator_bin", *arguments, "-CFLAGS", "-I..", *options, "top.v", "main.cpp"],
        folder,
        "verilator.log",
    )
    # Verilator's makefile would take whatever `python` there is, and a bare machine has none.
    variables = [f"OPT_FAST={optimize}", f"PYTHON3={sys.executable}", *_MAKE]
    _run(["make", "-C", "obj", "-f", "Vtop.mk", *variables], folder, "make.log")
    write_text(folder / "built", "")
    return program


def play(
    program: Path, ports: Sequence[Port], stimulus: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Plays a stimulus through a program built with ``CYCLES``.

    Parameters
    ----------
    stimulus
        For each input port one value per cycle; ports that are not named stay 0.

    Returns
    -------
    dict of array by output port
        What each output shows at the end of each cycle, just before the clock edge.
    """
    cycles = len(next(iter(stimulus.values())))
    record = np.zeros(cycles, [(port.name, port.dtype) for port in ports if not port.output])
    for name, values in stimulus.items():
        if values.dtype.itemsize > record.dtype[name].itemsize:
            raise ValueError(f"Stimulus of {name} must be {record.dtype[name]}, not {values.dtype}")
        record[name] = values
    given, seen = program.with_name("stimulus.bin"), program.with_name("outputs.bin")
    record.tofile(given)
    program = program.resolve()
    subprocess.run([str(program), str(given), str(seen)], check=True)
    outputs = np.fromfile(seen, [(port.name, port.dtype) for port in ports if port.output])
    if len(outputs) != cycles:
        raise ToolError(f"{program} played {len(outputs)} of {cycles} cycles")
    return {port.name: outputs[port.name] for port in ports if port.output}


def _run(command: list[str], folder: Path, log: str) -> None:
    with (folder / log).open("w") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=verilator_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise ToolError(f"{command[0]} failed (log: {folder / log})")
