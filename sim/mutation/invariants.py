"""Invariants of a design: clauses about its registers that hold in every state it can be in."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from .aig import Graph

__all__ = ["Clause", "Term"]


@dataclass(frozen=True)
class Term:
    """Says of some bits of a register that one is set (``any``), or that none is.

    Attributes
    ----------
    name : str
        The register, as the flat Verilog names it.
    first, end : int
        Its bits from `first` up to, but not with, `end`.
    any : bool
    """

    name: str
    first: int
    end: int
    any: bool

    def names_of(self, names: Container[str]) -> list[str]:
        """Names of its bits among those of a design; none if they are not all there."""
        bits = [f"{self.name}[{bit}]" for bit in range(self.first, self.end)]
        for candidate in ([self.name], bits):
            if all(name in names for name in candidate):
                return candidate
        return []

    def literal(self, graph: Graph, state: Sequence[int], names: Mapping[str, int]) -> int:
        """Returns whether it holds in a state; `names` are the indices of the registers' bits."""
        some = graph.any(state[names[bit]] for bit in self.names_of(names))
        return some if self.any else some ^ 1


Clause = tuple[Term, ...]
"""One of these holds at least."""
