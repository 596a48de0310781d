"""What a design is synthesized for: Yosys commands, and how cells become resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ["LIBERTY", "TARGETS", "Target"]

LIBERTY = Path(__file__).with_name("nand2.lib")
"""Generic cells with their areas in NAND2 equivalents."""


def _gate_equivalents() -> dict[str, float]:
    cells = re.findall(r"cell \((\w+)\)\s*{ area : ([0-9.]+);", LIBERTY.read_text())
    return {name: float(area) for name, area in cells}


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
    """

    name: str
    title: str
    commands: str
    flat: str
    hierarchical: str
    weights: Mapping[str, Mapping[str, float]]

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
dfflibmap -liberty nand2.lib
abc -liberty nand2.lib -script +strash;dc2;dc2;&get,-n;&dch,-f;&nf;&put"""

# FPGA flows stop before their last stage, which only renames and prints, and takes a third of the time.
_ECP5_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
_ECP5 = {"LUT": _ECP5_LUTS, "FF": {"TRELLIS_FF": 1}, "DSP": {"MULT18X18D": 1}, "BRAM": {"DP16KD": 1}}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "gates",
            "Generic gates",
            _GATES,
            "-flatten",
            "",
            {"GE": _gate_equivalents(), "FF": {"DFF": 1}},
        ),
        Target("ecp5", "ECP5", "synth_ecp5 -run begin:check {flatten}", "", "-noflatten", _ECP5),
        Target(
            "ecp5-nodsp",
            "ECP5 without DSP",
            "synth_ecp5 -nodsp -run begin:check {flatten}",
            "",
            "-noflatten",
            _ECP5,
        ),
        Target(
            "ice40",
            "iCE40",
            "synth_ice40 -run begin:check {flatten}",
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
