"""Placement and routing of a mapped design in OSU018 cells, with Debian's qflow: graywolf and qrouter."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .libraries import Library
from .timing import worst_path
from .tools import ToolError

__all__ = ["CELLS", "ROUTE", "Cell", "Layout", "Netlist", "layout", "netlist", "routed", "wire_length"]

_SCRIPTS = Path("/usr/lib/qflow/scripts")
_TECHNOLOGY = Path("/usr/share/qflow/tech/osu018")
CELLS = _TECHNOLOGY / "osu018_stdcells.lef"
"""Has the sizes of cells."""
_NEEDED = {"qflow": "qflow", "graywolf": "graywolf", "qrouter": "qrouter", "tcsh": "tcsh"}
"""Programs, and the Debian packages that have them."""


@dataclass(frozen=True)
class Cell:
    """A placed cell: its type, and its lower left corner in micrometres."""

    kind: str
    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """What was placed and routed.

    Attributes
    ----------
    width, height : float
        Of the core, in micrometres.
    wire : float
        Length of all signals' wires, in millimetres.
    failed : int
        Nets that are not routed.
    period_before, period : float
        Nanoseconds of the longest path without wires, and with them.
    cells : list of Cell
        Without fillers.
    """

    width: float
    height: float
    wire: float
    failed: int
    period_before: float
    period: float
    cells: list[Cell]


@dataclass(frozen=True)
class Netlist:
    """A design of library cells with plain names: for the placer, and for the timer.

    Attributes
    ----------
    blif, verilog : str
        Instances are TYPE_NUMBER in both, as the placer calls them. The clock's port is ``clk_0``.
    """

    blif: str
    verilog: str


def netlist(module: Mapping[str, Any]) -> Netlist:
    """Names a flat module of Yosys's JSON anew; raises ToolError if a cell's input is constant.

    Ports that no cell drives or reads are left out.
    """
    cells = [cell for cell in module["cells"].values() if not cell["type"].startswith("$")]
    read = {bit for cell in cells for bits in cell["connections"].values() for bit in bits}
    if constant := sorted(bit for bit in read if isinstance(bit, str)):
        raise ToolError(f"Cells must have no constant inputs to be placed, but some have {constant[0]}")
    nets: dict[int, str] = {}
    ports: dict[str, list[str]] = {"input": [], "output": []}
    for name, port in module["ports"].items():
        for index, bit in enumerate(port["bits"]):
            if bit in read and bit not in nets:
                nets[bit] = f"{name}_{index}"
                ports[port["direction"]].append(nets[bit])
    counts: dict[str, int] = {}
    gates, instances = [], []
    for cell in cells:
        kind = cell["type"]
        counts[kind] = counts.get(kind, 0) + 1
        instance = f"{kind}_{counts[kind]}"
        pins = {pin: nets.setdefault(bits[0], f"n{bits[0]}") for pin, bits in cell["connections"].items()}
        gates.append(f".gate {kind} " + " ".join(f"{pin}={net}" for pin, net in pins.items()))
        instances.append(f"{kind} {instance} ({', '.join(f'.{pin}({net})' for pin, net in pins.items())});")
    blif = [".model top", f".inputs {' '.join(ports['input'])}", f".outputs {' '.join(ports['output'])}"]
    declared = [f"{direction} {name};" for direction, every in ports.items() for name in every]
    text = [
        f"module top ({', '.join([*ports['input'], *ports['output']])});",
        *declared,
        *instances,
        "endmodule",
    ]
    return Netlist("\n".join([*blif, *gates, ".end"]) + "\n", "\n".join(text) + "\n")


def routed() -> None:
    """Raises ToolError with what installs them if programs are missing."""
    missing = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    if not _TECHNOLOGY.exists():
        missing.append("qflow-tech-osu018")
    if missing:
        raise ToolError(
            f"Layout needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} missing: run "
            f"sudo apt-get install {' '.join(missing)}"
        )


def layout(design: Netlist, library: Library, folder: Path) -> Layout:
    """Places and routes a design; takes minutes for thousands of cells.

    There is no clock tree: the clock is one net, ideal for timing. Capacitances of wires are those of the
    technology's file, without coupling.

    Parameters
    ----------
    design
        See :func:`netlist`.
    library
        OSU018 with timing.
    folder
        Where files and logs are left.

    Raises
    ------
    ToolError
        If a program is missing or fails; the message names its log.
    """
    routed()
    folder = folder.resolve()
    for name in ("source", "synthesis", "layout", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "synthesis" / "top.blif").write_text(design.blif)
    (folder / "top.v").write_text(design.verilog)
    (folder / "qflow_vars.sh").write_text(_PROJECT.format(folder=folder, scripts=_SCRIPTS, tech=_TECHNOLOGY))
    (folder / "project_vars.sh").write_text("set vddnet = vdd\nset gndnet = gnd\n")
    shutil.copy(_TECHNOLOGY / "osu018.par", folder / "layout" / "top.par")
    (folder / "layout" / "top.cfg2").write_text(ROUTE)
    _run(["tcsh", "-f", str(_SCRIPTS / "placement.sh"), "-d", str(folder), "top"], folder, "place.log")
    _run(["tcsh", "-f", str(_SCRIPTS / "router.sh"), str(folder), "top"], folder, "route.log")
    log = (folder / "log" / "route.log").read_text()
    final = re.findall(r"^Final: (?:No failed routes|Failed net routes: (\d+))", log, re.MULTILINE)
    if not final:
        raise ToolError(f"qrouter did not finish (log: {folder / 'log' / 'route.log'})")
    return _measured(library, folder, int(final[-1] or 0))


def _measured(library: Library, folder: Path, failed: int) -> Layout:
    """The layout whose files are in `folder`, timed with its wires."""
    liberty = str(library.liberty.resolve())  # tools run inside the folder
    parasitics = [str(_SCRIPTS.parent / "bin" / "rc2dly"), "-r", "layout/top.rc", "-l", liberty]
    _run([*parasitics, "-d", "layout/top.spef"], folder, "route.log")
    spef = folder / "layout" / "wires.spef"
    spef.write_text(_spef((folder / "layout" / "top.spef").read_text()))
    text = (folder / "layout" / "top.def").read_text()
    left, bottom, right, top = (int(edge) / 100 for edge in re.search(_AREA, text).groups())  # type: ignore[union-attr]
    netlists = [folder / "top.v"]
    return Layout(
        right - left,
        top - bottom,
        round(wire_length(text.splitlines()), 3),
        failed,
        worst_path(netlists, "top", library, folder, clock="clk_0"),
        worst_path(netlists, "top", library, folder, clock="clk_0", parasitics=spef),
        [
            Cell(kind, int(x) / 100, int(y) / 100)
            for kind, x, y in re.findall(_PLACED, text, re.MULTILINE)
            if kind != "FILL"
        ],
    )


_PROJECT = """\
set projectpath={folder}
set techdir={tech}
set sourcedir={folder}/source
set synthdir={folder}/synthesis
set layoutdir={folder}/layout
set techname=osu018
set scriptdir={scripts}
set bindir=/usr/lib/qflow/bin
set logdir={folder}/log
"""
ROUTE = """\
set result [stage1]
if {$result > 0} {set result [stage2 mask 10 limit 200]}
if {$result > 0} {set result [stage2 mask none effort 100 limit 1000]}
write_def top_route.def
write_delays top_route.rc
quit
"""
"""What qrouter does. By itself it gives up a net that would displace more than ten others, such as a clock of
hundreds of registers. Its third stage, which only makes wires shorter, is left out."""
_AREA = r"DIEAREA \( (-?\d+) (-?\d+) \) \( (-?\d+) (-?\d+) \)"
_PLACED = r"^- \S+ (\S+) \+ PLACED \( (-?\d+) (-?\d+) \)"


def wire_length(lines: Iterable[str]) -> float:
    """Millimetres of the routed nets of a DEF file in hundredths of a micrometre; supplies do not count."""
    total, inside = 0, False
    for line in lines:
        if line.startswith(("NETS", "END NETS")):
            inside = line.startswith("NETS")
        if inside and (found := re.match(r"\s*(?:\+ ROUTED|NEW) \S+ (.*)", line)):
            (x, y), *others = re.findall(r"\( (\S+) (\S+) \)", found[1])
            here = [int(x), int(y)]
            for pair in others:
                there = [old if new == "*" else int(new) for new, old in zip(pair, here, strict=True)]
                total += sum(abs(a - b) for a, b in zip(there, here, strict=True))
                here = there
    return total / 100_000


def _spef(text: str) -> str:
    """qrouter's parasitics as OpenSTA reads them: values are picofarads, nodes of a net are NET:NUMBER."""
    head, nets = (
        text.replace("*C_UNIT 1 FF", "*C_UNIT 1 PF")
        .replace("*DELIMITER /", "*DELIMITER :")
        .split("*D_NET", 1)
    )
    nets = re.sub(r"(?<= )(\d+)_(\d+)\b", r"*\1:\2", f"*D_NET{nets}")
    return head + re.sub(r"(\*\d+)/(\w+)", r"\1:\2", nets)


def _run(command: Sequence[str], folder: Path, log: str) -> None:
    ran = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise ToolError(f"Layout failed in {log.removesuffix('.log')} (log: {folder / 'log' / log})")
