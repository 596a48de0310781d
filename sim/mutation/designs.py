"""What mutants are made of, and what they must get wrong: a design, its places for faults, a recorded run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sim.bench.program import Bench, Channel, Port, Program
from sim.bench.replay import Recording, Sink, Source, play
from sim.mutation.array import INVARIANTS as ARRAY_INVARIANTS
from sim.mutation.array import OUT as ARRAY_OUT
from sim.mutation.array import array_design, stimulate_array
from sim.mutation.engine import COUNTED_OUT, INVARIANTS, B, R, Y, engine_design, stimulate_engine
from sim.mutation.invariants import Clause, Term
from sim.report import Failure
from sim.traffic.dot_products import NAN, DotProduct, Traffic, dot_products, numeric_products
from sim.traffic.rounding_cases import rounding_products
from sqhw.config import PEConfig
from sqhw.emit import Design, emit
from sqhw.layouts import dense_beat_layout, pe_beat_layout, sq_beat_layout
from sqhw.packing import axi_words
from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat

__all__ = ["CONFIG", "DESIGNS", "Subject", "design_ports"]

CONFIG = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16), lanes=4, outlier_lanes=1, k_max=64)
"""Small, with all that needs control: banks of two beats, beats of two steps, group scales, a short k_max."""


@dataclass(frozen=True)
class Subject:
    """A design that mutants are made of.

    Attributes
    ----------
    name : str
    design : callable
        Emits it.
    clock : str
    sinks : tuple of Channel
        Streams that leave it.
    stimulate : callable
        Drives it (a bench, a seed, an effort), compares every result with the golden model, returns how many.
    without : str
        A pattern of places that have no faults; none if empty.
    beyond : str
        A pattern of faults, port and bit included, that no simulation reaches; none if empty.
    pipeline : bool
        Whether there is a pipeline that moves by one enable.
    effort : int
        How much the stimulus sends.
    invariants : tuple of Clause
        What is proven of the design's states before mutants are.
    """

    name: str
    design: Callable[[], Design]
    clock: str
    sinks: tuple[Channel, ...]
    stimulate: Callable[[Bench, int, int], int]
    reset: tuple[str, int]
    effort: int
    without: str = ""
    beyond: str = ""
    pipeline: bool = False
    invariants: tuple[Clause, ...] = ()

    @property
    def guards(self) -> dict[str, str]:
        """Outputs that count only while another one is high."""
        return {name: sink.valid for sink in self.sinks for name in sink.payload}

    def record(self, program: Program, seed: int, effort: int) -> tuple[Recording, int]:
        """Runs the design without a fault; returns the run, and how many results were compared."""
        bench = Bench(program)
        compared = self.stimulate(bench, seed, effort)
        return Recording.of(bench, self.sinks), compared


def design_ports(design: Design) -> list[Port]:
    """Ports of emitted hardware, clock and reset included."""
    return [
        Port(port["name"], port["width"], port["direction"] == "output") for port in design.manifest["ports"]
    ]


def _axi(name: str, *payload: str) -> Channel:
    return Channel(tuple(f"{name}_{wire}" for wire in payload), f"{name}_tvalid", f"{name}_tready")


_PE_IN = (
    _axi("s_axis_sq", "tdata", "tlast", "tuser"),
    _axi("s_axis_dense", "tdata", "tlast"),
    _axi("s_axis_scale", "tdata"),
)
_PE_OUT = _axi("m_axis_y", "tdata", "tuser")
UNKNOWN = -1
ODD = (0, 0xFF << 23, 0xFF << 55)
PAUSES = ((0.0, 0.0), (0.3, 0.4), (0.0, 0.7), (0.6, 0.0))


def _pe_ends(traffic: Traffic, pauses: tuple[float, float]) -> tuple[list[Source], Sink]:
    beats: list[Sequence[tuple[int, ...]]] = [
        axi_words(pe_beat_layout(CONFIG), traffic.sq),
        [word[:2] for word in axi_words(dense_beat_layout(CONFIG), traffic.dense)],
        [(word,) for word in traffic.scales],
    ]
    sources = [Source(channel, words, pauses[0]) for channel, words in zip(_PE_IN, beats, strict=True)]
    return sources, Sink(_PE_OUT, pauses[1])


def _every_scale(product: DotProduct) -> list[DotProduct]:
    """The same dot product with each bank scale there is, legal or reserved."""
    layout = sq_beat_layout(CONFIG)
    field = layout["scale"]
    mask = (1 << field.width) - 1 << field.offset
    products = []
    for code in range(256):
        sq = [word & ~mask | code << field.offset for word in product.sq]
        reserved = code not in LEGAL_SCALES
        y = NAN if reserved else UNKNOWN
        products.append(replace(product, sq=sq, y=y, error=int(reserved)))
    return products


def _stimulate_pe(bench: Bench, seed: int, effort: int) -> int:
    """Dot products of every kind, legal and not, in each pattern of pauses, and a reset in mid-stream."""
    rng = random.Random(seed)
    legal, malformed = dot_products(CONFIG, seed)
    numeric = numeric_products(CONFIG, seed, effort)
    close = rounding_products(CONFIG, seed)
    compared = 0
    for number, pauses in enumerate(PAUSES):
        share = numeric[number::8] if number else numeric[::2] + numeric[5::8]
        chosen = rng.sample(legal, min(len(legal), effort // 10)) + malformed + share
        chosen += close[number :: len(PAUSES)] + _every_scale(legal[0])[number :: len(PAUSES)]
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
        sources, sink = _pe_ends(traffic, pauses)
        expected = traffic.expected
        limit = 60 * len(traffic.sq)
        if not play(bench, [*sources, sink], rng, cycles=limit, until=sink.has(len(expected))):
            raise Failure(f"{len(sink.beats)} of {len(expected)} results came")
        known = [pair for pair in zip(sink.beats, expected, strict=True) if pair[1][0] != UNKNOWN]
        if any(got != want for got, want in known):
            raise Failure("Results differ from the golden model's")
        compared += len(known)
        # Something is left inside when the next reset comes.
        sources, sink = _pe_ends(traffic, pauses)
        play(bench, [*sources, sink], rng, cycles=rng.randrange(20, 90))
    return compared


PE = Subject(
    "pe",
    lambda: emit(CONFIG, "top"),
    "aclk",
    (_PE_OUT,),
    _stimulate_pe,
    ("aresetn", 0),
    40_000,
    pipeline=True,
    invariants=((Term("pe.decoder.rest", 0, 1, any=False),),),
)
ARRAY = Subject(
    "array",
    array_design,
    "clk",
    (ARRAY_OUT,),
    stimulate_array,
    ("rst", 1),
    2000,
    invariants=ARRAY_INVARIANTS,
)
ENGINE = Subject(
    "engine",
    engine_design,
    "aclk",
    (Y, B, R),
    stimulate_engine,
    ("aresetn", 0),
    400,
    r"array|lanes",
    COUNTED_OUT,
    invariants=INVARIANTS,
)
DESIGNS = {subject.name: subject for subject in (PE, ARRAY, ENGINE)}
