"""Reads what a gate-level simulation needs from a liberty file: functions and pin capacitances."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

__all__ = ["Cell", "expression", "read_cells"]


@dataclass(frozen=True)
class Cell:
    """A standard cell.

    Attributes
    ----------
    inputs : dict of float
        Capacitance in pF by input pin.
    outputs : dict of str
        Function by output pin, in liberty's notation.
    next_state : str
        Of a register: the pin that it samples; empty for gates.
    clock : str
        Of a register: its clock pin.
    """

    inputs: dict[str, float]
    outputs: dict[str, str]
    next_state: str
    clock: str


@functools.cache
def read_cells(path: Path) -> dict[str, Cell]:
    """Cells by name. Only combinational cells and plain rising-edge registers can be simulated."""
    cells = {}
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    for name, body in _groups(text, "cell"):
        inputs, outputs = {}, {}
        for pin, lines in _groups(body, "pin"):
            if re.search(r"direction : input", lines):
                found = re.search(r"\bcapacitance : ([0-9.e-]+)", lines)
                inputs[pin] = float(found[1]) if found else 0.0
            else:
                found = re.search(r'function : "(.*?)"', lines)
                outputs[pin] = found[1] if found else ""
        state = re.search(r'next_state : "(\w+)"', body)
        clock = re.search(r'clocked_on : "(\w+)"', body)
        cells[name] = Cell(inputs, outputs, state[1] if state else "", clock[1] if clock else "")
    return cells


def _groups(text: str, kind: str) -> list[tuple[str, str]]:
    """Name and body of each ``kind (name) { ... }``."""
    found = []
    for match in re.finditer(rf"\b{kind}\s*\((\w+)\)\s*{{", text):
        depth, end = 1, match.end()
        while depth:
            step = re.compile(r"[{}]").search(text, end)
            if step is None:
                raise ValueError(f"Liberty group {kind} ({match[1]}) must be closed, but it is not")
            depth += 1 if step[0] == "{" else -1
            end = step.end()
        found.append((match[1], text[match.end() : end - 1]))
    return found


@functools.cache
def expression(function: str) -> CodeType:
    """A liberty function as Python on words of bits.

    NOT is ``!`` before or ``'`` behind; AND is a blank, ``*`` or ``&``; XOR is ``^``; OR is ``+`` or ``|``.
    """
    tokens = re.findall(r"\w+|[()!+^*'&|]", function)
    text = _either(tokens)
    if tokens:
        raise ValueError(f"Function must be a liberty expression, not {function!r}")
    return compile(text, function, "eval")


def _either(tokens: list[str]) -> str:
    text = _exclusive(tokens)
    while tokens and tokens[0] in "+|":
        del tokens[0]
        text = f"({text}|{_exclusive(tokens)})"
    return text


def _exclusive(tokens: list[str]) -> str:
    text = _both(tokens)
    while tokens and tokens[0] == "^":
        del tokens[0]
        text = f"({text}^{_both(tokens)})"
    return text


def _both(tokens: list[str]) -> str:
    text = _not(tokens)
    while tokens and tokens[0] not in "+|^)":
        if tokens[0] in "*&":
            del tokens[0]
        text = f"({text}&{_not(tokens)})"
    return text


def _not(tokens: list[str]) -> str:
    token = tokens.pop(0) if tokens else ""
    if token == "!":
        return f"(~{_not(tokens)})"
    text = token
    if token == "(":
        text = _either(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("Function must close its parentheses, but it does not")
    while tokens and tokens[0] == "'":
        del tokens[0]
        text = f"(~{text})"
    return text
