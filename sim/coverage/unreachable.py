"""Sides of a branch that no input reaches, because the conditions around them exclude each other.

What it reads is the printer's text: nested ``if``, chains of ``? :`` with a line each, wires with a
definition. It knows no more than that, so what it calls unreachable is; much that is unreachable it
does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Unreachable"]

_IF = re.compile(r"( *)(end else )?(?:if \((.*)\) begin|(begin))$")
_CHOICE = re.compile(r" +(?:.* <?= )?(!?~?\w+(?:\[\d+\])?) \? [^?]*:$")
_COMPARED = re.compile(r"(\w+) (==|!=) (\d+)'([dhb])([0-9a-f]+)$")
_NAME = re.compile(r"\w+(?:\[\d+\])?")
_BASES = {"d": 10, "h": 16, "b": 2}
_WIDEST = 8


@dataclass
class _Facts:
    """What holds at a place: names that are 1 or 0, numbers that a signal is or is not."""

    bits: dict[str, set[bool]] = field(default_factory=dict)
    equal: dict[str, set[int]] = field(default_factory=dict)
    unequal: dict[str, set[int]] = field(default_factory=dict)


class Unreachable:
    """Of one Verilog text, whose lines count from 1."""

    def __init__(self, source: Sequence[str]):
        self._source = source

    @cached_property
    def _modules(self) -> list[tuple[int, int, _Module]]:
        """First and last line of each module, and what is between them."""
        starts = [n for n, line in enumerate(self._source, 1) if line.startswith("module ")]
        ends = [n for n, line in enumerate(self._source, 1) if line.startswith("endmodule")]
        return [(s, e, _Module(self._source[s - 1 : e])) for s, e in zip(starts, ends, strict=True)]

    def __call__(self, line: int, side: str) -> bool:
        """Whether a side (``if``, ``else``, ``cond_then``, ``cond_else``) of a line is out of reach."""
        start, module = next((s, module) for s, e, module in self._modules if s <= line <= e)
        found = module.choice(line - start) if side.startswith("cond") else module.branch(line - start)
        if found is None:
            return False
        *around, (condition, _) = found
        return module.contradict([*around, (condition, side in ("if", "cond_then"))])


class _Module:
    def __init__(self, lines: Sequence[str]):
        self._lines = lines
        joined = re.sub(r"\n {4,}", " ", "\n".join(lines))
        found = re.findall(r"^  (?:wire|assign)(?: \[\d+:0\])? (\w+) = (.*);$", joined, re.MULTILINE)
        self._wires = dict(found)

    def branch(self, at: int) -> list[tuple[str, bool]] | None:
        """Conditions that lead to an ``if``, outermost first, each with its value, and its own."""
        match = _IF.match(self._lines[at])
        if not match or match[3] is None:
            return None
        return [*reversed(list(self._around(at))), (match[3], True)]

    def _around(self, at: int) -> Iterator[tuple[str, bool]]:
        """Conditions around a line, innermost first."""
        match = _IF.match(self._lines[at])
        assert match
        depth, chained = len(match[1]), bool(match[2])
        for line in reversed(self._lines[:at]):
            here = len(line) - len(line.lstrip())
            match = _IF.match(line)
            if here == depth and chained and match:
                yield match[3], False
                chained = bool(match[2])
            elif here < depth:
                if not match:
                    return  # always, or something that this does not know
                depth, chained = here, bool(match[2])
                if match[3] is not None:
                    yield match[3], True

    def choice(self, at: int) -> list[tuple[str, bool]] | None:
        """The same of a line in a chain of ``? :``."""
        found: list[tuple[str, bool]] = []
        for line in reversed(self._lines[: at + 1]):
            match = _CHOICE.match(line)
            if not match:
                break
            found.insert(0, (match[1], False))
            if " = " in line or " <= " in line:
                break
        return found or None

    def contradict(self, conditions: Sequence[tuple[str, bool]]) -> bool:
        """Whether the conditions cannot all have these values."""
        facts = _Facts()
        for condition, value in conditions:
            self._note(facts, condition, value, frozenset())
        if any(len(values) > 1 for values in facts.bits.values()):
            return True
        for name, numbers in facts.equal.items():
            if len(numbers) > 1 or numbers & facts.unequal.get(name, set()):
                return True
        return any(bool(own := self._numbers(name)) and own <= no for name, no in facts.unequal.items())

    def _note(self, facts: _Facts, text: str, value: bool, seen: frozenset[str]) -> None:
        """Adds what a condition says when it has this value, by definitions of wires too."""
        text = _bare(text)
        if len(_split(text, " ? ")) > 1:
            return
        for operator, certain in ((" | ", False), (" & ", True)):
            parts = _split(text, operator)
            if len(parts) > 1:
                for part in parts if value is certain else ():
                    self._note(facts, part, value, seen)
                return
        if compared := _COMPARED.match(text):
            name, operator, _, base, digits = compared.groups()
            where = facts.equal if value is (operator == "==") else facts.unequal
            where.setdefault(name, set()).add(int(digits, _BASES[base]))
        elif reduced := re.fullmatch(r"(~?)\|(\w+)", text):
            where = facts.equal if value is bool(reduced[1]) else facts.unequal
            where.setdefault(reduced[2], set()).add(0)
        elif text.startswith(("!", "~")) and (_NAME.fullmatch(text, 1) or _bare(text[1:]) != text[1:]):
            self._note(facts, text[1:], not value, seen)
        elif _NAME.fullmatch(text):
            facts.bits.setdefault(text, set()).add(value)
            if text in self._wires and text not in seen:
                self._note(facts, self._wires[text], value, seen | {text})

    def _numbers(self, name: str) -> set[int]:
        """All numbers that a register can hold, or a narrow signal; empty if that is not known."""
        text = "\n".join(self._lines)
        width = re.search(rf"\b(?:reg|wire) \[(\d+):0\] {name}\b", text)
        assigned = re.findall(rf"(?m)^ +{name}(\[.*?\])? <?= (.*)$", text)
        constants = [re.fullmatch(r"\d+'([dhb])([0-9a-f]+);", value) for part, value in assigned if not part]
        if assigned and len(constants) == len(assigned) and all(constants):
            return {int(match[2], _BASES[match[1]]) for match in constants if match}
        return set(range(2 << int(width[1]))) if width and int(width[1]) < _WIDEST else set()


def _bare(text: str) -> str:
    """Without parentheses around the whole."""
    while text.startswith("(") and text.endswith(")") and len(_split(text[1:-1], ")")) == 1:
        text = text[1:-1]
    return text


def _split(text: str, operator: str) -> list[str]:
    """Parts between an operator that is outside of all parentheses."""
    parts, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        if depth == 0 and text.startswith(operator, at):
            parts.append(text[begin:at])
            begin = at + len(operator)
        depth += (letter in "([{") - (letter in ")]}")
    return [*parts, text[begin:]]
