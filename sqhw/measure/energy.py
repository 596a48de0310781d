"""Switching energy of processing elements on real activations, on netlists of standard cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sw_reference.activations import Site, load_activations

from .. import __version__
from ..config import PEConfig
from ..tools import cache as store
from ..tools.cache import CACHE
from ..tools.gate_sim import GateSimulator, beat_bits, drive
from ..tools.liberty import read_cells
from ..tools.libraries import fetched
from ..tools.synth import gate_netlist
from ..tools.targets import gates
from ..tools.tools import package_version
from ..tools.verilog import convert
from .committed import TOOLS, made_from
from .energy_page import tables
from .energy_points import K, Simulated, beside_rivals, simulated
from .goals import energy_verdicts
from .resources import OTHER, block_of
from .rival_beats import Beats
from .rivals.catalogue import RIVALS
from .tables import Begin, Record
from .units import CONFIGS, alike, unit
from .utilization import PERCENTILE

__all__ = ["COLUMNS", "MHZ", "TOKENS", "VOLT", "document", "femtojoules", "measure", "simulate", "tables"]

MHZ, VOLT = 100, 1.8
"""At which powers are stated: one clock for all, and the voltage of the OSU018 library."""


TOKENS, COLUMNS = 8, 4
"""Dot products of each site that are simulated, unless someone says otherwise."""


def measure(
    *,
    tokens: int,
    columns: int,
    begin: Begin,
    command: str,
    own: PEConfig | None = None,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Simulates elements on `tokens` x `columns` dot products of every site; returns the report.

    Without `own` it is every element of the docs' page; else the element of that configuration, and rivals of
    as many lanes.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    sites, chosen = load_activations().sites, simulated() if own is None else beside_rivals(own)
    done, results = begin("Simulating", len(chosen)), []
    for element in chosen:
        results.append(simulate(element, sites, tokens, columns, cache))
        done(element.name)
    return document(results, sites, command=command)


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
        "milliwatts": round(milliwatts(sum(energy.values()) + found["clock"], found["cycles"]), 4),
    }


def milliwatts(energy: float, cycles: int) -> float:
    """Power of one element at :data:`MHZ` and :data:`VOLT`, from fF * V^2 that so many cycles took."""
    return energy * VOLT**2 / cycles * MHZ * 1e-6


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
    rivals = [name for name in by_name if _family(name) in RIVALS]
    own = [name for name in by_name if name not in rivals and not name.endswith(tuple(_AGAINST))]
    gating = []
    for name in own:
        if not all(name + suffix in by_name for suffix in _AGAINST):
            continue
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
        for rival in rivals
        if by_name[rival]["lanes"] == by_name[name]["lanes"] and _beside(name, rival)
    ]
    return {
        "command": command,
        "tools": {
            "sqhw": __version__,
            **{t: package_version(t) for t in TOOLS},
        },
        "data": [f"layer {site.layer}, {site.name}" for site in sites],
        "policy": f"threshold: above the {PERCENTILE:g}th percentile of the site's magnitudes",
        "elements_per_dot_product": K,
        "mhz": MHZ,
        "volt": VOLT,
        "units": [
            {**result, **(_made_from(result) if result["name"] in rivals else {})} for result in results
        ],
        "gating": gating,
        "ratios": ratios,
        "goals": energy_verdicts(results),
    }


def _family(name: str) -> str:
    """That of an element of so many lanes: ``w4a8-linear`` of ``w4a8_linear_32``."""
    return name.rsplit("_", 1)[0].replace("_", "-")


def _beside(name: str, rival: str) -> bool:
    """Whether a rival has the group scales of an SQ element; a point of one's own has no others beside it."""
    config = CONFIGS.get(_family(name))
    return config is None or alike(_family(rival), config(int(name.rsplit("_", 1)[1])))


def _made_from(result: Record) -> dict[str, str]:
    return {"made_from": made_from(unit(_family(result["name"]), result["lanes"], None))}


def _ratios(own: Record, rival: Record) -> dict[str, float]:
    return {
        "switching": round(own["switching_per_mac"] / rival["switching_per_mac"], 3),
        "with_clock": round(femtojoules(own) / femtojoules(rival), 3),
    }


def femtojoules(result: Record, volt: float = VOLT) -> float:
    """Energy per multiplication of what :func:`simulate` found, clock pins of registers included."""
    return float(result["switching_per_mac"] + result["clock_per_mac"]) * volt**2
