"""Proves that a mutant cannot be told from the design, by induction: two ways, without a limit of cycles.

*State*: two copies, with and without the mutant, start a cycle in the same state with the same inputs, all
free, reset included. If they can neither show nor keep anything different, they never will. The state is any
that some cycles of the design lead to, from any state in which its invariants hold; for the first cycles,
from power-up. Invariants are proposed, and those that induction proves are used.

*Pipeline*: registers move together, by one enable, and those some stages behind the mutant may differ. After
some moves from any state, with other registers free in each cycle, the stage behind them must not differ, nor
what is written or shown elsewhere: then nothing further down can. A pause between two moves changes nothing,
since all hold then. After a reset, which clears some registers, nothing may differ elsewhere until then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import bitwuzla

from .aig import FALSE, TRUE, Graph, read_aiger
from .invariants import Clause

__all__ = ["Equivalence", "Verdict"]

Set = frozenset[int]
_ENABLE_FANOUT = 40
_LENGTH_MAX = 64
_PATIENCE = 60.0


@dataclass(frozen=True)
class Verdict:
    """What came of a proof.

    Attributes
    ----------
    answer : str
        ``equal``; ``differs``, if only from a state that may be unreachable; ``unknown``.
    proof : str
        How, in words; empty unless equal.
    seconds : float
    where : tuple of str
        What may differ.
    """

    answer: str
    proof: str
    seconds: float
    where: tuple[str, ...] = ()


class Equivalence:
    """A mutated design and its mutants.

    Parameters
    ----------
    path
        The design with an input ``mutant``, as AIGER.
    guards
        Outputs that count only while another one is high.
    reset
        Name of the reset's port, and its value in reset.
    invariants
        What may be true of the design without a mutant.

    Attributes
    ----------
    invariants : tuple of Clause
        Those of them that are proven.
    """

    def __init__(
        self,
        path: Path,
        guards: Mapping[str, str],
        reset: tuple[str, int],
        invariants: Sequence[Clause] = (),
    ):
        self._design = read_aiger(path)
        self._guards = guards
        self._reset = reset
        self._graph = Graph()
        self._terms = bitwuzla.TermManager()
        self._term: dict[int, Any] = {FALSE: self._terms.mk_false()}
        # A latch that Yosys adds is low in the first cycle only.
        self._first = frozenset(i for i, (_, after) in enumerate(self._design.latches) if after == TRUE)
        self._free = [
            TRUE if i in self._first else self._graph.leaf() for i in range(len(self._design.latches))
        ]
        self._frames: dict[bool, list[list[int]]] = {False: [self._free], True: [[FALSE] * len(self._free)]}
        self.invariants = self._proven(invariants)

    def _proven(self, proposed: Sequence[Clause]) -> tuple[Clause, ...]:
        """The largest set that holds at power-up, and after any cycle that it holds before."""
        names, start = self._design.names, self._state(0, power_up=True)
        known = [clause for clause in proposed if all(term.names_of(names) for term in clause)]
        kept = [clause for clause in known if self._hold([clause], start) == [TRUE]]
        while True:
            before = self._hold(kept, self._free)
            after = self._hold(kept, self._state(1, power_up=False))
            held = [
                clause
                for clause, literal in zip(kept, after, strict=True)
                if self._search([literal ^ 1], _PATIENCE, before) == "equal"
            ]
            if held == kept:
                return tuple(held)
            kept = held

    def _hold(self, clauses: Sequence[Clause], state: Sequence[int]) -> list[int]:
        """Literals that say that clauses hold in a state."""
        graph, names = self._graph, self._design.names
        return [graph.any(term.literal(graph, state, names) for term in clause) for clause in clauses]

    def by_state(self, mutant: int, *, history: int, limit: float) -> Verdict:
        """Searches for a difference after `history` cycles, for at most `limit` seconds a step."""
        start = time.monotonic()
        for frame in range(history + 1):
            last = frame == history
            state = self._state(frame, power_up=not last)
            given = self._inputs()
            differences = self._differences(mutant, state, state, given)
            known = self._hold(self.invariants, self._free) if last else []
            answer = self._search(differences.values(), limit, known)
            if answer != "equal" or last:
                proof = f"state, history {history}" if answer == "equal" else ""
                return Verdict(answer, proof, time.monotonic() - start, tuple(differences))
        raise AssertionError("unreachable")

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
        levels = self._levels(mutant)
        if levels is None:
            return Verdict("unknown", "", time.monotonic() - start, ("no pipeline that moves as before",))
        loose = frozenset[int]().union(*levels[:slack])
        border = levels[slack] if slack < len(levels) else frozenset[int]()
        beyond = frozenset[int]().union(*levels[slack:])
        answer, where = self._settle(mutant, loose, border, beyond, moves, limit)
        if answer == "equal":
            answer, where = self._after_reset(mutant, loose, border, beyond, moves, limit)
        proof = f"pipeline, {slack} stages, {moves} moves" if answer == "equal" else ""
        return Verdict(answer, proof, time.monotonic() - start, where)

    def _settle(
        self, mutant: int, loose: Set, border: Set, beyond: Set, moves: int, limit: float
    ) -> tuple[str, tuple[str, ...]]:
        """After some moves from any state the border does not differ; with nothing beyond it nothing does."""
        state = list(self._free)
        other = [self._graph.leaf() if i in loose or i in beyond else bit for i, bit in enumerate(state)]
        moved: list[int] = []
        for _ in range(moves):
            state, other = self._move(mutant, state, other, moved)
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
        self, mutant: int, loose: Set, border: Set, beyond: Set, moves: int, limit: float
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
            state, other = self._move(mutant, state, other, moved)
            move += 1
            if move > moves:
                other = [state[i] if i in border else bit for i, bit in enumerate(other)]
            if move > _LENGTH_MAX:
                return "unknown", ("the pipeline does not end",)
        return "equal", ()

    def _move(
        self, mutant: int, state: list[int], other: list[int], moved: list[int]
    ) -> tuple[list[int], list[int]]:
        """One move of the pipeline, without and with the mutant; other latches hold anything, both the same.

        What says that it moves is added to `moved`.
        """
        assert self._enable is not None
        name, active = self._reset
        given = self._inputs() | {name: [1 - active]}
        force = {self._enable: TRUE}
        after, _, values = self._graph.cycle(self._design, state, given | self._chosen(0), force)
        other_after, _, _ = self._graph.cycle(self._design, other, given | self._chosen(mutant), force)
        moved.append(values[-self._enable])
        for i in range(len(state)):
            if i not in self._pipeline:
                after[i] = other_after[i] = self._anything(i)
        return after, other_after

    def _anything(self, latch: int) -> int:
        return TRUE if latch in self._first else self._graph.leaf()

    @cached_property
    def _enable(self) -> int | None:
        """The AND that stops the most latches when it is low."""
        fanout = Counter(source & ~1 for _, *pair in self._design.ands for source in pair)
        ands = {literal for literal, *_ in self._design.ands}
        candidates = [
            node for node, count in fanout.most_common() if count >= _ENABLE_FANOUT and node in ands
        ]
        held = {node: len(self._held(node)) for node in candidates}
        best = max(held, key=lambda node: held[node], default=None)
        return best if best is not None and held[best] >= _ENABLE_FANOUT else None

    @cached_property
    def _pipeline(self) -> frozenset[int]:
        """Latches that move with the enable, and whose next state is not made of their own."""
        if self._enable is None:
            return frozenset()
        name, active = self._reset
        given = self._inputs() | {name: [1 - active]} | self._chosen(0)
        after, _, _ = self._graph.cycle(self._design, self._free, given, {self._enable: TRUE})
        own = {literal >> 1: 1 << index for index, literal in enumerate(self._free)}
        support = [0] * len(self._graph.fanins)
        for variable, fanin in enumerate(self._graph.fanins):
            support[variable] = (
                own.get(variable, 0) if fanin is None else support[fanin[0] >> 1] | support[fanin[1] >> 1]
            )
        held = self._held(self._enable)
        return frozenset(index for index in held if not support[after[index] >> 1] >> index & 1)

    def _held(self, node: int) -> frozenset[int]:
        """Latches that plainly keep their state while `node` is low and there is no reset."""
        name, active = self._reset
        given = self._inputs() | {name: [1 - active]} | self._chosen(0)
        after, _, _ = self._graph.cycle(self._design, self._free, given, {node: FALSE})
        return frozenset(
            index for index, pair in enumerate(zip(after, self._free, strict=True)) if pair[0] == pair[1]
        )

    @cached_property
    def _cleared(self) -> frozenset[int]:
        """Latches that reset clears."""
        name, active = self._reset
        after, _, _ = self._graph.cycle(
            self._design, self._free, self._inputs() | {name: [active]} | self._chosen(0)
        )
        return frozenset(index for index, literal in enumerate(after) if literal == FALSE)

    def _levels(self, mutant: int) -> list[frozenset[int]] | None:
        """Latches of the pipeline that a mutant may change, by the number of moves it takes.

        None if there is no pipeline, or if the mutant may change its enable or what is held without it.
        """
        if self._enable is None:
            return None
        graph, design = self._graph, self._design
        given = self._inputs()
        plain, _, values = graph.cycle(design, self._free, given | self._chosen(0))
        levels: list[frozenset[int]] = []
        tainted: frozenset[int] = frozenset()
        other = list(self._free)
        while True:
            after, _, other_values = graph.cycle(design, other, given | self._chosen(mutant))
            level = frozenset(i for i in self._pipeline - tainted if after[i] != plain[i])
            if not level:
                break
            levels.append(level)
            tainted |= level
            other = [graph.leaf() if i in level else bit for i, bit in enumerate(other)]
        name, active = self._reset
        still = given | {name: [1 - active]} | self._chosen(mutant)
        after, _, off = graph.cycle(design, other, still, {self._enable: FALSE})
        changes = [graph.lxor(after[i], other[i]) for i in self._pipeline if after[i] != other[i]]
        held = self._search(changes, 10.0, [off[-self._enable] ^ 1]) == "equal"
        return levels if held and values[self._enable] == other_values[self._enable] else None

    def _inputs(self) -> dict[str, list[int]]:
        return {name: self._graph.leaves(len(bits)) for name, bits in self._design.inputs.items()}

    def _chosen(self, mutant: int) -> dict[str, list[int]]:
        return {"mutant": [mutant >> bit & 1 for bit in range(len(self._design.inputs["mutant"]))]}

    def _state(self, frame: int, *, power_up: bool) -> list[int]:
        """The design's state after `frame` cycles."""
        frames = self._frames[power_up]
        while len(frames) <= frame:
            after, *_ = self._graph.cycle(self._design, frames[-1], self._inputs() | self._chosen(0))
            frames.append(after)
        return frames[frame]

    def _differences(
        self,
        mutant: int,
        state: Sequence[int],
        other: Sequence[int],
        given: dict[str, list[int]],
        ignore: Iterable[int] = (),
    ) -> dict[str, int]:
        """Literals that say that an output, or a latch of the next state, differs; those that may."""
        graph = self._graph
        after, shown, _ = graph.cycle(self._design, state, given | self._chosen(0))
        other_after, other_shown, _ = graph.cycle(self._design, other, given | self._chosen(mutant))
        found = {}
        for name, bits in shown.items():
            guard = shown[self._guards[name]][0] if name in self._guards else TRUE
            found[name] = graph.any(
                graph.land(guard, graph.lxor(*pair)) for pair in zip(bits, other_shown[name], strict=True)
            )
        ignored = frozenset(ignore)
        for index, pair in enumerate(zip(after, other_after, strict=True)):
            if index not in ignored:
                found[f"latch {index}"] = graph.lxor(*pair)
        return {name: literal for name, literal in found.items() if literal != FALSE}

    def _search(self, differences: Iterable[int], limit: float, assumptions: Iterable[int] = ()) -> str:
        literals = [self._as_term(literal) for literal in differences]
        if not literals:
            return "equal"
        options = bitwuzla.Options()
        options.set("time-limit-per", int(1000 * limit))
        solver = bitwuzla.Bitwuzla(self._terms, options)
        either = literals[0] if len(literals) == 1 else self._terms.mk_term(bitwuzla.Kind.OR, literals)
        for formula in (either, *(self._as_term(literal) for literal in assumptions)):
            solver.assert_formula(formula)
        result = solver.check_sat()
        return {bitwuzla.Result.UNSAT: "equal", bitwuzla.Result.SAT: "differs"}.get(result, "unknown")

    def _as_term(self, literal: int) -> Any:
        terms, known, fanins = self._terms, self._term, self._graph.fanins
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
