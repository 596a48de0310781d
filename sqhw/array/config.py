"""What an array is made of."""

from __future__ import annotations

from dataclasses import dataclass

from sw_reference.checks import check_int
from sw_reference.format import DenseFormat, SQFormat

from ..config import PRESETS, PEConfig

__all__ = ["ARRAYS", "SIDE_MAX", "ArrayConfig", "array_preset"]

SIDE_MAX = 16
"""The most rows, and the most columns, of an array."""


@dataclass(frozen=True)
class ArrayConfig:
    """Parameters of an array.

    Parameters
    ----------
    pe
        Formats, lanes and k_max, the same for every unit.
    rows, columns
        Rows of the SQ operand and columns of the dense operand that one tile holds, 1..16 each.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    pe: PEConfig
    rows: int
    columns: int

    def __post_init__(self) -> None:
        if not isinstance(self.pe, PEConfig):
            raise TypeError(f"PE configuration must be a PEConfig, not {self.pe!r}")
        check_int("Rows", self.rows, 1, SIDE_MAX)
        check_int("Columns", self.columns, 1, SIDE_MAX)


ARRAYS: dict[str, ArrayConfig] = {
    "default": ArrayConfig(PRESETS["default"], 8, 8),
    "sparse": ArrayConfig(PEConfig(SQFormat(32, 1, "fp16"), DenseFormat(4, 64), 32, 1), 8, 8),
    "compact": ArrayConfig(PRESETS["compact"], 8, 8),
    "tiny": ArrayConfig(PRESETS["tiny"], 2, 2),
}
"""Design points by name.

``default``, ``compact`` and ``sparse`` never stall, whatever the data. They have two INT8 outliers and two
outlier lanes per 16 lanes, the same per 32, and one FP16 outlier and one lane per 32. ``compact`` takes the
fewest gates per multiplication, ``default`` has the lowest perplexity. ``tiny`` is for quick tests.
"""


def array_preset(name: str) -> ArrayConfig:
    """Returns the array called `name`; raises ValueError if there is none."""
    if name not in ARRAYS:
        raise ValueError(f"Array must be one of {', '.join(ARRAYS)}, not {name!r}")
    return ARRAYS[name]
