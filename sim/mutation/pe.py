"""What mutants of a processing element must get wrong: dot products of every kind, legal and not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from sim.bench.program import Bench, Channel
from sim.bench.replay import Sink, Source, play
from sim.report import Failure
from sim.traffic.dot_products import NAN, DotProduct, Traffic, dot_products, numeric_products
from sim.traffic.rounding_cases import rounding_products
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, pe_beat_layout, sq_beat_layout
from sqhw.packing import axi_words
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["CONFIG", "PE_OUT", "stimulate_pe"]

CONFIG = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16), lanes=4, outlier_lanes=1, k_max=64)
"""Small, with all that needs control: banks of two beats, beats of two steps, group scales, a short k_max."""


def _axi(name: str, *payload: str) -> Channel:
    return Channel(tuple(f"{name}_{wire}" for wire in payload), f"{name}_tvalid", f"{name}_tready")


_IN = (
    _axi("s_axis_sq", "tdata", "tlast", "tuser"),
    _axi("s_axis_dense", "tdata", "tlast"),
    _axi("s_axis_scale", "tdata"),
)
PE_OUT = _axi("m_axis_y", "tdata", "tuser")
UNKNOWN = -1
ODD = (0, 0xFF << 23, 0xFF << 55)
PAUSES = ((0.0, 0.0), (0.3, 0.4), (0.0, 0.7), (0.6, 0.0))


def _ends(config: PEConfig, traffic: Traffic, pauses: tuple[float, float]) -> tuple[list[Source], Sink]:
    beats: list[Sequence[tuple[int, ...]]] = [
        axi_words(pe_beat_layout(config), traffic.sq),
        [word[:2] for word in axi_words(dense_beat_layout(config), traffic.dense)],
        [(word,) for word in traffic.scales],
    ]
    sources = [Source(channel, words, pauses[0]) for channel, words in zip(_IN, beats, strict=True)]
    return sources, Sink(PE_OUT, pauses[1])


def _every_scale(config: PEConfig, product: DotProduct) -> list[DotProduct]:
    """The same dot product with each bank scale there is, legal or reserved."""
    layout, scale = sq_beat_layout(config), config.sq.bank_scale
    field = layout["scale"]
    mask = (1 << field.width) - 1 << field.offset
    products = []
    for code in range(1 << scale.bits):
        sq = [word & ~mask | code << field.offset for word in product.sq]
        reserved = scale.is_e5m3 and code not in scale.legal
        y = NAN if reserved else UNKNOWN
        products.append(replace(product, sq=sq, y=y, error=int(reserved)))
    return products


def _without_length(config: PEConfig, product: DotProduct) -> DotProduct:
    """One beat of a dot product, whose length says 0: it is refused."""
    sq, dense = pe_beat_layout(config), dense_beat_layout(config)
    length = sq["length"]
    first = product.sq[0] & ~((1 << length.width) - 1 << length.offset)
    beats = [first | 1 << sq["last"].offset], [product.dense[0] | 1 << dense["last"].offset]
    return DotProduct(*beats, product.scales, NAN, 1, "no length")


def stimulate_pe(bench: Bench, seed: int, effort: int, *, config: PEConfig = CONFIG) -> int:
    """Dot products of every kind, legal and not, in each pattern of pauses, and a reset in mid-stream."""
    rng = random.Random(seed)
    legal, malformed = dot_products(config, seed)
    numeric = numeric_products(config, seed, effort)
    close = rounding_products(config, seed) if config.sq.high == "fp16" else []
    scales = _every_scale(config, legal[0])
    compared = 0
    for number, pauses in enumerate(PAUSES):
        share = numeric[number::8] if number else numeric[::2] + numeric[5::8]
        chosen = rng.sample(legal, min(len(legal), effort // 10)) + malformed + share
        chosen += close[number :: len(PAUSES)] + scales[number :: len(PAUSES)]
        chosen += [_without_length(config, product) for product in share[10::200]]
        chosen.append(max(legal, key=lambda product: len(product.sq)))
        # Row scales that are not normal: nobody says what comes of them, but a mutant must not change it.
        odd = [replace(product, scales=rng.getrandbits(64), y=UNKNOWN) for product in share[::20]]
        chosen += [replace(product, scales=product.scales & ~rng.choice(ODD), y=UNKNOWN) for product in odd]
        rng.shuffle(chosen)
        traffic = Traffic()
        for product in chosen:
            traffic.add(product)
        bench.set("aresetn", 0)
        bench.step()
        bench.set("aresetn", 1)
        sources, sink = _ends(config, traffic, pauses)
        expected = traffic.expected
        limit = 60 * len(traffic.sq)
        if not play(bench, [*sources, sink], rng, cycles=limit, until=sink.has(len(expected))):
            raise Failure(f"{len(sink.beats)} of {len(expected)} results came")
        known = [pair for pair in zip(sink.beats, expected, strict=True) if pair[1][0] != UNKNOWN]
        if any(got != want for got, want in known):
            raise Failure("Results differ from the golden model's")
        compared += len(known)
        # Something is left inside when the next reset comes.
        sources, sink = _ends(config, traffic, pauses)
        play(bench, [*sources, sink], rng, cycles=rng.randrange(20, 90))
    return compared
