"""Whether two Verilog texts are the same machine: the same outputs for all inputs, for ever, from power-up.

Registers of both are sorted into classes whose members always hold the same: those that no random cycle tells
apart are proposed, induction proves the classes. It needs no names but those of the ports.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitwuzla

from sim.mutation.aig import Design, Formulas, Graph, read_aiger
from sqhw.tools.synth import run_yosys
from sqhw.tools.tools import yosys

__all__ = ["Same", "same"]

_SCRIPT = """read_verilog design.v
prep -nordff -flatten -top {top}
opt -full
opt_clean -purge
memory_map
setundef -undriven -init -zero
opt -fast
techmap
opt -fast
dffunmap
setundef -zero
aigmap
opt_clean
write_aiger -ascii -zinit -symbols design.aag
"""
_PATTERNS = 1024
_CYCLES = 60
_RUNS = 2
_QUIET = 8

Classes = tuple[list[int], list[int]]
"""A number for each register of both designs."""


@dataclass(frozen=True)
class Same:
    """A proof, or what may differ.

    Attributes
    ----------
    registers : tuple of int
        Of both designs, in bits.
    pairs : int
        Next states and outputs that were compared.
    searched : int
        Those of them that needed a solver; the others are the same gates.
    differ : tuple of str
        Outputs, and next states of registers, that are not proven equal.
    """

    registers: tuple[int, int]
    pairs: int
    searched: int
    differ: tuple[str, ...]


def same(texts: Sequence[str], tops: Sequence[str], folder: Path) -> Same:
    """Compares two designs with one clock and the same ports.

    Raises
    ------
    ValueError
        If the ports differ.
    ToolError
        If Yosys is missing or fails.
    """
    designs = []
    for text, top, name in zip(texts, tops, ("left", "right"), strict=True):
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        (here / "design.v").write_text(text)
        run_yosys(yosys(), _SCRIPT.format(top=top), here)
        designs.append(read_aiger(here / "design.aag"))
    return _compare(*designs)


def _compare(left: Design, right: Design) -> Same:
    ports = [{name: len(bits) for name, bits in d.inputs.items() if bits} for d in (left, right)]
    if ports[0] != ports[1] or left.outputs.keys() != right.outputs.keys():
        raise ValueError(f"Designs must have the same ports, not {ports[0]} and {ports[1]}")
    numbers = _shaken(left, right, _traces(left, right))
    while True:
        found = _induction(left, right, numbers := _split(left, right, numbers))
        if isinstance(found, Same):
            return found
        numbers = found


def _induction(left: Design, right: Design, numbers: Classes) -> Same | Classes:
    """A proof with these classes, or finer ones if a cycle tells members of a class apart."""
    graph = Graph()
    given = {name: graph.leaves(len(bits)) for name, bits in left.inputs.items()}
    leaf = {number: graph.leaf() for number in dict.fromkeys((*numbers[0], *numbers[1]))}
    sides = [
        graph.cycle(design, [leaf[number] for number in own], given)
        for design, own in zip((left, right), numbers, strict=True)
    ]
    first: dict[int, int] = {}
    kept = []
    for (after, _, _), own in zip(sides, numbers, strict=True):
        kept += [
            (first.setdefault(number, literal), literal) for number, literal in zip(own, after, strict=True)
        ]
    shown = [
        (name, *pair)
        for name, bits in sides[0][1].items()
        for pair in zip(bits, sides[1][1][name], strict=True)
    ]
    solver = _Solver(graph)
    searched = {pair: graph.lxor(*pair) for pair in dict.fromkeys(kept) if pair[0] != pair[1]}
    for literal in searched.values():
        example = solver.example(literal, [*leaf.values(), *(bit for bits in given.values() for bit in bits)])
        if example is not None:
            word = {number: example[literal] for number, literal in leaf.items()}
            values = {name: [example[bit] for bit in bits] for name, bits in given.items()}
            return _refined(left, right, numbers, word, values)
    differ, more = [], 0
    for name, a, b in shown:
        if a != b:
            more += 1
            if solver.example(graph.lxor(a, b), []) is not None:
                differ.append(name)
    total = len(kept) + len(shown)
    return Same((len(left.latches), len(right.latches)), total, len(searched) + more, tuple(differ))


def _refined(
    left: Design, right: Design, numbers: Classes, word: Mapping[int, int], given: Mapping[str, Sequence[int]]
) -> Classes:
    """Classes split by what their members hold a cycle later."""
    sides = [
        list(zip(own, _next(design, [word[n] for n in own], given), strict=True))
        for design, own in zip((left, right), numbers, strict=True)
    ]
    place = {pair: number for number, pair in enumerate(dict.fromkeys((*sides[0], *sides[1])))}
    return [place[pair] for pair in sides[0]], [place[pair] for pair in sides[1]]


def _split(left: Design, right: Design, numbers: Classes) -> Classes:
    """Classes by the gates of their members' next states, where both designs have a member of each part."""
    while True:
        graph = Graph()
        given = {name: graph.leaves(len(bits)) for name, bits in left.inputs.items()}
        leaf = {number: graph.leaf() for number in dict.fromkeys((*numbers[0], *numbers[1]))}
        sides = []
        for design, own in zip((left, right), numbers, strict=True):
            after, _, _ = graph.cycle(design, [leaf[number] for number in own], given)
            sides.append(list(zip(own, after, strict=True)))
        kept = {number for number, _ in {*sides[0]} ^ {*sides[1]}}
        pairs = [[(number, -1 if number in kept else gates) for number, gates in side] for side in sides]
        place = {pair: number for number, pair in enumerate(dict.fromkeys((*pairs[0], *pairs[1])))}
        if len(place) == len(leaf):
            return numbers
        numbers = [place[pair] for pair in pairs[0]], [place[pair] for pair in pairs[1]]


def _shaken(left: Design, right: Design, numbers: Classes) -> Classes:
    """Classes that no more random cycles split, from any state whose classes agree."""
    rng, quiet = random.Random(2), 0
    while quiet < _QUIET:
        word = {number: rng.getrandbits(_PATTERNS) for number in dict.fromkeys((*numbers[0], *numbers[1]))}
        given = {name: [rng.getrandbits(_PATTERNS) for _ in bits] for name, bits in left.inputs.items()}
        finer = _refined(left, right, numbers, word, given)
        quiet = quiet + 1 if len({*finer[0], *finer[1]}) == len(word) else 0
        numbers = finer
    return numbers


def _traces(left: Design, right: Design) -> Classes:
    """Registers by what they hold in the first cycles; some input bits are mostly high, some mostly low."""
    rng = random.Random(1)
    designs = left, right
    held: list[list[Any]] = [[0] * len(design.latches) for design in designs]
    for _ in range(_RUNS):
        rare = {name: [rng.choice((0, 0, 1, 2)) for _ in bits] for name, bits in left.inputs.items()}
        states = [[0] * len(design.latches) for design in designs]
        for _ in range(_CYCLES):
            given = {name: [_word(rng, kind) for kind in kinds] for name, kinds in rare.items()}
            states = [_next(design, state, given) for design, state in zip(designs, states, strict=True)]
            held = [
                [hash((old, new)) for old, new in zip(*pair, strict=True)]
                for pair in zip(held, states, strict=True)
            ]
    return held[0], held[1]


def _word(rng: random.Random, kind: int) -> int:
    """Random patterns of one bit; of kind 1 with few ones, of kind 2 with few zeros."""
    words = [rng.getrandbits(_PATTERNS) for _ in range(5 if kind else 1)]
    few = functools.reduce(int.__and__, words)
    return few ^ ((1 << _PATTERNS) - 1) if kind == 2 else few


def _next(design: Design, state: Sequence[int], given: Mapping[str, Sequence[int]]) -> list[int]:
    """Next states for words of random patterns."""
    ones = (1 << _PATTERNS) - 1
    value = {0: 0}
    for name, bits in design.inputs.items():
        value |= zip(bits, given[name], strict=True)
    value |= zip((latch for latch, _ in design.latches), state, strict=True)
    for literal, a, b in design.ands:
        value[literal] = (value[a & ~1] ^ (ones * (a & 1))) & (value[b & ~1] ^ (ones * (b & 1)))
    return [value[after & ~1] ^ (ones * (after & 1)) for _, after in design.latches]


class _Solver:
    def __init__(self, graph: Graph):
        self._terms = bitwuzla.TermManager()
        options = bitwuzla.Options()
        options.set("produce-models", True)
        self._solver = bitwuzla.Bitwuzla(self._terms, options)
        self._term = Formulas(graph, self._terms)

    def example(self, literal: int, leaves: Sequence[int]) -> dict[int, int] | None:
        """Values of leaves with which a literal is true, or None if there are none."""
        if self._solver.check_sat(self._term(literal)) != bitwuzla.Result.SAT:
            return None
        values = {leaf: self._solver.get_value(self._term(leaf)) for leaf in leaves}
        return {leaf: int(value.value()) for leaf, value in values.items()}
