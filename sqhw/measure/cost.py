"""What any unit costs in any library: area, registers, blocks, and the clock that it reaches.

This is the one ruler: the tables of docs/results, the design space and single comparisons measure with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..tools import cache as store
from ..tools.cache import CACHE
from ..tools.libraries import Library
from ..tools.synth import Mapped, Report, map_recipe, synthesize
from ..tools.targets import RECIPES, gates
from ..tools.timing import least_period, opensta
from .parts import Emitted, combine, emit, parts
from .resources import blocks
from .units import Unit

__all__ = ["Cost", "Point", "cost", "curve", "part_jobs", "recipe_jobs", "smallest_period"]


@dataclass(frozen=True)
class Cost:
    """Cells that a unit takes.

    Attributes
    ----------
    area : float
        In the library's unit, square micrometres for a process.
    gates : float
        The same in NAND2 gates (GE).
    registers : int
    cells : dict of int by cell type
    parts : dict of (count, GE each) by part
        What occurs once is ``shared once``; in arrays row sides and units occur many times.
    blocks : dict of float by block
        GE of each block, borders kept: their sum is not ``gates``. Empty without breakdown.
    recipe : str
        The mapping script: see :data:`~sqhw.tools.targets.RECIPES`, and :func:`recipe_jobs`.
    period : float or None
        Nanoseconds of the longest path of one processing element; None where it was not asked for.
    """

    area: float
    gates: float
    registers: int
    cells: dict[str, int]
    parts: dict[str, tuple[int, float]]
    blocks: dict[str, float]
    recipe: str
    period: float | None = None


@dataclass(frozen=True)
class Point:
    """Area against clock: a netlist's GE, and the least period of one processing element in nanoseconds."""

    recipe: str
    gates: float
    period: float


def cost(
    unit: Unit,
    library: Library,
    *,
    element: Unit | None = None,
    period: float | None = None,
    points: Sequence[Point] = (),
    breakdown: bool = False,
    cache: Path = CACHE,
) -> Cost:
    """Measures a unit, or takes what was measured of the same Verilog, library and tools.

    Parts that occur many times are synthesized once and counted; none has an output stage.

    Parameters
    ----------
    unit
        What is measured: a processing element, or an array of any shape.
    library
        Cells: :func:`~sqhw.tools.libraries.fetched` or :func:`~sqhw.tools.libraries.own_library`.
    element
        The processing element of the same lanes whose clock counts for an array; by default `unit` itself.
    period
        Nanoseconds. The smallest netlist that reaches it is measured, and the fastest if none does:
        ``Cost.period`` says what it reaches. Without it the smallest netlist is measured, and no clock.
    points
        What :func:`curve` gave for the element, if that is known.
    breakdown
        Whether to measure blocks too, which takes a second synthesis; not with a period.
    cache
        Folder of what was measured.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or a period is given and the library has no delays.
    """
    emitted = emit(unit, cache=cache)
    reached: Point | None = None
    if period is not None:
        points = points or curve(element or unit, library, cache=cache)
        reached = next((point for point in points if point.period <= period), points[-1])
    if reached is None:
        reports = {
            top: run() for top, run in part_jobs(emitted, library, breakdown=breakdown, cache=cache).items()
        }
    else:
        reports = {
            top: Report(top, library.name, run().cells, {})
            for top, run in recipe_jobs(emitted, library, reached.recipe, cache=cache).items()
        }
    whole = combine(emitted, reports)
    return Cost(
        library.area(whole.cells),
        library.gate_equivalents(whole.cells),
        library.registers(whole.cells),
        whole.cells,
        _parts(emitted, reports, library),
        {name: library.gate_equivalents(cells) for name, cells in blocks(whole).items() if cells},
        reached.recipe if reached else _SMALL,
        reached.period if reached else None,
    )


_SMALL = next(iter(RECIPES))
_FASTEST = next(reversed(RECIPES))
_OF_GATES = f"{_FASTEST}, adders of gates"
"""Full-adder cells are small and slow: the fastest netlist is one without."""


def curve(
    unit: Unit, library: Library, *, recipes: Sequence[str] = (*RECIPES, _OF_GATES), cache: Path = CACHE
) -> list[Point]:
    """What a processing element costs by clock: the netlists that none beats in both, the smallest first.

    There is one by each of `recipes`: see :data:`~sqhw.tools.targets.RECIPES`, and :func:`recipe_jobs`.

    Raises ToolError as :func:`cost`.
    """
    opensta(library)  # what is missing is said before work starts
    emitted = emit(unit, cache=cache)
    points = []
    for recipe in recipes:
        chosen = {top: run() for top, run in recipe_jobs(emitted, library, recipe, cache=cache).items()}
        reports = {top: Report(top, library.name, found.cells, {}) for top, found in chosen.items()}
        total = library.gate_equivalents(combine(emitted, reports).cells)
        points.append(Point(recipe, total, _period(emitted.top, chosen, library, cache)))
    points.sort(key=lambda point: (point.gates, point.period))
    return [p for place, p in enumerate(points) if all(p.period < q.period for q in points[:place])]


def smallest_period(unit: Unit, library: Library, *, cache: Path = CACHE) -> float:
    """Nanoseconds that a processing element's smallest netlist reaches: of :func:`curve` the first point.

    Raises ToolError as :func:`cost`.
    """
    opensta(library)
    emitted = emit(unit, cache=cache)
    mapped = {top: run() for top, run in recipe_jobs(emitted, library, _SMALL, cache=cache).items()}
    return _period(emitted.top, mapped, library, cache)


def part_jobs(
    emitted: Emitted, library: Library, *, breakdown: bool = False, cache: Path = CACHE
) -> dict[str, Callable[[], Report]]:
    """Synthesis of each part for area, by its top module."""
    target = gates(library)
    return {
        top: partial(synthesize, text, top, target, breakdown=breakdown, shared=shared, cache=cache)
        for top, (text, shared) in parts(emitted).items()
    }


def recipe_jobs(
    emitted: Emitted, library: Library, recipe: str, *, cache: Path = CACHE
) -> dict[str, Callable[[], Mapped]]:
    """Mapping of each part by a recipe, or by the fastest without full-adder cells, by its top."""
    cells = replace(library, full_adder=None) if recipe == _OF_GATES else library
    script = _FASTEST if recipe == _OF_GATES else recipe
    return {
        top: partial(map_recipe, text, top, cells, script, shared=shared, cache=cache)
        for top, (text, shared) in parts(emitted).items()
    }


def _period(top: str, chosen: Mapping[str, Mapped], library: Library, cache: Path) -> float:
    """Least period of parts joined, rounded to picoseconds."""
    netlists = [found.netlist for found in chosen.values()]
    texts = [path.read_text() for path in [*netlists, library.liberty]]

    def make(folder: Path) -> dict[str, Any]:
        return {"period": round(least_period(netlists, top, library, folder), 3)}

    period: float = store.result(cache / store.key(["opensta", top, *texts]), make)["period"]
    return period


def _parts(emitted: Emitted, reports: Mapping[str, Report], library: Library) -> dict[str, tuple[int, float]]:
    found = {"shared once": (1, library.gate_equivalents(reports[emitted.top].cells))}
    for top in emitted.shared:
        name = top.removeprefix(f"{emitted.top}_").rstrip("0123456789")
        found[name] = (reports[emitted.top].cells[top], library.gate_equivalents(reports[top].cells))
    return found
