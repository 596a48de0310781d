"""Verilator: one place for its options, its environment and its errors."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sw_reference.files import write_text

from .tools import ToolError, check_host, check_paths, verilator_environment

__all__ = ["MAKE", "OPTIONS", "build", "run"]

OPTIONS = ("-O3", "-Wno-lint", "-Wno-fatal", "--output-split-cfuncs", "1000")
"""Compilers take too long for one function that has a whole array's clock edge."""
MAKE = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-O0",
    "VM_PARALLEL_BUILDS=0",
    f"PYTHON3={sys.executable}",
)
"""Variables of its makefiles: what runs once compiles soonest. The packaged Verilator lacks the compiler's
flag for precompiled headers, and would take whatever `python` there is: a bare machine has none."""


def build(
    verilog: str,
    top: str,
    main: Path,
    folder: Path,
    *,
    defines: Mapping[str, object],
    shared: bool = False,
    options: Sequence[str] = (),
    optimize: str = "-O0",
) -> Path:
    """Builds a program from a Verilog module and C++, the same content once; returns its path.

    Parameters
    ----------
    main
        Includes ``top.h``, which gives it `defines` and the model as ``Top``.
    shared
        Whether it is a library, which Python loads.
    options
        Of Verilator.
    optimize
        The compiler's option: -O0 compiles soonest, -O1 pays from some million cycles on.

    Raises
    ------
    ToolError
        If a tool is missing or fails; the message names its log.
    """
    check_host(("g++", "make", "perl"))
    check_paths(folder.resolve(), main.parent.resolve(), verilator_environment()["VERILATOR_ROOT"])
    header = [f"#define {name} {value}" for name, value in defines.items()]
    text = "\n".join([*header, '#include "Vtop.h"', "using Top = Vtop;", ""])
    content = json.dumps([verilog, text, main.read_text(), shared, list(options), optimize])
    folder = folder / hashlib.sha256(content.encode()).hexdigest()[:16]
    program = folder / "obj" / "Vtop"
    if (folder / "built").exists():
        return program
    write_text(folder / "top.v", verilog)
    write_text(folder / "top.h", text)
    write_text(folder / "main.cpp", main.read_text())
    command = [
        "--cc",
        "--exe",
        "--no-assert",
        *OPTIONS,
        "--top-module",
        top,
        "--prefix",
        "Vtop",
        "--Mdir",
        "obj",
    ]
    command += ["-CFLAGS", f"-I.. -I{main.parent.resolve()}"]
    if shared:
        command += ["-CFLAGS", "-fPIC -fno-gnu-unique", "-LDFLAGS", "-shared"]
    run(["verilator_bin", *command, *options, "top.v", "main.cpp"], folder, "verilator.log")
    run(["make", "-C", "obj", "-f", "Vtop.mk", f"OPT_FAST={optimize}", *MAKE], folder, "make.log")
    write_text(folder / "built", "")
    return program


def run(command: Sequence[str], folder: Path, log: str = "") -> None:
    """Runs a program in a folder, with Verilator on PATH; its output goes to `log`, if that has a name.

    Raises
    ------
    ToolError
        If it fails. The message names the log; without one it quotes the end of the output.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=verilator_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if log:
        write_text(folder / log, done.stdout)
    if done.returncode:
        end = f" (log: {folder / log})" if log else f":\n{done.stdout.strip()[-2000:]}"
        raise ToolError(f"{Path(command[0]).name} failed{end}")
