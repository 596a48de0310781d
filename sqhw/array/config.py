"""What an array is made of."""

from __future__ import annotations

from dataclasses import dataclass

from sw_reference.format import check_int

from ..config import PEConfig

__all__ = ["SIDE_MAX", "ArrayConfig"]

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
