"""What a design is synthesized for: Yosys commands, and how cells become resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .liberty import read_cells
from .osu018 import cell_library

__all__ = ["LIBERTY", "TARGETS", "Target", "standard_cells"]

LIBERTY = Path(__file__).with_name("nand2.lib")
"""Generic cells with their areas in NAND2 equivalents."""


def _gate_equivalents(liberty: Path, nand2: str) -> dict[str, float]:
    cells = read_cells(liberty)
    return {name: cell.area / cells[nand2].area for name, cell in cells.items()}


@dataclass(frozen=True)
class Target:
    """A technology.

    Parameters
    ----------
    name, title
        Short name for options and files; title for tables.
    commands
        Yosys commands from a hierarchy to mapped cells. ``{flatten}`` stands for `flat` or `hierarchical`.
    flat, hierarchical
        What ``{flatten}`` becomes.
    weights
        For each resource, how much of it a cell takes, by cell type (shell patterns).
    liberty
        Library of the cells that ``commands`` map to, if they are gates; they find it by its file name.
    """

    name: str
    title: str
    commands: str
    flat: str
    hierarchical: str
    weights: Mapping[str, Mapping[str, float]]
    liberty: Path | None = None

    def script(self, *, flatten: bool) -> str:
        return self.commands.format(flatten=self.flat if flatten else self.hierarchical)

    def resources(self, cells: Mapping[str, int]) -> dict[str, float]:
        """Resources that a number of cells of each type take."""
        return {
            resource: sum(
                weight * count
                for cell, count in cells.items()
                for pattern, weight in weights.items()
                if fnmatchcase(cell, pattern)
            )
            for resource, weights in self.weights.items()
        }


# The stock ABC script does not finish in minutes on multiplier trees; this one does, and maps better.
_GATES = """\
synth -noabc {flatten}
async2sync
attrmap -remove init
dfflegalize -cell $_DFF_P_ x
opt -full
simplemap
dfflibmap -liberty {liberty}
abc -liberty {liberty} -script +strash;dc2;dc2;&get,-n;&dch,-f;&nf;&put"""


def _gates(name: str, title: str, liberty: Path, nand2: str, registers: str) -> Target:
    """Gates of a library, one mapping script for all; GE are areas in NAND2 gates."""
    return Target(
        name,
        title,
        _GATES.replace("{liberty}", liberty.name),
        "-flatten",
        "",
        {"GE": _gate_equivalents(liberty, nand2), "FF": {registers: 1}},
        liberty,
    )


def standard_cells() -> Target:
    """OSU018 standard cells, fetched when they are not there yet; raises ToolError if that fails."""
    liberty = cell_library().liberty
    return _gates("osu018", "OSU018 standard cells", liberty, "NAND2X1", "DFFPOSX1")


# FPGA flows stop before their last stage, which only renames and prints, and takes a third of the time.
# Mapping around a black box trips over wires of the same name, which no count needs.
_LATTICE = """\
{command} -run begin:map_luts {{flatten}}
rename -hide w:*
{command} -run map_luts:check {{flatten}}"""


def _lattice(command: str) -> str:
    return _LATTICE.format(command=command)


_ECP5_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
_ECP5 = {"LUT": _ECP5_LUTS, "FF": {"TRELLIS_FF": 1}, "DSP": {"MULT18X18D": 1}, "BRAM": {"DP16KD": 1}}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _gates("gates", "Generic gates", LIBERTY, "NAND2", "DFF"),
        Target("ecp5", "ECP5", _lattice("synth_ecp5"), "", "-noflatten", _ECP5),
        Target("ecp5-nodsp", "ECP5 without DSP", _lattice("synth_ecp5 -nodsp"), "", "-noflatten", _ECP5),
        Target(
            "ice40",
            "iCE40",
            _lattice("synth_ice40"),
            "",
            "-noflatten",
            {"LUT": {"SB_LUT4": 1}, "FF": {"SB_DFF*": 1}, "BRAM": {"SB_RAM40*": 1}},
        ),
        Target(
            "xc7",
            "Xilinx 7",
            "synth_xilinx -family xc7 -noiopad -noclkbuf -run begin:check {flatten}",
            "-flatten",
            "",
            {
                "LUT": {"LUT[1-6]": 1, "RAM32M": 4, "SRL16E": 1, "SRLC32E": 1},
                "FF": {"FD[RSCP]E*": 1},
                "DSP": {"DSP48E1": 1},
                "BRAM": {"RAMB18E1": 0.5, "RAMB36E1": 1},
            },
        ),
    )
}
"""Technologies by name. Counts are after mapping and before packing; a placer may merge or split cells.

``gates``: NAND2 equivalents (``nand2.lib``), registers without enable and reset, which cost gates.
``ecp5``: LUT = LUT4s, two per carry cell, four per distributed RAM. ``ice40``: LUT = SB_LUT4 (carry cells
share their logic cells). ``xc7``: LUT = LUT1..LUT6, shift registers, four per RAM32M.
"""
