"""``sqhw board``: a board that is simulated."""

from __future__ import annotations

import click

from ..boards.simulated import simulated_port
from ..boards.targets import BOARDS
from ..console import Command, Outcome, say

__all__ = ["board"]


@click.command(cls=Command)
@click.option(
    "--simulate",
    "name",
    type=click.Choice(list(BOARDS)),
    required=True,
    help="Board to simulate on a pseudo-terminal, until it is interrupted.",
)
def board(name: str) -> Outcome:
    """Serve a simulated board, so that a driver runs without hardware."""
    with simulated_port(BOARDS[name], note=lambda text: say(f"{text} ...", err=True)) as (port, process):
        say(f"{BOARDS[name].title} is at {port}; Ctrl-C ends it.", err=True)
        code = process.wait()
    return Outcome({"board": name, "port": port, "exit": code}, lambda: None, code == 0)
