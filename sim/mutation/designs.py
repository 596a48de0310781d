"""What mutants are made of, and what they must get wrong: a design, its places for faults, a recorded run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sim.bench.program import Bench, Channel, Port, Program
from sim.bench.replay import Recording
from sim.mutation import array, dma, dma_engine, encoder, engine, pe
from sim.mutation.invariants import Clause, Term
from sim.traffic import small_units
from sqhw.emit import Design, emit
from sqhw.presets import PRESETS

__all__ = ["DESIGNS", "Subject", "design_ports"]


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
    within : str
        Cells that have faults, as Yosys selects them; all if empty.
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
    within: str = ""
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


PE = Subject(
    "pe",
    lambda: emit(pe.CONFIG, "top"),
    "aclk",
    (pe.PE_OUT,),
    pe.stimulate_pe,
    ("aresetn", 0),
    40_000,
    pipeline=True,
    invariants=((Term("pe.decoder.rest", 0, 1, any=False),),),
)
ONE_STEP = Subject(
    "one-step-pe",
    lambda: emit(small_units.ONE_STEP, "top"),
    "aclk",
    (pe.PE_OUT,),
    partial(pe.stimulate_pe, config=small_units.ONE_STEP),
    ("aresetn", 0),
    20_000,
    pipeline=True,
)
TWO_SIDED = replace(
    ONE_STEP,
    name="two-sided-pe",
    design=lambda: emit(small_units.TWO_SIDED, "top"),
    stimulate=partial(pe.stimulate_pe, config=small_units.TWO_SIDED),
    without="output_stage|buffer|counter",
)
OFFSET = replace(
    TWO_SIDED,
    name="offset-pe",
    design=lambda: emit(small_units.OFFSET, "top"),
    stimulate=partial(pe.stimulate_pe, config=small_units.OFFSET),
    without="output_stage|buffer|counter|decoder|bank_scale|group_scale|scale_shift|accumulator",
)
FINE = replace(
    ONE_STEP,
    name="fine",
    design=lambda: emit(PRESETS["fine"], "top"),
    stimulate=partial(pe.stimulate_pe, config=PRESETS["fine"]),
)
ARRAY = Subject(
    "array",
    array.array_design,
    "clk",
    (array.OUT,),
    array.stimulate_array,
    ("rst", 1),
    2000,
    invariants=array.INVARIANTS,
)
ENGINE = Subject(
    "engine",
    engine.engine_design,
    "aclk",
    (engine.Y, engine.B, engine.R),
    engine.stimulate_engine,
    ("aresetn", 0),
    400,
    without=r"array|lanes",
    beyond=engine.COUNTED_OUT,
    invariants=engine.INVARIANTS,
)
ENCODER = Subject(
    "encoder",
    encoder.encoder_design,
    "clk",
    (encoder.OUT,),
    encoder.stimulate_encoder,
    ("rst", 1),
    8000,
    pipeline=True,
)
READER = Subject(
    "reader",
    dma.reader_design,
    "clk",
    dma.READ_OUT,
    dma.stimulate_reader,
    ("rst", 1),
    800,
    beyond=dma.COUNTED_OUT,
)
WRITER = Subject(
    "writer",
    dma.writer_design,
    "clk",
    dma.WRITE_OUT,
    dma.stimulate_writer,
    ("rst", 1),
    800,
    beyond=dma.COUNTED_OUT,
)
DMA_ENGINE = Subject(
    "dma-engine",
    dma_engine.dma_engine_design,
    "aclk",
    dma_engine.SINKS,
    dma_engine.stimulate_dma_engine,
    ("aresetn", 0),
    300,
    within=dma_engine.WITHIN,
    beyond=dma_engine.NO_REST,
    invariants=dma_engine.INVARIANTS,
)
DESIGNS = {
    subject.name: subject
    for subject in (PE, ONE_STEP, TWO_SIDED, OFFSET, FINE, ARRAY, ENGINE, ENCODER, READER, WRITER, DMA_ENGINE)
}
