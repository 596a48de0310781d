"""Checks of arguments: one error style for formats, configurations and components."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

__all__ = ["check_choice", "check_int", "check_nesting", "plain_numbers"]


def check_choice(name: str, value: object, choices: tuple[object, ...], *, of: str = "") -> None:
    """Raises ValueError unless `value` is one of `choices` (and of the same type: True is not 1).

    `of` is who takes no others, where the value is a legal one elsewhere.
    """
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices[:-1])
        listed = f"{listed} or {choices[-1]!r}" if listed else repr(choices[-1])
        raise ValueError(f"{name} must be {listed}{of and f' in {of}'}, not {value!r}")


def check_int(name: str, value: Any, low: int, high: int, *, power_of_two: bool = False) -> None:
    """Raises TypeError unless `value` is an int, ValueError unless it is in low..high."""
    kind = "a power of two" if power_of_two else "an integer"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be {kind} from {low} to {high}, not {value!r}")
    if not low <= value <= high or (power_of_two and value & (value - 1)):
        raise ValueError(f"{name} must be {kind} from {low} to {high}, not {value!r}")


def check_nesting(name: str, bank: int, group: int | None) -> None:
    """Raises ValueError unless a group is whole banks, or a bank whole groups."""
    if group is not None and group % bank and bank % group:
        raise ValueError(f"Group must be a multiple of {name} ({bank}) or divide it, not {group!r}")


def plain_numbers(parameters: Any) -> None:
    """Makes Python's numbers of NumPy's among the fields of a frozen dataclass that is being made."""
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(parameters, field.name, value.item())
