"""Bitwuzla as a command: SMT-LIB on standard input, answers on standard output.

The package has no program, and ``yosys-smtbmc`` starts one: :mod:`sim.formal.prove` writes it.
"""

from __future__ import annotations

import bitwuzla

__all__ = ["main"]


def main() -> None:
    """Answers commands until ``(exit)`` or the end of the input."""
    options = bitwuzla.Options()
    options.set("produce-models", True)
    bitwuzla.Parser(bitwuzla.TermManager(), options).parse("<stdin>")
