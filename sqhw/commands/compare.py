"""``sqhw compare`` and ``measure roofline``: one point beside rivals, and how fast a model runs on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from ..config import SIDE_MAX, ArrayConfig, PEConfig
from ..console import Command, Outcome, Refused, command_line, progress, refusing, say, table
from ..measure import compare as points
from ..measure import roofline as rooflines
from ..options import options, selected
from ..presets import ARRAYS, PRESETS
from ..tools.libraries import LIBRARIES, fetched
from .reports import jobs_option, library_options, own_cells

__all__ = ["compare", "roofline"]


class _Shape(click.ParamType[tuple[int, int]]):
    """Rows and columns: 8x8."""

    name = "RxC"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        found = re.fullmatch(r"(\d+)x(\d+)", str(value))
        sides = (int(found[1]), int(found[2])) if found else (0, 0)
        if not all(1 <= side <= SIDE_MAX for side in sides):
            raise Refused(f"Array must be RxC, each from 1 to {SIDE_MAX}, not {value!r}")
        return sides


class _Period(click.ParamType[float]):
    """Nanoseconds: 5 or 5ns."""

    name = "NS"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:ns)?", str(value))
        if not found or not float(found[1]):
            raise Refused(f"Period must be nanoseconds above 0, such as 5ns, not {value!r}")
        return float(found[1])


@click.command(cls=Command)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", help="Processing element.")
@click.option("--array", "shape", type=_Shape(), default="8x8", help="Rows and columns; 1x1 is one element.")
@click.option(
    "--period", type=_Period(), help="Clock period that all netlists reach.  [default: the smallest]"
)
@click.option(
    "--library", type=click.Choice(list(LIBRARIES)), help="Cells.  [default: sky130; timed: osu018]"
)
@library_options("--library's")
@jobs_option
@options(PEConfig)
def compare(
    preset: str,
    shape: tuple[int, int],
    period: float | None,
    library: str | None,
    liberty: Path | None,
    nand: str | None,
    full_adder: str | None,
    workers: int,
    **values: Any,
) -> Outcome:
    """Compare one point with every rival of as many lanes: area, clock, energy, bits, perplexity.

    Parameters replace the preset's. The first run takes minutes; what was measured is kept.
    """
    with refusing():
        (config,) = selected(PRESETS, preset, (preset,), values).values()
    if liberty and library:
        raise Refused("Cells must come from --library or --liberty, not from both")
    own = own_cells(liberty, nand, full_adder)
    cells = own or fetched(library or ("sky130" if period is None else "osu018"))
    with progress() as begin:
        report = points.compare(
            config, shape, cells, period=period, workers=workers, begin=begin, command=command_line()
        )

    def show() -> None:
        table(*points.table(report))
        for note in report["notes"]:
            say(note)

    return Outcome(report, show)


@click.command(cls=Command)
@click.option("--preset", type=click.Choice(list(ARRAYS)), default="default", help="Array.")
@click.option("--clock", "mhz", type=click.FloatRange(0, min_open=True), default=500, help="MHz.")
@click.option(
    "--bandwidth",
    type=click.FloatRange(0, min_open=True),
    default=10,
    help="Of the memory, in 1e9 bytes per second.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Choice(list(rooflines.MODELS)),
    default=list(rooflines.MODELS),
    help="Whose linear layers are multiplied.",
)
@options(ArrayConfig)
def roofline(preset: str, mhz: float, bandwidth: float, models: tuple[str, ...], **values: Any) -> Outcome:
    """Calculate tokens per second of a model's linear layers, from clock and memory bandwidth.

    Each product takes the longer of its beats and its bytes: buffers are large enough, weights come once.
    Parameters of an array replace the preset's.
    """
    with refusing():
        (config,) = selected(ARRAYS, preset, (preset,), values).values()
    report = rooflines.roofline(
        config, mhz=mhz, gb_per_second=bandwidth, models=models, command=command_line()
    )
    return Outcome(report, lambda: table(*rooflines.table(report)))
