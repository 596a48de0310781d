"""Proves that a mutant of a pipeline cannot be told from the design.

Registers move together, by one enable, and those some stages behind the mutant may differ. After some moves
from any state, with other registers free in each cycle, the stage behind them must not differ, nor what is
written or shown elsewhere: then nothing further down can. A pause between two moves changes nothing, since
all hold then. After a reset, which clears some registers, nothing may differ elsewhere until then.

A design may have several pipelines. A mutant is in the one of which it changes the most registers at once.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from .aig import FALSE, TRUE
from .state import StateEquivalence, Verdict

__all__ = ["Equivalence"]

Set = frozenset[int]
_ENABLE_FANOUT = 40
_LENGTH_MAX = 64


@dataclass(frozen=True)
class _Pipeline:
    """Latches that move while a literal is high, and whose next state is not made of their own."""

    enable: int
    latches: Set

    def force(self, *, moves: bool) -> dict[int, int]:
        """Forces the enable."""
        return {self.enable & ~1: int(moves) ^ (self.enable & 1)}

    def moves(self, values: dict[int, int]) -> int:
        """The literal that says whether it moves, in a cycle in which the enable was forced."""
        return values[-(self.enable & ~1)] ^ (self.enable & 1)


class Equivalence(StateEquivalence):
    """A mutated design and its mutants, whose registers may move as a pipeline."""

    def by_pipeline(self, mutant: int, *, slack: int, moves: int, limit: float) -> Verdict:
        """The same where a pipeline moves.

        Parameters
        ----------
        slack
            Stages behind the fault that may differ.
        moves
            Moves after which the stage behind them must not.
        limit
            Seconds for each search.
        """
        start = time.monotonic()
        pipeline = self._pipeline_of(mutant)
        levels = self._levels(mutant, pipeline) if pipeline else None
        if pipeline is None or levels is None:
            return Verdict("unknown", "", time.monotonic() - start, ("no pipeline that moves as before",))
        loose = frozenset[int]().union(*levels[:slack])
        border = levels[slack] if slack < len(levels) else frozenset[int]()
        beyond = frozenset[int]().union(*levels[slack:])
        parts = loose, border, beyond
        answer, where = self._settle(mutant, pipeline, *parts, moves, limit)
        if answer == "equal":
            answer, where = self._after_reset(mutant, pipeline, *parts, moves, limit)
        proof = f"pipeline, {slack} stages, {moves} moves" if answer == "equal" else ""
        return Verdict(answer, proof, time.monotonic() - start, where)

    def _settle(
        self, mutant: int, pipeline: _Pipeline, loose: Set, border: Set, beyond: Set, moves: int, limit: float
    ) -> tuple[str, tuple[str, ...]]:
        """After some moves from any state the border does not differ; with nothing beyond it nothing does."""
        state = list(self._free)
        other = [self._graph.leaf() if i in loose or i in beyond else bit for i, bit in enumerate(state)]
        moved: list[int] = []
        for _ in range(moves):
            state, other = self._move(mutant, pipeline, state, other, moved)
        given = self._inputs()
        after, _, _ = self._graph.cycle(self._design, state, given | self._chosen(0))
        other_after, _, _ = self._graph.cycle(self._design, other, given | self._chosen(mutant))
        differences = {f"latch {i}": self._graph.lxor(after[i], other_after[i]) for i in border}
        answer = self._search(differences.values(), limit, moved)
        if answer != "equal":
            return answer, ("border", *differences)
        other = [bit if i in loose else state[i] for i, bit in enumerate(other)]
        differences = self._differences(mutant, state, other, given, ignore=loose | beyond)
        return self._search(differences.values(), limit, moved), ("elsewhere", *differences)

    def _after_reset(
        self, mutant: int, pipeline: _Pipeline, loose: Set, border: Set, beyond: Set, moves: int, limit: float
    ) -> tuple[str, tuple[str, ...]]:
        """From reset on nothing outside of the pipeline differs until all beyond the border is equal."""
        graph = self._graph
        state = [FALSE if i in self._cleared else self._anything(i) for i in range(len(self._free))]
        other = [
            graph.leaf() if (i in loose or i in beyond) and i not in self._cleared else bit
            for i, bit in enumerate(state)
        ]
        move, moved = 0, list[int]()
        while move < moves or any(state[i] != other[i] for i in beyond):
            differences = self._differences(mutant, state, other, self._inputs(), ignore=loose | beyond)
            answer = self._search(differences.values(), limit, moved)
            if answer != "equal":
                return answer, (f"move {move} after reset", *differences)
            state, other = self._move(mutant, pipeline, state, other, moved)
            move += 1
            if move > moves:
                other = [state[i] if i in border else bit for i, bit in enumerate(other)]
            if move > _LENGTH_MAX:
                return "unknown", ("the pipeline does not end",)
        return "equal", ()

    def _move(
        self, mutant: int, pipeline: _Pipeline, state: list[int], other: list[int], moved: list[int]
    ) -> tuple[list[int], list[int]]:
        """One move of the pipeline, without and with the mutant; other latches hold anything, both the same.

        What says that it moves is added to `moved`.
        """
        name, active = self._reset
        given = self._inputs() | {name: [1 - active]}
        force = pipeline.force(moves=True)
        after, _, values = self._graph.cycle(self._design, state, given | self._chosen(0), force)
        other_after, _, _ = self._graph.cycle(self._design, other, given | self._chosen(mutant), force)
        moved.append(pipeline.moves(values))
        for i in range(len(state)):
            if i not in pipeline.latches:
                after[i] = other_after[i] = self._anything(i)
        return after, other_after

    def _anything(self, latch: int) -> int:
        return TRUE if latch in self._first else self._graph.leaf()

    @cached_property
    def _pipelines(self) -> list[_Pipeline]:
        """One for each AND that stops many latches, when it is low or when it is high."""
        fanout = Counter(source & ~1 for _, *pair in self._design.ands for source in pair)
        ands = {literal for literal, *_ in self._design.ands}
        nodes = [node for node, count in fanout.most_common() if count >= _ENABLE_FANOUT and node in ands]
        enables = (_Pipeline(node | negated, frozenset()) for node in nodes for negated in (0, 1))
        found = [_Pipeline(empty.enable, self._moving(empty)) for empty in enables]
        return [pipeline for pipeline in found if len(pipeline.latches) >= _ENABLE_FANOUT]

    def _moving(self, pipeline: _Pipeline) -> Set:
        """Latches that plainly hold while the enable is low and there is no reset, and else do not."""
        name, active = self._reset
        given = self._inputs() | {name: [1 - active]} | self._chosen(0)
        after, _, _ = self._graph.cycle(self._design, self._free, given, pipeline.force(moves=False))
        held = [index for index, pair in enumerate(zip(after, self._free, strict=True)) if pair[0] == pair[1]]
        if len(held) < _ENABLE_FANOUT:
            return frozenset()
        after, _, _ = self._graph.cycle(self._design, self._free, given, pipeline.force(moves=True))
        own = {literal >> 1: 1 << index for index, literal in enumerate(self._free)}
        support = [0] * len(self._graph.fanins)
        for variable, fanin in enumerate(self._graph.fanins):
            support[variable] = (
                own.get(variable, 0) if fanin is None else support[fanin[0] >> 1] | support[fanin[1] >> 1]
            )
        return frozenset(index for index in held if not support[after[index] >> 1] >> index & 1)

    def _pipeline_of(self, mutant: int) -> _Pipeline | None:
        """The pipeline of which a mutant changes the most latches at once."""
        given = self._inputs()
        plain, _, _ = self._graph.cycle(self._design, self._free, given | self._chosen(0))
        after, _, _ = self._graph.cycle(self._design, self._free, given | self._chosen(mutant))
        changed = {index for index, pair in enumerate(zip(plain, after, strict=True)) if pair[0] != pair[1]}
        return max(self._pipelines, key=lambda pipeline: len(pipeline.latches & changed), default=None)

    @cached_property
    def _cleared(self) -> frozenset[int]:
        """Latches that reset clears."""
        name, active = self._reset
        after, _, _ = self._graph.cycle(
            self._design, self._free, self._inputs() | {name: [active]} | self._chosen(0)
        )
        return frozenset(index for index, literal in enumerate(after) if literal == FALSE)

    def _levels(self, mutant: int, pipeline: _Pipeline) -> list[frozenset[int]] | None:
        """Latches of the pipeline that a mutant may change, by the number of moves it takes.

        None if the mutant may change the enable or what is held without it.
        """
        graph, design = self._graph, self._design
        given = self._inputs()
        plain, _, values = graph.cycle(design, self._free, given | self._chosen(0))
        levels: list[frozenset[int]] = []
        tainted: frozenset[int] = frozenset()
        other = list(self._free)
        while True:
            after, _, other_values = graph.cycle(design, other, given | self._chosen(mutant))
            level = frozenset(i for i in pipeline.latches - tainted if after[i] != plain[i])
            if not level:
                break
            levels.append(level)
            tainted |= level
            other = [graph.leaf() if i in level else bit for i, bit in enumerate(other)]
        name, active = self._reset
        still = given | {name: [1 - active]} | self._chosen(mutant)
        after, _, off = graph.cycle(design, other, still, pipeline.force(moves=False))
        changes = [graph.lxor(after[i], other[i]) for i in pipeline.latches if after[i] != other[i]]
        held = self._search(changes, 10.0, [pipeline.moves(off) ^ 1]) == "equal"
        enable = pipeline.enable & ~1
        return levels if held and values[enable] == other_values[enable] else None
