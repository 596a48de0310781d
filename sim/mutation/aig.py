"""And-inverter graphs: a design as Yosys writes it (AIGER), unrolled cycle by cycle with shared nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitwuzla

__all__ = ["FALSE", "TRUE", "Design", "Formulas", "Graph", "read_aiger"]

FALSE, TRUE = 0, 1


@dataclass(frozen=True)
class Design:
    """A design as ANDs of literals: twice a variable, plus 1 if it is inverted.

    Attributes
    ----------
    inputs, outputs : dict
        Literals of each port's bits, from bit 0 up. The input ``undefined`` is what the design leaves open.
    latches : tuple of (variable's literal, next state's literal)
        All are 0 at power-up.
    ands : tuple of (literal, left, right)
        In topological order.
    names : dict
        Indices of latches by the names of their bits, ``name[bit]``, or ``name`` if there is only one.
    """

    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    latches: tuple[tuple[int, int], ...]
    ands: tuple[tuple[int, int, int], ...]
    names: dict[str, int]


def read_aiger(path: Path) -> Design:
    """Reads a file that ``write_aiger -ascii -zinit -symbols`` wrote."""
    lines = iter(path.read_text().splitlines())
    _, _, inputs, latches, outputs, ands = (
        part if part == "aag" else int(part) for part in next(lines).split()[:6]
    )

    def literals(count: object) -> list[tuple[int, ...]]:
        return [tuple(map(int, next(lines).split())) for _ in range(int(str(count)))]

    given, kept, shown, nodes = literals(inputs), literals(latches), literals(outputs), literals(ands)
    ports: dict[str, dict[str, list[int]]] = {"i": {}, "o": {}}
    places = {"i": given, "o": shown}
    registers: dict[str, int] = {}
    symbols = [line.partition(" ") for line in itertools.takewhile(lambda line: line != "c", lines)]
    for place, _, name in sorted(symbols, key=lambda symbol: int(symbol[0][1:])):  # Yosys sorts i10 before i2
        if place[0] in ports:
            bits = ports[place[0]].setdefault(name.partition("[")[0], [])
            bits.append(places[place[0]][int(place[1:])][0])
        else:
            registers |= dict.fromkeys(name.split(), int(place[1:]))
    named = {literal for bits in ports["i"].values() for literal in bits}
    ports["i"]["undefined"] = [literal for (literal,) in given if literal not in named]
    return Design(
        ports["i"],
        ports["o"],
        tuple((literal, after) for literal, after, *_ in kept),
        tuple((literal, left, right) for literal, left, right in _sorted(nodes)),
        registers,
    )


def _sorted(nodes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """ANDs after those that they read."""
    by_literal = {node[0]: node for node in nodes}
    done: set[int] = set()
    for first in by_literal:
        stack = [first]
        while stack:
            literal = stack[-1]
            if literal in done:
                stack.pop()
                continue
            before = [
                source & ~1
                for source in by_literal[literal][1:]
                if source & ~1 in by_literal and source & ~1 not in done
            ]
            if before:
                stack += before
                continue
            done.add(literal)
            stack.pop()
            yield by_literal[literal]


class Graph:
    """Nodes of any number of copies of designs; equal ones are one, and constants disappear."""

    def __init__(self) -> None:
        self.fanins: list[tuple[int, int] | None] = [None]
        """By variable: the two literals of an AND, or None for the constant and for leaves."""
        self._known: dict[tuple[int, int], int] = {}

    def leaf(self) -> int:
        """A new free variable."""
        self.fanins.append(None)
        return 2 * len(self.fanins) - 2

    def leaves(self, count: int) -> list[int]:
        return [self.leaf() for _ in range(count)]

    def land(self, left: int, right: int) -> int:
        if left > right:
            left, right = right, left
        if left < 2:
            return right if left else FALSE
        if left ^ right < 2:
            return FALSE if left ^ right else left
        found = self._known.get((left, right))
        if found is None:
            self.fanins.append((left, right))
            found = self._known[left, right] = 2 * len(self.fanins) - 2
        return found

    def lor(self, left: int, right: int) -> int:
        return self.land(left ^ 1, right ^ 1) ^ 1

    def lxor(self, left: int, right: int) -> int:
        return self.lor(self.land(left, right ^ 1), self.land(left ^ 1, right))

    def any(self, literals: Iterable[int]) -> int:
        total = FALSE
        for literal in literals:
            total = self.lor(total, literal)
        return total

    def cycle(
        self,
        design: Design,
        state: Sequence[int],
        given: Mapping[str, Sequence[int]],
        force: Mapping[int, int] | None = None,
    ) -> tuple[list[int], dict[str, list[int]], dict[int, int]]:
        """One cycle of a design; returns the next state, the outputs, and the literals of all its variables.

        Parameters
        ----------
        state
            Literals of its latches.
        given
            Literals of its inputs.
        force
            Literals of ANDs that are not what they are made of; that is returned under the negative literal.
        """
        force = force or {}
        value = {0: 0}
        for name, bits in design.inputs.items():
            value |= zip(bits, given[name], strict=True)
        value |= zip((latch for latch, _ in design.latches), state, strict=True)
        land = self.land
        for literal, left, right in design.ands:
            value[literal] = land(value[left & ~1] ^ (left & 1), value[right & ~1] ^ (right & 1))
            if literal in force:
                value[-literal], value[literal] = value[literal], force[literal]
        after = [value[literal & ~1] ^ (literal & 1) for _, literal in design.latches]
        shown = {name: [value[bit & ~1] ^ (bit & 1) for bit in bits] for name, bits in design.outputs.items()}
        return after, shown, value


class Formulas:
    """The literals of a growing graph as Boolean terms of a Bitwuzla term manager, each made once."""

    def __init__(self, graph: Graph, terms: Any):
        self._graph = graph
        self._terms = terms
        self._known = {FALSE: terms.mk_false()}

    def __call__(self, literal: int) -> Any:
        """Returns a literal's term; its nodes below come first, without recursion."""
        terms, known, fanins = self._terms, self._known, self._graph.fanins
        stack = [literal & ~1]
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            fanin = fanins[top >> 1]
            if fanin is None:
                known[top] = terms.mk_const(terms.mk_bool_sort())
                continue
            missing = [source & ~1 for source in fanin if source & ~1 not in known]
            if missing:
                stack += missing
                continue
            pair = [
                terms.mk_term(bitwuzla.Kind.NOT, [known[source & ~1]]) if source & 1 else known[source]
                for source in fanin
            ]
            known[top] = terms.mk_term(bitwuzla.Kind.AND, pair)
        found = known[literal & ~1]
        return terms.mk_term(bitwuzla.Kind.NOT, [found]) if literal & 1 else found
