"""Proves that a mutant cannot be told from the design, by induction, without a limit of cycles.

Two copies, with and without the mutant, start a cycle in the same state with the same inputs, all free, reset
included. If they can neither show nor keep anything different, they never will. The state is any that some
cycles of the design lead to, from any state in which its invariants hold; for the first cycles, from
power-up. Invariants are proposed, and those that induction proves are used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bitwuzla

from .aig import FALSE, TRUE, Formulas, Graph, read_aiger
from .invariants import Clause

__all__ = ["StateEquivalence", "Verdict"]

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


class StateEquivalence:
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
        self._as_term = Formulas(self._graph, self._terms)
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
