"""Every part of the verification, and one page of figures to sign off by."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sim import encoder, engine, exhaustive, generate, netlist, pe, plan, softfloat, torch_layers
from sim.coverage.check import CHECK as COVERAGE
from sim.formal.check import CHECK as FORMAL
from sim.fuzz.check import CHECK as FUZZ
from sim.mutation.check import CHECK as MUTATION
from sim.report import Check, Failure
from sqhw import console
from sqhw.console import Command, Outcome
from sqhw.tools.tools import ToolError
from sw_reference.files import as_json, write_text

__all__ = ["CHECKS", "carry_out", "page", "sign_off", "verify"]

CHECKS = (
    plan.CHECK,
    FORMAL,
    exhaustive.CHECK,
    MUTATION,
    COVERAGE,
    netlist.CHECK,
    softfloat.CHECK,
    FUZZ,
    torch_layers.CHECK,
    pe.CHECK,
    engine.CHECK,
    engine.DMA_CHECK,
    encoder.CHECK,
    generate.CHECK,
)
"""In the order of the page."""


def carry_out(check: Check, *, quick: bool = False) -> dict[str, Any] | None:
    """Runs a check as its command does; returns its report, or None if it broke off."""
    command = check.command()
    with command.make_context(check.name, []) as context:
        settings = {name: value for name, value in context.params.items() if name not in ("as_data", "quick")}
    settings |= check.quick if quick else {}
    try:
        line = f"{check.line} --quick" if quick and check.quick else check.line
        outcome = check.outcome(settings, settings.pop("output"), command=line)
    except (Failure, ToolError) as error:
        console.say(f"Error: {error}")
        return None
    except Exception:
        console.say(traceback.format_exc())
        return None
    outcome.show()
    return dict(outcome.document)


def sign_off(
    checks: Sequence[Check],
    reports: Mapping[str, dict[str, Any] | None],
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Collects what reports say; a part without a report, or that failed, is not passed.

    Parameters
    ----------
    reports
        By the name of each check that was run; None of one that broke off.
    before
        An earlier page: what it says of parts that were not run stays.
    """
    kept = {row["part"]: row for row in before["parts"]} if before else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rows = []
    tools: dict[str, str] = dict(before["tools"]) if before else {}
    for check in checks:
        if check.name not in reports and check.title in kept:
            rows.append(kept[check.title])
            continue
        report = reports.get(check.name) or {}
        tools |= report.get("tools", {})
        rows.append(
            {
                "part": check.title,
                "command": report.get("command", check.line),
                "date": today if report else None,
                "passed": report.get("passed", False),
                "seed": report.get("seed"),
                "figures": check.sentence.format(**report) if report else "not run",
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


@click.command(cls=Command)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([check.name for check in CHECKS]),
    help="These parts; what the page says of the others stays.",
)
@click.option("--quick", is_flag=True, help="A slice of each part.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/verify"),
    help="Folder of the page.",
)
def verify(only: tuple[str, ...], quick: bool, output: Path) -> Outcome:
    """Run every part of the verification, and write a page of figures to sign off by."""
    path = output / "signoff.json"
    before = json.loads(path.read_text()) if only and path.exists() else None
    chosen = [check for check in CHECKS if not only or check.name in only]
    reports: dict[str, dict[str, Any] | None] = {}
    for number, check in enumerate(chosen, 1):
        console.say(f"{number} of {len(chosen)}: {check.title}")
        reports[check.name] = carry_out(check, quick=quick)
    document = sign_off(CHECKS, reports, before)
    write_text(path, as_json(document))
    write_text(output / "signoff.md", page(document))
    return Outcome(document, lambda: console.say(page(document)), bool(document["passed"]))
