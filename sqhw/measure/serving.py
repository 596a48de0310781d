"""What serves an array: encoders, and the masters of a DMA."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..dma.config import DMA_PRESETS
from ..dma.reader import BurstReader
from ..dma.writer import BurstWriter
from ..encoder.config import ENCODERS, memory_bits
from ..encoder.encoder import EncoderCore
from ..tools.cache import CACHE
from ..tools.libraries import Library
from ..tools.synth import synthesize
from ..tools.targets import gates
from .area_numbers import clock
from .committed import made_from
from .cost import cost, curve
from .parts import emit
from .units import Unit

__all__ = ["ARRAY", "hardware", "serving"]

ARRAY = ("lean", 32, (8, 8))
"""The array that they serve, as units have it, and the engine whose words a DMA moves."""

_LEAN = ENCODERS["lean"]
_ENCODERS = {
    **ENCODERS,
    "lean-bf16": replace(_LEAN, input="bf16"),
    "lean-float32": replace(_LEAN, input="float32", elements=_LEAN.elements // 2),
}
"""Those of other rows keep up with the same stream."""

_RECIPES = ("small", "sized")
"""By which encoders are mapped for a clock."""

_DMA = DMA_PRESETS[ARRAY[0]]
_MASTER = (_DMA.engine.axi_bits, _DMA.address_bits, _DMA.burst)


def hardware() -> list[Unit]:
    """All of it. Lanes are elements per cycle, those of a DMA FP16."""
    encoders = [
        Unit(f"encoder-{name}", config.elements, None, partial(EncoderCore, config))
        for name, config in _ENCODERS.items()
    ]
    elements = _MASTER[0] // 16
    reader = Unit("dma-reader", elements, None, partial(BurstReader, *_MASTER))
    return [*encoders, reader, Unit("dma-writer", elements, None, partial(BurstWriter, *_MASTER))]


def serving(unit: Unit, library: Library, clocked: Library | None, *, cache: Path = CACHE) -> dict[str, Any]:
    """Measures one, its memories left out, as a record of JSON types.

    A master's queue is left out whole: a memory, two counters and the register of a word.

    Parameters
    ----------
    unit
        Of :func:`hardware`.
    library
        Cells of the area.
    clocked
        Cells of an encoder's clocks, of the smallest netlist and of one that is sized; None for none.
    cache
        Folder of what was measured.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    encoder = _ENCODERS.get(unit.family.removeprefix("encoder-"))
    record: dict[str, Any] = {
        "name": unit.name,
        "bits": (encoder.floats.bits if encoder else 16) * unit.lanes,
    }
    if encoder:
        cells = cost(unit, library, cache=cache).cells
    else:
        emitted = emit(unit, cache=cache)
        queue, target = f"{emitted.top}__queue", gates(library)
        report = synthesize(
            emitted.verilog, emitted.top, target, breakdown=False, shared=(queue,), cache=cache
        )
        cells = {cell: count for cell, count in report.cells.items() if cell != queue}
    record |= {
        "um2": round(library.area(cells)),
        "gates": round(library.gate_equivalents(cells)),
        "registers": library.registers(cells),
        "memory_bits": memory_bits(encoder) if encoder else _queue_bits(unit),
    }
    if encoder and clocked:
        record["clock"] = clock(curve(unit, clocked, recipes=_RECIPES, cache=cache))
    return record | {"made_from": made_from(unit)}


def _queue_bits(unit: Unit) -> int:
    """A reader's queue has four bursts, a writer's two."""
    bits, _, burst = _MASTER
    return (4 if unit.family == "dma-reader" else 2) * burst * bits
