"""Yosys's cells as Verilog expressions whose operands have the width that the operator works at.

An operand is a list of bits, lowest first: a net's number, or ``"0"``, ``"1"``, ``"x"``. It is extended here,
bit by bit, so no width or sign depends on the expression around it, and no tool has a width to warn about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Bits", "Expression", "constants", "expression", "settled"]

Bits = list[Any]

_BITWISE = {"$and": "&", "$or": "|", "$xor": "^"}
_ARITHMETIC = {"$add": "+", "$sub": "-", "$mul": "*"}
_COMPARE = {"$eq": "==", "$ne": "!=", "$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}
_REDUCE = {"$reduce_and": "&", "$reduce_or": "|", "$reduce_bool": "|", "$reduce_xor": "^"}
_SHIFT = {"$shl": "<<", "$shr": ">>", "$sshr": ">>>", "$shift": ">>"}


@dataclass(frozen=True)
class Expression:
    """An operator, its operands, and the width of its value, of which a cell may show the low bits alone.

    Operators are Verilog's; ``""`` passes its operand on. ``"?"`` has operands condition, value, condition,
    value, and so on, then the value if no condition holds. With `signed`, operands are.
    """

    operator: str
    operands: tuple[Bits, ...]
    width: int
    signed: bool = False


def expression(cell: Mapping[str, Any]) -> Expression:
    """The expression that a cell's output ``Y`` shows.

    Raises
    ------
    ValueError
        If the kind of cell has no expression here.
    """
    kind, pins = cell["type"], cell["connections"]
    signed = [int(cell["parameters"].get(f"{pin}_SIGNED", "0"), 2) != 0 for pin in "AB"]
    width, a, b = len(pins["Y"]), pins["A"], pins.get("B", [])
    if kind == "$mux" and isinstance(pins["S"][0], str):
        return Expression("", (b if pins["S"] == ["1"] else a,), width)
    if kind == "$mux":
        return Expression("?", (pins["S"], b, a), width)
    if kind == "$pmux":
        arms = [part for i, bit in enumerate(pins["S"]) for part in ([bit], b[i * width : (i + 1) * width])]
        return Expression("?", (*arms, a), width)
    if kind in _REDUCE:
        return _extended(Expression(_REDUCE[kind] if len(a) > 1 else "", (a,), 1), width)
    if kind == "$logic_not":
        return _extended(Expression("~|" if len(a) > 1 else "~", (a,), 1), width)
    if kind in ("$not", "$neg", "$pos"):
        operator = {"$not": "~", "$neg": "-", "$pos": ""}[kind]
        return Expression(operator, (_resize(a, width, signed[0]),), width)
    if kind in _SHIFT and not (kind == "$shift" and (signed[1] or (signed[0] and width > len(a)))):
        wide = width if kind == "$shl" else max(width, len(a))
        return Expression(_SHIFT[kind], (_resize(a, wide, signed[0]), b), wide, kind == "$sshr" and signed[0])
    both = all(signed)
    if kind in _COMPARE:
        wide = max(len(a), len(b))
        parts = (_resize(a, wide, both), _resize(b, wide, both))
        return _extended(Expression(_COMPARE[kind], parts, 1, both and kind not in ("$eq", "$ne")), width)
    if kind in _BITWISE or kind in _ARITHMETIC:
        # At equal widths the sign changes no bit; a multiplier is smaller where synthesis knows the sign.
        operator = (_BITWISE | _ARITHMETIC)[kind]
        parts = (_resize(a, width, both), _resize(b, width, both))
        return Expression(operator, parts, width, both and kind == "$mul")
    raise ValueError(f"Cell of kind {kind} has no Verilog here")


def settled(module: Mapping[str, Any]) -> Mapping[str, Any]:
    """The module with comparisons that no unsigned value can change as constants; linters warn of those."""
    known = {
        cell["connections"]["Y"][0]: value for cell in module["cells"].values() if (value := _fixed(cell))
    }
    if not known:
        return module
    cells = {
        name: cell
        | {
            "connections": {
                pin: bits if pin == "Y" else [known.get(bit, bit) for bit in bits]
                for pin, bits in cell["connections"].items()
            }
        }
        for name, cell in module["cells"].items()
        if cell["connections"].get("Y", [None])[0] not in known
    }
    ports, nets = (
        {
            name: item | {"bits": [known.get(bit, bit) for bit in item["bits"]]}
            for name, item in module[key].items()
        }
        for key in ("ports", "netnames")
    )
    return {**module, "cells": cells, "ports": ports, "netnames": nets}


def _fixed(cell: Mapping[str, Any]) -> str:
    """The value of a comparison with the least unsigned number, empty if it has none."""
    low = {pin: set(bits) <= {"0"} for pin, bits in cell["connections"].items()}
    if cell["type"] not in _COMPARE or int(cell["parameters"]["A_SIGNED"], 2):
        return ""
    always, never = (("$ge", "$lt") if low["B"] else ("$le", "$gt")) if low["A"] or low["B"] else ("", "")
    return {always: "1", never: "0"}.get(cell["type"], "")


def _resize(bits: Bits, width: int, signed: bool) -> Bits:
    return bits[:width] + [bits[-1] if signed and bits else "0"] * (width - len(bits))


def _extended(single: Expression, width: int) -> Expression:
    if width != 1:
        raise ValueError(f"Truth value must be one bit wide, not {width}")
    return single


def constants(digits: str) -> list[str]:
    """Literals of a constant, highest first: short ones, so that lines can end between them."""
    width = len(digits)
    if "x" in digits:
        return [f"{width}'b{digits}"]
    if width > 128 and int(digits, 2):
        head = width % 64 or 64
        return [text for part in (digits[:head], digits[head:]) for text in constants(part)]
    value = int(digits, 2)
    return [
        f"{width}'b{value}" if width == 1 else f"{width}'d{value}" if value < 10 else f"{width}'h{value:x}"
    ]
