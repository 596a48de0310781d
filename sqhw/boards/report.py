"""The report of boards that were built: for programs, for a terminal, as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sw_reference.format import as_parameters

from .. import __version__
from .build import Bitstream
from .targets import BOARDS

__all__ = ["HEADER", "document", "markdown", "rows"]

HEADER = ("board", "FPGA", "engine", "LUT", "FF", "block RAM", "DSP", "clock (MHz)", "Fmax (MHz)", "slack")
_COLUMNS = ("LUT", "FF", "BRAM", "DSP")
_NOTE = (
    "Whole boards: serial line, protocol, engine. Cells are counted after packing, or after mapping where "
    "the board was not placed; a logic cell of an iCE40 (LUT) holds a register, too."
)


def document(built: Iterable[Bitstream], versions: dict[str, str], *, command: str) -> dict[str, Any]:
    """The report for programs: JSON types only."""
    boards = []
    for bitstream in built:
        board = BOARDS[bitstream.board]
        boards.append(
            {
                **asdict(bitstream),
                "title": board.title,
                "part": board.part,
                "baudrate": board.baudrate,
                "parameters": as_parameters(board.config),
            }
        )
    return {
        "command": command,
        "generator": {"sqhw": __version__, **versions},
        "seed": 1,
        "boards": boards,
    }


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row per board, below HEADER."""
    found = []
    for entry in report["boards"]:
        array = entry["parameters"]["array"]
        pe = array["pe"]
        size = f"{array['rows']} x {array['columns']} x {pe['lanes']} lanes"
        engine = f"{size}, {pe['sq']['high'].upper()}, K to {pe['k_max']:,}"
        fmax, clock = entry["fmax_mhz"], entry["clock_mhz"]
        found.append(
            (
                entry["title"],
                entry["part"],
                engine,
                *(_use(entry, resource) for resource in _COLUMNS),
                f"{clock:g}",
                "not placed" if fmax is None else f"{fmax:g}",
                "" if fmax is None else f"{fmax / clock - 1:+.0%}",
            )
        )
    return found


def _use(entry: dict[str, Any], resource: str) -> str:
    used, available = entry["used"].get(resource), entry["available"].get(resource)
    if used is None:
        return ""
    return f"{used:,}" + (f" ({used / available:.0%})" if available else "")


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page."""
    lines = ["# Engines on boards", "", f"Made by `{report['command']}`. {_NOTE}", ""]
    lines.append("| " + " | ".join(HEADER) + " |")
    lines.append("|" + "---|" * 3 + "---:|" * (len(HEADER) - 3))
    lines += ["| " + " | ".join(row) + " |" for row in rows(report)]
    return "\n".join(lines) + "\n"
