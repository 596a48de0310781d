"""Elements whose switching is measured: how they are made, and how operands become their beats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from sw_reference.activations import Site
from sw_reference.quantize import quantize_sq

from ..config import PEConfig
from ..packing import dense_beats, sq_beats
from ..pe.blocks import stepped
from ..pe.outliers import outlier_path
from .core import BarePE
from .rival_beats import DRIVEN, Beats, dense_operand, rival_beats
from .rivals.array import RivalArray
from .rivals.catalogue import GROUP, RIVALS
from .rivals.mx_dot import MX_BLOCK
from .ungated import ungated
from .units import CONFIGS, FAMILIES, alike, best
from .utilization import policy_of

__all__ = ["K", "Simulated", "beside_rivals", "own_point", "rival_point", "rivals_of", "simulated", "streams"]

K = 512
"""Elements of each dot product that are simulated."""

_GATED = ("sq", "sq-int8")
"""SQ families with an outlier lane that rests, measured with :data:`_LANES` lanes."""

_LANES = 16

_ALWAYS = {
    16: ("sq-dense", "paper", "lean"),
    32: ("lean", "fine", "both", "sq-sq", "sq-int8", "lean-offset", "fine-offset"),
    64: ("lean", "fine", "fine-halves", "both"),
}
"""Other SQ families, by lanes. Their banks have as many outliers as they may: most of them gate nothing."""


_BESIDE = (
    *(("sq", 16), ("lean", 16), ("lean", 32), ("lean", 64), ("lean-offset", 32), ("sq-int8", 32)),
    ("fine-halves", 64),
)
"""Elements whose rivals are simulated: all lanes, and all kinds of group scales."""


@dataclass(frozen=True)
class Simulated:
    """A processing element to be simulated: name, lanes, how it is made, and how operands become beats."""

    name: str
    title: str
    lanes: int
    make: Callable[[], wiring.Component]
    beats: Callable[[Site, int, int], Beats]


def simulated() -> list[Simulated]:
    """SQ elements, those with a gate also without it and never idle, and rivals of as many lanes."""
    found = []
    for family in _GATED:
        config, title, name = CONFIGS[family](_LANES), FAMILIES[family].title, _name(family, _LANES)
        found += [
            own_point(config, name, title),
            own_point(config, f"{name}_ungated", f"{title}, ungated", gated=False),
            own_point(config, f"{name}_busy", f"{title}, never idle", policy="largest"),
        ]
    for lanes, families in _ALWAYS.items():
        for family in families:
            config, title = CONFIGS[family](lanes), FAMILIES[family].title
            found.append(own_point(config, _name(family, lanes), title, policy="largest"))
    beside = [CONFIGS[family](lanes) for family, lanes in _BESIDE]
    rivals = {rival.name: rival for config in beside for rival in _rivals(config)}
    return [*found, *rivals.values()]


def beside_rivals(config: PEConfig) -> list[Simulated]:
    """Any SQ element and the rivals of as many lanes."""
    sq, lanes = config.sq, config.lanes
    title = f"SQ {sq.bank}/{sq.outliers} {sq.high.upper()} x INT{config.dense.bits}"
    return [own_point(config, f"own_{lanes}", title), *_rivals(config)]


def _rivals(config: PEConfig) -> list[Simulated]:
    """Both forms of integer rivals: either may be the smaller one."""
    forms = [form for family in rivals_of(config) for form in best(family)]
    return [rival_point(form, config.lanes) for form in forms]


def rivals_of(config: PEConfig) -> list[str]:
    """Rivals that there are with as many lanes and the same group scales: no beat exceeds a group of INT4
    weights, or an MX block."""
    most = {"w4": GROUP, "mx": MX_BLOCK}
    return [
        family
        for family in DRIVEN
        if config.lanes <= most.get(family[:2], config.lanes) and alike(family, config)
    ]


def own_point(config: PEConfig, name: str, title: str, *, policy: str = "", gated: bool = True) -> Simulated:
    """Any SQ element.

    Parameters
    ----------
    config
        Its configuration; a beat's operands come from the embedded activations and weights.
    name, title
        Identifier, and what tables call it.
    policy
        ``"threshold"``: few banks have an outlier; ``"largest"``: each has as many as it may. By default the
        latter with an index mask, where no lane rests, and else the former.
    gated
        Whether the outlier lane rests where there is no outlier.
    """
    make = partial(BarePE, config, None if gated else stepped(ungated(outlier_path(config))))
    usual = "largest" if config.sq.has_index else "threshold"
    return Simulated(name, title, config.lanes, make, partial(_sq_beats, config, policy or usual))


def rival_point(family: str, lanes: int) -> Simulated:
    """A rival of :data:`~sqhw.measure.rival_beats.DRIVEN`, or its form of pairs, with operands that its own
    encoder makes."""
    make, beats = partial(_rival, family, lanes), partial(_rival_beats, family, lanes)
    return Simulated(_name(family, lanes), FAMILIES[family].title, lanes, make, beats)


def _name(family: str, lanes: int) -> str:
    return f"{family.replace('-', '_')}_{lanes}"


def _rival(family: str, lanes: int) -> RivalArray:
    return RivalArray(RIVALS[family](lanes))


def streams(site: Site, tokens: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Activations and weights of `tokens` x `columns` dot products, evenly taken from a site."""
    rows = np.linspace(0, len(site.x) - 1, tokens).astype(int)
    picked = np.linspace(0, len(site.weight) - 1, columns).astype(int)
    return site.x[rows, :K], site.weight[picked, :K]


def _sq_beats(config: PEConfig, policy: str, site: Site, tokens: int, columns: int) -> Beats:
    """With ``threshold`` few banks have an outlier, with ``largest`` each has as many as it may."""
    x, w = streams(site, tokens, columns)
    sq = quantize_sq(x, config.sq, policy=policy_of(site, policy))
    pairs = [*product(sq_beats(config, sq), dense_beats(config, dense_operand(w, config.dense)))]
    return {"sq": [row for row, _ in pairs], "dense": [column for _, column in pairs]}


def _rival_beats(family: str, lanes: int, site: Site, tokens: int, columns: int) -> Beats:
    return rival_beats(family, lanes, *streams(site, tokens, columns))
