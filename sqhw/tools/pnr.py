"""Clock frequency on a Lattice ECP5: place and route with nextpnr, between registers, over several seeds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from . import cache as store
from .adders import explicit
from .cache import CACHE
from .synth import run_yosys
from .targets import TARGETS
from .tools import ToolError, nextpnr_ecp5, yosys

__all__ = ["DEVICES", "Netlist", "Slowest", "device", "netlist", "place", "slowest", "typical"]

DEVICES: dict[str, tuple[str, int]] = {
    "25k": ("CABGA256", 24288),
    "45k": ("CABGA256", 43848),
    "85k": ("CABGA756", 83640),
}
"""ECP5 by nextpnr's name: a package, and its LUTs. Speed grade 6."""
_FILL = 0.9
"""A device is taken to be full at this share of its LUTs."""


@dataclass(frozen=True)
class Netlist:
    """A design mapped to ECP5 cells.

    Attributes
    ----------
    path : str
        JSON for nextpnr.
    luts : int
        Lookup tables, two per carry cell.
    """

    path: str
    luts: int


@dataclass(frozen=True)
class Slowest:
    """The longest path between registers, by their names in the design, in nanoseconds."""

    begin: str
    end: str
    logic: float
    wires: float


def netlist(verilog: str, top: str, *, names: bool = True, dsp: bool = False, cache: Path = CACHE) -> Netlist:
    """Maps a design to ECP5, without DSP blocks unless `dsp`; raises ToolError as Yosys does.

    Without `names` synthesis leaves out its last stage, which names cells: it takes longer than the rest.
    """
    tool = yosys()
    lines = [*explicit(), f"synth_ecp5{'' if dsp else ' -nodsp'} -top {top}"]
    if not names:
        lines[-1:] = [f"{lines[-1]} -run begin:check", "blackbox =A:whitebox"]
    script = "\n".join([*lines, "tee -q -o stat.json stat -json", "write_json netlist.json"]) + "\n"

    def make(folder: Path) -> dict[str, Any]:
        (folder / "design.v").write_text(verilog)
        run_yosys(tool, script, folder)
        cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
        luts = round(TARGETS["ecp5"].resources(cells)["LUT"])
        return asdict(Netlist(str(folder / "netlist.json"), luts))

    return Netlist(**store.result(cache / store.key([verilog, script, tool.version]), make))


def device(luts: int) -> str | None:
    """The smallest device that holds that many lookup tables; None if there is none."""
    return next((name for name, (_, size) in DEVICES.items() if luts <= _FILL * size), None)


def place(design: Netlist, part: str, seed: int, *, cache: Path = CACHE) -> float:
    """Places and routes once; returns the clock's largest frequency in MHz, by static timing analysis.

    Raises
    ------
    ToolError
        If nextpnr is missing, is not the pinned version, or fails; the message names its log.
    """
    return _placed(design, part, seed, cache)[1]["mhz"]


def slowest(design: Netlist, part: str, seed: int, *, cache: Path = CACHE) -> Slowest:
    """The path that decides :func:`place`; parameters and errors are the same."""
    folder, found = _placed(design, part, seed, cache)
    paths = json.loads((folder / "timing.json").read_text())["critical_paths"]
    inside = (path["path"] for path in paths if path["from"] == path["to"])
    steps = max(inside, key=lambda steps: sum(step["delay"] for step in steps))
    wires = sum(step["delay"] for step in steps if step["type"] == "routing")
    begin, end = (re.sub(r"_TRELLIS_FF.*", "", steps[index]["to"]["cell"]) for index in (0, -1))
    return Slowest(begin, end, round(1000 / found["mhz"] - wires, 2), round(wires, 2))


def _placed(design: Netlist, part: str, seed: int, cache: Path) -> tuple[Path, dict[str, float]]:
    """Places and routes once; returns the folder and what was found."""
    tool = nextpnr_ecp5()
    package, _ = DEVICES[part]
    options = [f"--{part}", "--package", package, "--speed", "6", "--seed", str(seed), "--freq", "250"]
    options += ["--timing-allow-fail", "--lpf-allow-unconstrained", "--json", "netlist.json"]
    options += ["--report", "timing.json", "--quiet", "--log", "nextpnr.log"]
    text = Path(design.path).read_text()

    def make(folder: Path) -> dict[str, float]:
        shutil.copyfile(design.path, folder / "netlist.json")
        ran = subprocess.run(
            [tool.path, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / "netlist.json").unlink()
        if ran.returncode:
            reason = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            raise ToolError(f"nextpnr failed: {reason} (log: {folder / 'nextpnr.log'})")
        clocks = json.loads((folder / "timing.json").read_text())["fmax"]
        return {"mhz": min(clock["achieved"] for clock in clocks.values())}

    folder = cache / store.key([text, options, tool.version])
    return folder, store.result(folder, make)


def typical(frequencies: list[float]) -> float:
    """The median over seeds."""
    return round(median(frequencies), 1)
