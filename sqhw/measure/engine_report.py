"""``python -m sqhw.measure.engine_report``: the engine's report as Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sw_reference.files import write_text

__all__ = ["main", "markdown"]


def markdown(document: dict[str, Any]) -> str:
    """Returns the page of a report that `make bench-engine` and `make layer` wrote."""
    bench, layer, speed = document["bench"], document["layer"], document["speed"]
    clock = layer.get("clock")
    lines = [
        "# The engine, measured",
        "",
        f"Emitted Verilog of the preset `{bench['preset']}`, simulated cycle by cycle, every result",
        "compared with the golden model. Streams never pause.",
        "Made by `python -m sqhw.measure.engine_report`.",
        "",
        f"## Whole products: `{bench['command']}`",
        "",
        "Cycles from the start to the last result; ideal: M N K / peak.",
        "",
        "| M | N | K | compared | mismatches | cycles | ideal | overhead | utilization |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in bench["rows"]:
        numbers = (row[name] for name in ("m", "n", "k", "compared", "mismatches", "cycles"))
        cells = [f"{number:,}" for number in numbers]
        cells += [
            f"{row['ideal_cycles']:,.0f}",
            f"{row['overhead_cycles']:,.0f}",
            f"{row['utilization']:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_overhead(bench["rows"])]
    if bench["steady_utilization"] is not None:
        lines += ["", f"Once steady (more columns of the same product): {bench['steady_utilization']:.1%}."]
    lines += ["", "| array | Verilog, seconds of one core | bytes |", "|---|---|---|"]
    for row in bench["emission"]:
        lines.append(
            f"| {row['rows']} x {row['columns']} | {row['processor_seconds']:.1f} | {row['bytes']:,} |"
        )
    lines += _speed(speed)
    lines += [
        "",
        f"## Block {layer['block']} of SmolLM2-135M-Instruct: `{layer['command']}`",
        "",
        "| layer | tokens | N x K | compared | mismatches | cycles | starved | utilization | gate rate |"
        + (" ms |" if clock else ""),
        "|---|---|---|---|---|---|---|---|---|" + ("---|" if clock else ""),
    ]
    for row in layer["rows"]:
        cells = [row["layer"], str(row["tokens"]), f"{row['n']} x {row['k']}"]
        cells += [f"{row[name]:,}" for name in ("compared", "mismatches", "cycles", "starved")]
        cells += [f"{row['utilization']:.1%}", f"{row['gate_rate']:.1%}"]
        cells += [f"{row['milliseconds']:.2f}"] if clock else []
        lines.append(f"| {' | '.join(cells)} |")
    totals = [sum(row[name] for row in layer["rows"]) for name in ("compared", "mismatches", "cycles")]
    lines += [
        "",
        "{:,} results compared, {} mismatches, {:,} cycles.".format(*totals),
        "Each tile of W is used by two row tiles only, so W's stream sets the rate. The encoder takes as",
        "many elements of every bank as it may, so no beat is without an outlier.",
    ]
    if clock:
        lines += ["", *_clock(clock, sum(row["milliseconds"] for row in layer["rows"]))]
    return "\n".join(lines) + "\n"


def _overhead(rows: list[dict[str, Any]]) -> list[str]:
    """What a product takes beyond M N K / peak: a number of cycles that depends on K alone."""
    found: dict[int, set[int]] = {}
    for row in rows:
        if row["m"] > 1:  # one token is bound by the stream of W
            found.setdefault(row["k"], set()).add(round(row["overhead_cycles"]))
    each = "; ".join(
        f"K = {k:,}: {' to '.join(f'{cycles:,}' for cycles in sorted({min(seen), max(seen)}))} cycles"
        for k, seen in sorted(found.items())
    )
    return [f"So a product takes M N K / peak plus, whatever M and N: {each}."]


def _clock(clock: dict[str, Any], milliseconds: float) -> list[str]:
    size = "{rows} x {columns}".format(**clock["configuration"]["array"])
    seeds = ", ".join(f"{mhz:.1f}" for mhz in clock["mhz_seeds"])
    return [
        f"Time: {milliseconds:.1f} ms in all, at {clock['mhz']:.1f} MHz: `{clock['command']}`.",
        f"This is the clock of the preset `{clock['preset']}`, {size} of the same units with the same",
        f"streams, after place and route on an {clock['device']} of speed grade {clock['speed_grade']},",
        f"between shift registers, without DSP blocks ({clock['luts']:,} LUTs); MHz by seed: {seeds}.",
        "The engine of the table is larger and was not placed; its own clock may be slower.",
    ]


def _speed(speed: dict[str, Any]) -> list[str]:
    lines = [
        "",
        f"## Speed of the simulation: `{speed['command']}`",
        "",
        'The same job, without pauses, under cocotb (Verilator) and through `Engine(config, backend="rtl")`:',
        "simulated cycles per second of one core.",
        "",
        "| engine | M x N x K | compared | mismatches | cocotb | backend | ratio | backend compiles in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in speed["rows"]:
        sides = row["cocotb"], row["library"]
        cells = [row["preset"], f"{row['m']} x {row['n']} x {row['k']}"]
        cells += [f"{sum(side[name] for side in sides):,}" for name in ("compared", "mismatches")]
        cells += [f"{side['cycles_per_processor_second']:,.0f}" for side in sides]
        cells += [f"{row['ratio']:.1f}", f"{row['library']['compile_processor_seconds']:.0f} s"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


@click.command()
@click.option("--input", "path", type=click.Path(path_type=Path), default=Path("build/engine/engine.json"))
def main(path: Path) -> None:
    """Write the report's page beside it."""
    page = path.with_suffix(".md")
    write_text(page, markdown(json.loads(path.read_text())))
    click.echo(page)


if __name__ == "__main__":
    main()
