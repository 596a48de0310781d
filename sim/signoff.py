"""``python -m sim.signoff``: every part of the verification, and one page of figures to sign off by."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

__all__ = ["PARTS", "Part", "page", "sign_off"]

OUTPUT = Path("build/verify")


@dataclass(frozen=True)
class Part:
    """A command, the report that it writes, and the sentence that the report comes to."""

    title: str
    command: tuple[str, ...]
    report: Path
    sentence: str


PARTS = (
    Part(
        "Tests of the plan",
        ("sim.plan",),
        Path("build/plan/plan.json"),
        "{counts[passed]} of {counts[all]} ran and passed; {counts[slow]} slow ones did not run, "
        "{counts[skipped]} skipped",
    ),
    Part(
        "Formal",
        ("sqhw", "formal"),
        Path("build/formal/formal.json"),
        "{proven} claims proven, {by_induction} of them by induction; {bugs_found} of {bugs_planted} planted "
        "bugs found",
    ),
    Part(
        "Exhaustive",
        ("sim.exhaustive",),
        Path("build/exhaustive/exhaustive.json"),
        "{compared:,} results compared, {wrong} wrong",
    ),
    Part(
        "Mutation",
        ("sim.mutation",),
        Path("build/mutation/mutation.json"),
        "{mutants} mutants: {killed} killed, {equivalent} proven equivalent, {open} open",
    ),
    Part(
        "Coverage",
        ("sim.coverage",),
        Path("build/coverage/coverage.json"),
        "of each design at least {least[line]:.1%} of lines, {least[branch]:.1%} of branches, "
        "{least[toggle]:.1%} of toggles; {bins[hit]} of {bins[points]} bins; {compared:,} results compared",
    ),
    Part(
        "Netlists and simulators",
        ("sim.netlist",),
        Path("build/netlist/netlist.json"),
        "{totals[compared]:,} results of netlists compared, {totals[wrong]} wrong; {totals[rows]:,} recorded "
        "rows, {totals[differ]} differ; X at outputs (Icarus {icarus}): {totals[unknown]}",
    ),
    Part(
        "Judges",
        ("sim.softfloat",),
        Path("build/judges/judges.json"),
        "{totals[compared]:,} floats judged by Berkeley SoftFloat; hardware wrong {totals[hardware_wrong]}, "
        "golden model wrong {totals[golden_wrong]}",
    ),
    Part(
        "Fuzzing",
        ("sim.fuzz",),
        Path("build/fuzz/fuzz.json"),
        "{totals[beats]:,} beats and words, {totals[hangs]} hangs; {totals[compared]:,} results afterwards "
        "compared, {totals[wrong]} wrong",
    ),
    Part(
        "Simulation",
        ("sim",),
        Path("build/sim/sim.json"),
        "{totals[compared]:,} results compared, {totals[mismatches]} mismatches",
    ),
)


def sign_off(
    parts: tuple[Part, ...], failed: dict[str, int], before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Collects what the reports say; a part without a report, or that failed, is not passed.

    Parameters
    ----------
    failed
        Exit status of each part that was run.
    before
        An earlier page: what it says of parts that were not run stays.
    """
    kept = {row["part"]: row for row in before["parts"]} if before else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows = []
    tools: dict[str, str] = dict(before["tools"]) if before else {}
    for part in parts:
        if part.title not in failed and part.title in kept:
            rows.append(kept[part.title])
            continue
        ran = part.title in failed and part.report.exists()
        report = json.loads(part.report.read_text()) if ran else {}
        tools |= report.get("tools", {})
        rows.append(
            {
                "part": part.title,
                "command": f"python -m {' '.join(part.command)}",
                "date": today if ran else None,
                "passed": ran and not failed[part.title],
                "seed": report.get("seed"),
                "figures": part.sentence.format(**report) if ran else "not run",
            }
        )
    return {"date": today, "tools": tools, "passed": all(row["passed"] for row in rows), "parts": rows}


def page(document: dict[str, Any]) -> str:
    """The sign-off page in Markdown."""
    lines = ["# Sign-off", "", f"{document['date']}. Made by `make verify`.", ""]
    lines += ["| part | passed | figures | seed | date | command |", "|---|---|---|---|---|---|"]
    for row in document["parts"]:
        passed = "yes" if row["passed"] else "**no**"
        seed = "" if row["seed"] is None else row["seed"]
        date, command = row["date"] or "", row["command"]
        lines.append(f"| {row['part']} | {passed} | {row['figures']} | {seed} | {date} | `{command}` |")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(document["tools"].items()))
    return "\n".join([*lines, "", f"Tools: {versions}.", ""])


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([part.title for part in PARTS]),
    help="These parts; what the page in --output says of the others stays.",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=OUTPUT, show_default=True)
def main(only: tuple[str, ...], output: Path) -> None:
    """Run every part of the verification and write the sign-off page."""
    console = Console()
    failed: dict[str, int] = {}
    path = output / "signoff.json"
    before = json.loads(path.read_text()) if only and path.exists() else None
    chosen = [part for part in PARTS if not only or part.title in only]
    for number, part in enumerate(chosen, 1):
        start = time.monotonic()
        console.rule(f"{number} of {len(chosen)}: {part.title}")
        part.report.unlink(missing_ok=True)
        failed[part.title] = subprocess.run([sys.executable, "-m", *part.command], check=False).returncode
        console.print(f"{part.title}: {time.monotonic() - start:.0f} s", highlight=False)
    document = sign_off(PARTS, failed, before)
    write_text(path, as_json(document))
    write_text(output / "signoff.md", page(document))
    console.print(page(document), highlight=False, markup=False)
    sys.exit(0 if document["passed"] else 1)


if __name__ == "__main__":
    main()
