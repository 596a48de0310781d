"""Reads liberty files: the cells of a library with areas, functions and pin capacitances."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from lark import Lark, Transformer
from lark.exceptions import LarkError

__all__ = ["Cell", "Group", "expression", "parse", "read_cells"]

_GRAMMAR = r"""
?start: group
group: WORD _arguments "{" (group | simple | complex)* "}" ";"?
simple: WORD ":" (WORD | STRING)+ ";"
complex: WORD _arguments ";"?
_arguments: "(" arguments ")"
arguments: ((WORD | STRING) ","?)*
WORD: /[^\s{}();:,"\\\/]+/
STRING: /"[^"]*"/
COMMENT: /\/\*.*?\*\//s | /\/\/[^\n]*/
%ignore COMMENT
%ignore /[\s\\]+/
"""


@dataclass(frozen=True)
class Group:
    """A liberty group ``kind (name) { ... }``: its attributes ``key : value;`` and the groups in it."""

    kind: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def within(self, *kinds: str) -> Iterator[Group]:
        """The groups in it of these kinds, in order."""
        return (group for group in self.groups if group.kind in kinds)


class _Groups(Transformer[Any, Group]):
    """Makes groups while the file is parsed; tables of values are dropped."""

    def arguments(self, words: list[Any]) -> str:
        return ",".join(word.strip('"') for word in words)

    def simple(self, words: list[Any]) -> tuple[str, str]:
        return str(words[0]), " ".join(word.strip('"') for word in words[1:])

    def complex(self, _: list[Any]) -> None:
        return None

    def group(self, parts: list[Any]) -> Group:
        kind, name, *members = parts
        attributes: dict[str, str] = dict(member for member in members if isinstance(member, tuple))
        return Group(str(kind), name, attributes, [m for m in members if isinstance(m, Group)])


def parse(text: str) -> Group:
    """The outermost group of a liberty file, ``library``; ValueError if the text is not liberty."""
    try:
        return _parser().parse(text)  # type: ignore[return-value]
    except LarkError as error:
        raise ValueError(f"Liberty must be groups of attributes: {str(error).splitlines()[0]}") from error


@functools.cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Groups())


@dataclass(frozen=True)
class Cell:
    """A standard cell.

    Attributes
    ----------
    inputs : dict of float
        Capacitance in pF by input pin.
    outputs : dict of str
        Function by output pin, in liberty's notation; empty for those of latches and other registers.
    next_state : str
        Of a plain register, which samples at the rising edge: the pin that it samples; empty for others.
    clock : str
        Of a plain register: its clock pin.
    area : float
        In square micrometres, if the library is one of a process.
    """

    inputs: dict[str, float]
    outputs: dict[str, str]
    next_state: str
    clock: str
    area: float = 0.0


@functools.cache
def read_cells(path: Path) -> dict[str, Cell]:
    """Cells by name; ValueError with the file's name if it is not a liberty file."""
    try:
        return {group.name: _cell(group) for group in parse(path.read_text()).within("cell")}
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _cell(group: Group) -> Cell:
    inputs, outputs = {}, {}
    for pin in group.within("pin"):
        if pin.attributes.get("direction") == "input":
            inputs[pin.name] = float(pin.attributes.get("capacitance", 0))
        else:
            outputs[pin.name] = pin.attributes.get("function", "")
    state = clock = ""
    for register in group.within("ff"):
        found = [register.attributes.get(name, "") for name in ("next_state", "clocked_on")]
        if all(pin in inputs for pin in found) and not {"clear", "preset"} & register.attributes.keys():
            state, clock = found
    if not state and any(group.within("ff", "latch", "ff_bank", "latch_bank", "statetable")):
        outputs = dict.fromkeys(outputs, "")
    return Cell(inputs, outputs, state, clock, float(group.attributes.get("area", 0)))


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
