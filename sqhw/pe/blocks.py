"""The blocks that a configuration's datapath is made of, for processing element and array alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..config import PEConfig
from .column import ColumnSide
from .decoder import BitmapDecoder
from .mac import MACUnit
from .one_step.column import OneStepColumnSide
from .one_step.decoder import IndexDecoder
from .one_step.row import OneStepRowSide
from .one_step.schedule import OneStepSchedule
from .one_step.unit import OneStepUnit
from .outliers import outlier_path
from .outliers.path import OutlierPath
from .row import RowSide

__all__ = ["Blocks", "blocks", "stepped"]


@dataclass(frozen=True)
class Blocks:
    """Decoder, row side, column side and unit of a datapath, and when its sums are there.

    Attributes
    ----------
    decoder
        Makes, from a configuration, what turns beats of the SQ operand into steps: members ``i`` and ``o``.
        With `counted`, beats are counted before they come there.
    row_side, column_side, unit
        Each a class and the argument of its constructor. A row side has the members ``i``, ``valid`` and
        ``o``, where ``o.last`` and ``o.error`` go with a finished sum; a column side ``i`` and ``o``; a unit
        ``row``, ``column`` and ``acc``.
    result
        Cycles from a step to the sum that it completes.
    column_valid
        Whether column sides have ``valid`` too: their operand is worked on in this cycle.
    active
        Names, below the unit, of signals that are set after an outlier was taken.
    held
        Names, below the datapath, of the operand registers that hold while there is no outlier.
    """

    decoder: Callable[..., Any]
    row_side: tuple[type, Any]
    column_side: tuple[type, Any]
    unit: tuple[type, Any]
    result: int
    column_valid: bool
    active: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


def stepped(path: OutlierPath) -> Blocks:
    """Returns the blocks around an outlier path: a beat takes as many steps as its outliers need."""
    return Blocks(
        BitmapDecoder,
        (RowSide, path),
        (ColumnSide, path),
        (MACUnit, path),
        path.at.result,
        path.holds_group_scale,
        path.active,
        path.held,
    )


def blocks(config: PEConfig) -> Blocks:
    """Returns the blocks of a configuration's datapath."""
    if not config.one_step:
        return stepped(outlier_path(config))
    return Blocks(
        IndexDecoder,
        (OneStepRowSide, config),
        (OneStepColumnSide, config),
        (OneStepUnit, config),
        OneStepSchedule(config).result,
        config.dense.group is not None,
    )
