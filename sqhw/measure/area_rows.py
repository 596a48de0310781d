"""Rows of the tables on area and frequency, from the report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .rivals.catalogue import RIVALS
from .serving import ARRAY
from .tables import Record, Rows, rows
from .units import CONFIGS, FAMILIES, plain, unit

__all__ = [
    "bits_rows",
    "block_rows",
    "choice_rows",
    "clock_ratio_rows",
    "clock_rows",
    "decode_rows",
    "former_rows",
    "goal_rows",
    "part_rows",
    "ratio_rows",
    "serving_rows",
    "sum_rows",
    "unit_rows",
]

_COLUMNS = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "area (um2)": "{um2:,}",
    "gates (GE)": "{gates:,}",
    "GE per MAC": "{gates_per_mac:,.1f}",
    "registers": "{registers:,}",
}


def _units(report: Record, size: str) -> list[Record]:
    return [u for u in report["units"] if u["size"] == size]


def unit_rows(report: Record, size: str) -> Rows:
    """Area of every unit of one size."""
    return rows(_units(report, size), _COLUMNS)


_BESIDE = ("w4a4", "w4a4-pairs", "w4a8", "w4a8-pairs", "w8a8", "w8a8-pairs", "nvfp4")
"""Rivals whose ratios are set beside those of the former report."""


def former_rows(report: Record) -> Rows:
    """Ratios of arrays in the former report, and now."""
    gates = {row["unit"]: row["gates"] for row in report["former"]}
    titles = {u["name"]: u["title"] for u in report["units"]}
    names = {family.replace("-", "_"): family for family in _BESIDE}
    kept = [
        row
        for row in report["ratios"]
        if row["unit"].endswith("_8x8") and row["to"].rsplit("_", 2)[0] in names
        if row["unit"] in gates and row["to"] in gates
    ]
    records = [
        {
            "pair": f"{titles[row['unit']]} / {titles[row['to']]}",
            "lanes": row["unit"].rsplit("_", 2)[1],
            "before": gates[row["unit"]] / gates[row["to"]],
            "now": row["gates"],
        }
        for row in kept
    ]
    columns = {"8 x 8": "{pair}", "lanes": "{lanes}", "before": "{before:.3f}", "now": "{now:.3f}"}
    return rows(records, columns)


def clock_rows(report: Record) -> Rows:
    """GE per MAC of processing elements at each period, and the fastest of each."""
    units = {u["name"]: u for u in report["units"]}
    header = ["unit", "lanes", *(f"{period:g} ns" for period in report["periods"]), "fastest (ns)"]
    lines = []
    for row in report["reach"]:
        u = units[row["unit"]]
        cells = ["-" if gates is None else f"{gates / u['macs']:,.1f}" for gates in row["gates"]]
        lines.append([u["title"], str(u["lanes"]), *cells, f"{row['fastest']:.2f}"])
    return header, lines


def clock_ratio_rows(report: Record) -> Rows:
    """Gates of SQ arrays in units of each rival's, in the cells of the clocks: both the smallest netlist, and
    both mapped to reach the same period."""
    units = {u["name"]: u for u in report["units"]}
    found = {(r["unit"], r["to"], f"{r['period']:g} ns"): r["gates"] for r in report["reach_ratios"]}
    least = {name: u["clock"][0]["gates"] for name, u in units.items() if "clock" in u}
    pairs = {(name, to) for name, to, _ in found}
    found = {(name, to, "any"): least[name] / least[to] for name, to in pairs} | found
    rivals = list(dict.fromkeys(units[r["to"]]["title"] for r in report["reach_ratios"]))
    named = {
        (name, units[to]["title"], period): f"{value:.3f}" for (name, to, period), value in found.items()
    }
    periods = ["any", *dict.fromkeys(f"{r['period']:g} ns" for r in report["reach_ratios"])]
    lines = [
        [
            units[name]["title"],
            str(units[name]["lanes"]),
            period,
            *(named.get((name, to, period), "") for to in rivals),
        ]
        for name in dict.fromkeys(r["unit"] for r in report["reach_ratios"])
        for period in periods
    ]
    return ["gates of", "lanes", "period", *(f"/ {to}" for to in rivals)], lines


def _name(family: str) -> str:
    return family.replace("-", "_")


def ratio_rows(report: Record) -> Rows:
    """Gates of SQ hardware in units of each rival's; one column for all forms of group scales."""
    names = {
        u["name"]: u["name"].replace(_name(u["family"]), _name(plain(u["family"]))) for u in report["units"]
    }
    found = {(r["unit"], names[r["to"]]): f"{r['gates']:.3f}" for r in report["ratios"]}

    def to(rival: str) -> Callable[[Record], str]:
        return lambda u: found.get((u["name"], f"{_name(rival)}_{u['lanes']}_{u['size']}"), "")

    own = [u for u in report["units"] if u["family"] in CONFIGS]
    measured = {plain(u["family"]) for u in report["units"]}
    columns = {f"/ {FAMILIES[rival].title}": to(rival) for rival in RIVALS if rival in measured}
    return rows(own, {"gates of": "{title}", "lanes": "{lanes}", "size": "{size}", **columns})


_CHOICES = (
    ("INT4 x INT4: single products, pairs of low codes", (16, 32), ("w4a4", "w4a4-pairs"), "8x8"),
    ("INT4 x INT8: single products, pairs of low codes", (16, 32), ("w4a8", "w4a8-pairs"), "8x8"),
    ("one PE, 64 that share decoders and row sides", (16,), ("sq", "sq"), "pe 8x8"),
    ("one PE, 64 that share decoders and row sides", (32,), ("lean", "lean"), "pe 8x8"),
    ("one FP16, two INT8 high codes per 16", (16,), ("sq", "sq-int8"), "8x8"),
)
"""Choices of the micro-architecture: lanes, families without and with it, size of both."""


def choice_rows(report: Record) -> Rows:
    """What each choice brings, by two units of one run: without it and with it."""
    units = {(u["family"], u["size"], u["lanes"]): u["gates_per_mac"] for u in report["units"]}
    units |= {(plain(f), *place): gates for (f, *place), gates in units.items() if "-linear" in f}
    records = []
    for title, every, families, size in _CHOICES:
        sizes = (size.split()[0], size.split()[-1])
        for lanes in every:
            pair = [units.get((f, s, lanes)) for f, s in zip(families, sizes, strict=True)]
            if pair[0] is not None and pair[1] is not None:
                change = 100 * (pair[1] / pair[0] - 1)
                record = {"title": title, "lanes": lanes, "before": pair[0], "after": pair[1]}
                records.append(record | {"change": change})
    columns = {"GE per MAC before, after": "{title}", "lanes": "{lanes}", "before": "{before:,.1f}"}
    return rows(records, columns | {"after": "{after:,.1f}", "change": "{change:+.0f} %"})


def goal_rows(report: Record, only: Collection[str] = ()) -> Rows:
    """Goals, or `only` those of these names, and whether they are met.

    A goal that is missed is out of reach where its floor is above it. The ratio to single products has its
    own verdict; the floor's columns are there if a goal has one.
    """

    def verdict(record: Record) -> str:
        if record["measured"] is None:
            return "open"
        beyond = record.get("floor", 0) > record["limit"]
        return "met" if record["met"] else "out of reach" if beyond else "missed"

    def single(record: Record) -> str:
        if "single" not in record:
            return ""
        above = record["single"] - record["limit"]
        return f"{record['single']}, {f'{above:.3f} above' if above > 0 else 'met'}"

    goals = [goal for goal in report["goals"] if not only or goal["goal"] in only]
    columns: dict[str, Any] = {
        "goal": "{goal}",
        "limit": lambda r: f"{'at least' if 'MHz' in r['goal'] else 'at most'} {r['limit']}",
        "measured": lambda r: "not measured" if r["measured"] is None else str(r["measured"]),
        "verdict": verdict,
    }
    if any("single" in goal for goal in goals):
        columns["to single products"] = single
    if any("floor" in goal for goal in goals):
        columns |= {"floor": "{floor} ({floor_is})", "left above it": "{left}", "taken": "{taken}"}
    return rows(goals, columns)


def block_rows(report: Record, size: str) -> Rows:
    """Gates of each block of SQ hardware, borders kept."""
    chosen = [u for u in _units(report, size) if "blocks" in u]
    names = list(dict.fromkeys(block for u in chosen for block in u["blocks"]))
    lines = [[name, *(f"{u['blocks'].get(name, 0):,}" for u in chosen)] for name in names]
    return ["block (GE)", *(f"{u['title']}, {u['lanes']}" for u in chosen)], lines


def part_rows(report: Record, size: str) -> Rows:
    """How often each part occurs in an array, and its gates."""
    records = [
        {**u, **part, "part": name, "all": part["count"] * part["gates"]}
        for u in _units(report, size)
        for name, part in u["parts"].items()
    ]
    columns = {"array": "{title}", "lanes": "{lanes}", "part": "{part}", "count": "{count}"}
    return rows(records, columns | {"GE each": "{gates:,}", "GE in all": "{all:,}"})


def bits_rows(report: Record) -> Rows:
    """Bits moved per multiplication, by size."""
    found = {(u["title"], u["lanes"], u["size"]): f"{u['bits']:,.3f}" for u in report["bits"]}
    sizes = list(dict.fromkeys(size for *_, size in found))
    keys = dict.fromkeys((title, lanes) for title, lanes, _ in found)
    lines = [[title, str(lanes), *(found[title, lanes, s] for s in sizes)] for title, lanes in keys]
    return ["bits moved per MAC", "lanes", *sizes], lines


_DECODE_COLUMNS = {
    "configuration": "{title}",
    "lanes": "{lanes}",
    "mask": "{mask}",
    "bits per element": "{bits_per_element:.3f}",
    "of them mask": "{mask_bits_per_element:.3f}",
    "decoder (GE)": "{decoder_gates:,}",
    "gather (GE)": "{gather_gates:,}",
    "of the PE": "{share_of_pe_percent:.1f} %",
    "of an 8x8 array": "{share_of_array_percent:.1f} %",
    "latency": "{latency_cycles}",
    "cycles per beat that stalls": "{extra_cycles}",
}
_SUM_COLUMNS = {
    "array": "{name}",
    "sum of parts (GE)": "{parts:,}",
    "whole, flat (GE)": "{whole:,}",
    "difference": "{difference_percent:+.2f} %",
}


def decode_rows(report: Record) -> Rows:
    """What decoding a mask costs."""
    return rows(report["decode"], _DECODE_COLUMNS)


def sum_rows(report: Record) -> Rows:
    """Sums of parts beside whole designs."""
    return rows(report["sums"], _SUM_COLUMNS)


_SERVING = {
    "encoder_lean_8_pe": "encoder, preset lean",
    "encoder_fine_8_pe": "encoder, preset fine",
    "encoder_lean_bf16_8_pe": "encoder, preset lean, of BF16",
    "encoder_lean_float32_4_pe": "encoder, preset lean, of float32",
    "dma_reader_32_pe": "DMA, a master that reads",
    "dma_writer_32_pe": "DMA, the master that writes",
}


def serving_rows(report: Record) -> Rows:
    """What serves an array, and its share of that array's gates."""
    array = next((u["gates"] for u in report["units"] if u["name"] == unit(*ARRAY).name), None)
    columns: dict[str, Any] = {
        "unit": lambda r: _SERVING[r["name"]],
        "stream, bits": "{bits}",
        "area (um2)": "{um2:,}",
        "gates (GE)": "{gates:,}",
        "of the array": lambda r: f"{r['gates'] / array:.1%}" if array else "-",
        "registers": "{registers:,}",
        "clock (ns)": lambda r: ", ".join(f"{point['period']:.2f}" for point in r.get("clock", ())) or "-",
        "memory, bits": "{memory_bits:,}",
    }
    return rows(report["serving"], columns)
