"""What a design is synthesized for: Yosys commands, and how cells become resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from .adders import mapped
from .libraries import Library

__all__ = ["GENERIC", "RECIPES", "TARGETS", "Target", "front_end", "gates", "mapping"]


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
    library
        The cells that ``commands`` map to, if they are gates: their resources are GE (area in NAND2 gates)
        and FF. The commands find its file by its name.
    """

    name: str
    title: str
    commands: str
    flat: str
    hierarchical: str
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    library: Library | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of its resources."""
        return ("GE", "FF") if self.library else tuple(self.weights)

    @property
    def liberty(self) -> Path | None:
        return self.library.liberty if self.library else None

    def script(self, *, flatten: bool) -> str:
        return self.commands.replace("{flatten}", self.flat if flatten else self.hierarchical)

    def resources(self, cells: Mapping[str, int]) -> dict[str, float]:
        """Resources that a number of cells of each type take."""
        if self.library:
            return {"GE": self.library.gate_equivalents(cells), "FF": self.library.registers(cells)}
        return {
            resource: sum(
                weight * count
                for cell, count in cells.items()
                for pattern, weight in weights.items()
                if fnmatchcase(cell, pattern)
            )
            for resource, weights in self.weights.items()
        }


RECIPES = {
    "small": "strash;dch;amap",
    "sized": "strash;dch;amap;buffer,-c;topo;upsize;dnsize",
    "straight": "strash;amap",
    "straight, sized": "strash;amap;buffer,-c;topo;upsize;dnsize",
}
"""ABC scripts, the smallest netlist first; ``small`` is the one that areas are measured with.

All map for area. ``dch`` finds smaller forms of the logic, and longer paths with them; without it adders
stay as they were made. ``sized`` inserts buffers and chooses drive strengths for delay, so it needs a timed
library.
"""

# The stock ABC script does not finish in minutes on multiplier trees; these do, and map better.
_GATES = """\
read_liberty -lib -ignore_miss_func {liberty}
synth -run begin:fine {flatten}
{adders}
synth -run fine:check -noabc
async2sync
attrmap -remove init
dfflegalize -cell $_DFF_P_ x
opt -full
simplemap
dfflibmap -liberty {liberty}"""
_ABC = "abc -liberty {liberty} -script +{recipe}"


def gates(library: Library, recipe: str = "small") -> Target:
    """Cells of a library, one mapping script for all: see :data:`RECIPES`."""
    return Target(
        library.name,
        library.title,
        f"{front_end(library)}\n{mapping(library, recipe)}",
        "-flatten",
        "",
        library=library,
    )


def front_end(library: Library) -> str:
    """Commands up to registers and full adders of the library, and logic that is not mapped yet."""
    text = _GATES.replace("{adders}", "\n".join(mapped(library.full_adder)))
    return text.replace("{liberty}", library.liberty.name)


def mapping(library: Library, recipe: str) -> str:
    """The command that maps that logic."""
    return _ABC.format(liberty=library.liberty.name, recipe=RECIPES[recipe])


GENERIC = Library(
    "gates",
    "Generic gates",
    Path(__file__).with_name("nand2.lib"),
    "NAND2",
    None,
    False,
    "sqhw/tools/nand2.lib",
)
"""Cells of no process, their areas in NAND2 gates: for quick reports, and where nothing can be fetched."""


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
        gates(GENERIC),
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
