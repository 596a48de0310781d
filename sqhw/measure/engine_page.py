"""The page on the engine's speed, and tables for a terminal, from the same reports."""

from __future__ import annotations

from typing import Any

from . import stream
from .tables import Record, Rows, markdown, rows

__all__ = ["layer_rows", "page", "product_rows", "simulation_rows", "stream_rows"]


def product_rows(product: Record) -> Rows:
    """Whole products: cycles from the start to the last result."""
    return rows(
        product["rows"],
        {
            "M": "{m:,}",
            "N": "{n:,}",
            "K": "{k:,}",
            "compared": "{compared:,}",
            "mismatches": "{mismatches:,}",
            "cycles": "{cycles:,}",
            "ideal": "{ideal_cycles:,.0f}",
            "overhead": "{overhead_cycles:,.0f}",
            "starved": "{starved:,}",
            "held": "{held:,}",
            "utilization": "{utilization:.1%}",
        },
    )


def layer_rows(layer: Record) -> Rows:
    """Layers of a model; milliseconds where a clock was measured."""
    columns = {
        "layer": "{layer}",
        "tokens": "{tokens}",
        "N x K": "{n} x {k}",
        "compared": "{compared:,}",
        "mismatches": "{mismatches:,}",
        "cycles": "{cycles:,}",
        "starved": "{starved:,}",
        "utilization": "{utilization:.1%}",
        "gate rate": "{gate_rate:.1%}",
    }
    return rows(layer["rows"], columns | ({"ms": "{milliseconds:.2f}"} if layer["clock"] else {}))


def simulation_rows(simulation: Record) -> Rows:
    """Cycles per second of one core: cocotb's simulation and the driver's."""
    return rows(
        simulation["rows"],
        {
            "engine": "{preset}",
            "M x N x K": "{m} x {n} x {k}",
            "compared": lambda r: f"{r['cocotb']['compared'] + r['library']['compared']:,}",
            "mismatches": lambda r: f"{r['cocotb']['mismatches'] + r['library']['mismatches']:,}",
            "cocotb": "{cocotb[cycles_per_processor_second]:,.0f}",
            "backend": "{library[cycles_per_processor_second]:,.0f}",
            "ratio": "{ratio:.1f}",
            "backend compiles in": "{library[compile_processor_seconds]:.0f} s",
        },
    )


def stream_rows(report: Record) -> Rows:
    """Cycles of all blocks of the model, and how they use the stream of W and the array."""
    return rows(
        stream.totals(report),
        {
            "engine": "{preset}",
            "stream": "{axi_bits} bits",
            "M": "{m}",
            "compared": "{compared:,}",
            "mismatches": "{mismatches:,}",
            "cycles per token": "{cycles_per_token:,.0f}",
            "W's stream": "{stream_share:.1%}",
            "utilization": "{utilization:.1%}",
        },
    )


def page(report: Record) -> str:
    """Returns the page of the reports of `sqhw measure speed` and `sqhw measure clock`."""
    product, layer, simulation = report["product"], report["layer"], report["simulation"]
    lines = [
        "# The engine, measured",
        "",
        f"Emitted Verilog of the preset `{product['preset']}`, simulated cycle by cycle. Every result is",
        "compared with the golden model. Streams never pause.",
        "",
        f"## Whole products: `{product['command']}`",
        "",
        "Cycles from the start to the last result; ideal: M N K / peak.",
        "",
        *markdown(*product_rows(product)),
        "",
        _overhead(product),
    ]
    if product["steady_utilization"] is not None:
        lines += ["", f"Once steady (more columns of one product): {product['steady_utilization']:.1%}."]
    emission = {
        "array": "{rows} x {columns}",
        "Verilog, seconds of one core": "{processor_seconds:.1f}",
        "bytes": "{bytes:,}",
    }
    lines += ["", *markdown(*rows(product["emission"], emission))]
    if "stream" in report:
        lines += ["", f"## A language model: `{report['stream']['command']}`", "", _STREAM, ""]
        lines += markdown(*stream_rows(report["stream"]))
    lines += ["", f"## Speed of the simulation: `{simulation['command']}`", "", _SIMULATION, ""]
    lines += markdown(*simulation_rows(simulation))
    title = f"## Block {layer['block']} of SmolLM2-135M-Instruct: `{layer['command']}`"
    totals = [sum(row[name] for row in layer["rows"]) for name in ("compared", "mismatches", "cycles")]
    lines += ["", title, "", *markdown(*layer_rows(layer)), ""]
    lines += ["{:,} results compared, {} mismatches, {:,} cycles.".format(*totals), _LAYER]
    if layer["clock"]:
        lines += ["", *_clock(layer["clock"], sum(row["milliseconds"] for row in layer["rows"]))]
    return "\n".join(lines) + "\n"


def _overhead(product: Record) -> str:
    """What a product takes beyond M N K / peak: a number of cycles that depends on K alone."""
    found: dict[int, set[int]] = {}
    for row in product["rows"]:
        if row["m"] > 1:  # one token is bound by the stream of W
            found.setdefault(row["k"], set()).add(round(row["overhead_cycles"]))
    each = "; ".join(
        f"K = {k:,}: {' to '.join(f'{cycles:,}' for cycles in sorted({min(seen), max(seen)}))} cycles"
        for k, seen in sorted(found.items())
    )
    return f"So a product takes M N K / peak plus, whatever M and N: {each}."


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


_STREAM = """\
The linear layers of SmolLM2-135M with M tokens at a time, random operands. One block is run, its q, k, v
and its gate, up as one product each; cycles are those of 30 blocks. W's stream: cycles in which it
moves a word."""

_SIMULATION = """\
The same job, without pauses, under cocotb (Verilator) and through `Engine(config, backend="rtl")`:
simulated cycles per second of one core."""

_LAYER = """\
Two row tiles alone use each tile of W, so W's stream sets the rate. The encoder takes as many elements of
every bank as it may, so no beat is without an outlier."""
