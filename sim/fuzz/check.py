"""Random bits, registers, bytes and damaged files: no hang, and nothing wrong afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sim.bench.streams import compile_encoder, compile_pe
from sim.fuzz.beats import beat_rounds
from sim.fuzz.dma import compile_dma, transfer_rounds
from sim.fuzz.encoder import row_rounds
from sim.fuzz.engine import CONFIGS, engine_rounds
from sim.fuzz.files import damaged_files
from sim.fuzz.line import compile_line, line_rounds
from sim.mutation.pe import CONFIG
from sim.report import Check, Report, about
from sqhw.console import Begin
from sqhw.driver.rtl import RTLDevice
from sqhw.emit import emit
from sqhw.encoder.config import ENCODERS

__all__ = ["CHECK", "COMMAND", "run", "totals"]

FILES = 1000
_ENCODER = replace(ENCODERS["lean"], k_max=512)


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Sums over rounds; a round of streams hung unless it is done."""
    rows = [{"hangs": int(row.get("state", "done") != "done")} | row for row in rows]
    names = [name for name, value in rows[0].items() if name != "round" and isinstance(value, int)]
    return {"rounds": len(rows)} | {name: sum(row[name] for row in rows) for name in names}


def run(
    folder: Path,
    begin: Begin,
    *,
    beats: int,
    words: int,
    row_words: int,
    moved: int,
    rounds: int,
    seed: int,
) -> Report:
    """Send random bits to a processing element, engines, an encoder, a DMA and a serial line; read damaged
    files."""

    step = begin("fuzzing", beats + len(CONFIGS) * words + row_words + 2 * moved + rounds)

    def part(name: str, unit: str, steps: Iterator[dict[str, Any]]) -> dict[str, Any]:
        seen = []
        for row in steps:
            seen.append(row)
            step(name, row.get(unit, 1))
        return {"part": name} | totals(seen)

    program = compile_pe(emit(CONFIG, "top"), folder)
    parts = [part("processing element", "beats", beat_rounds(program, CONFIG, beats, seed))]
    for name, config in CONFIGS.items():
        device = RTLDevice(config, note=about(step, name))
        parts.append(part(name, "words", engine_rounds(config, device, words, seed)))
    encoder = compile_encoder(_ENCODER, folder / "encoder")
    parts.append(part("encoder", "words", row_rounds(encoder, _ENCODER, row_words, seed)))
    dma = compile_dma(folder / "dma")
    parts.append(part("DMA", "words", transfer_rounds(dma, moved, seed)))
    line = compile_line(folder / "line")
    parts.append(part("serial line", "rounds", line_rounds(line, rounds, seed)))
    files = damaged_files(FILES, seed)
    figures = {name: sum(one[name] for one in parts) for name in ("hangs", "compared", "wrong")}
    figures["beats"] = sum(one.get("beats", 0) + one.get("words", 0) for one in parts)
    problems = [
        f"{one['part']}: {one['hangs']} hangs, {one['wrong']} of {one['compared']} results are wrong"
        for one in parts
        if one["hangs"] or one["wrong"] or not one["compared"]
    ]
    shown = {"parts": ("part", "rounds", "hangs", "compared", "wrong")}
    return Report(figures, {"parts": parts, "files": [files]}, problems, shown)


def _count(name: str, default: int, text: str) -> click.Option:
    return click.Option([name], type=int, default=default, show_default=True, help=text)


CHECK = Check(
    "fuzz",
    "Fuzzing",
    run,
    "{beats:,} beats and words, {hangs} hangs; {compared:,} results afterwards compared, {wrong} wrong",
    ("amaranth", "verilator"),
    options=(
        _count("--beats", 1_000_000, "To the processing element."),
        _count("--words", 300_000, "In good jobs of each engine."),
        _count("--row-words", 1_000_000, "Of rows to an encoder."),
        _count("--moved", 1_000_000, "Words that each of a DMA's reader and writer moves."),
        _count("--rounds", 400, "Of jobs over a serial line."),
    ),
    quick={"beats": 100_000, "words": 10_000, "row_words": 10_000, "moved": 10_000, "rounds": 40},
)
COMMAND = CHECK.command()
