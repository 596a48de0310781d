"""All linear layers of a model's blocks, on the golden model or on an engine that is held against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import ScaleChoice
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.llm.arithmetic import Float32
from sw_reference.notation import format_text
from sw_reference.quantize import quantize_sq
from sw_reference.tensors import SQTensor

from ..config import EngineConfig
from ..driver.engine import Engine, PackedWeights
from ..driver.packets import results_bytes, row_packet, sq_packet
from ..engine.registers import Format
from .layers import Elements, Layer

__all__ = ["RULE", "Counts", "Linear", "MismatchError", "check_engine"]

RULE: ScaleChoice = "two_candidates"
"""How bank scales of activations are chosen: by a search of two."""


class MismatchError(RuntimeError):
    """An engine returned another sum than the golden model."""


@dataclass
class Counts:
    """What was done so far.

    Parameters
    ----------
    products
        Multiply-accumulates.
    compared
        Sums of an engine that were compared with the golden model's; none differs, or it would have stopped.
    cycles
        Clock cycles of the engine's jobs.
    weight_bytes, moved_bytes
        What its stream of weights carried, and all three streams.
    """

    products: int = 0
    compared: int = 0
    cycles: int = 0
    weight_bytes: int = 0
    moved_bytes: int = 0

    def __str__(self) -> str:
        """What an engine did, behind the name of a layer; empty without an engine."""
        return f", {self.cycles:,} cycles, 0 of {self.compared:,} sums differ" if self.compared else ""


class Linear:
    """Computes linear layers: activations become SQ operands.

    With an engine its exact sums are compared with the golden model's, all of them, before they go on.

    Parameters
    ----------
    layers
        By the names of their parts.
    sq
        The format of the activations.
    engine
        The engine; None for the golden model.
    encode
        Whether activations go to the engine as rows of FP16, which its encoder makes an SQ operand of. Its
        rule is "saturating", not :data:`RULE`.

    Members
    -------
    counts: Counts
        Replace it to count anew.

    Raises
    ------
    ValueError
        If the engine's operands have other formats, or it has no encoder, but is to encode.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        sq: SQFormat,
        engine: Engine | None = None,
        encode: bool = False,
    ) -> None:
        if engine is not None:
            check_engine(engine.config, sq, (layer.operands[0].format for layer in layers.values()), encode)
        self._layers = layers
        self._sq = sq
        self._engine = engine
        self._encode = encode
        self.counts = Counts()
        self._packed: dict[Layer, list[PackedWeights]] = {}
        self._last: tuple[Float32, Layer, Float32] | None = None

    def __call__(self, name: str, x: Float32, weight: Float32 | None = None) -> Float32:
        """Returns float32[tokens, outputs], as :data:`sw_reference.llm.Linear`; `weight` is not looked at.

        Raises MismatchError at the first sum that differs.
        """
        layer = self._layers[name]
        # The parts of a layer come one after the other, with the same activations.
        if self._last is None or self._last[0] is not x or self._last[1] is not layer:
            self._last = x, layer, self._results(layer, x)
        return self._last[2][:, layer.parts[name]]

    def _results(self, layer: Layer, x: Float32) -> Float32:
        numbers = x.astype(np.float16) if self._encode else x
        elements = Elements(quantize_sq(numbers, self._sq, scale="saturating" if self._encode else RULE))
        sums = layer.sums(elements)
        if self._engine is not None:
            sent = numbers if self._encode else elements.tensor
            sums = self._on_engine(self._engine, layer, sent, sums)
        self.counts.products += sums.size * x.shape[1]
        return layer.results(elements, sums)

    def _on_engine(
        self, engine: Engine, layer: Layer, x: SQTensor | NDArray[Any], wanted: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Returns the engine's sums, [operands, tokens, outputs]."""
        if layer not in self._packed:
            self._packed[layer] = [engine.pack(operand) for operand in layer.operands]
        found = np.empty_like(wanted)
        for place, packed in enumerate(self._packed[layer]):
            found[place] = engine.matmul(x, packed, Format.INT64)
            self._compare(layer, found[place], wanted[place])
            self._count(engine, packed, x)
        return found

    def _compare(self, layer: Layer, found: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
        differing = np.argwhere(found != wanted)
        if len(differing):
            token, output = differing[0]
            name, part = next((n, part) for n, part in layer.parts.items() if output < part.stop)
            raise MismatchError(
                f"{name}: {len(differing)} of {found.size} sums differ; first that of token {token}, "
                f"output {output - part.start}: {found[token, output]}, not {wanted[token, output]}"
            )
        self.counts.compared += found.size

    def _count(self, engine: Engine, packed: PackedWeights, x: SQTensor | NDArray[Any]) -> None:
        """Counts the cycles and bytes of an engine's last job."""
        config = engine.config
        packet = sq_packet(config, x) if isinstance(x, SQTensor) else row_packet(config, x)
        rows = x.rows if isinstance(x, SQTensor) else len(x)
        weights = config.passes(rows) * len(packed.packet)
        other = len(packet) + results_bytes(config, rows, packed.tensor.rows, Format.INT64)
        self.counts.weight_bytes += weights
        self.counts.moved_bytes += weights + other
        if engine.statistics is not None:
            self.counts.cycles += engine.statistics.cycles


def check_engine(
    engine: EngineConfig, sq: SQFormat, weights: Iterable[DenseFormat], encode: bool = False
) -> None:
    """Raises ValueError if an engine does not take operands of these formats, or is to encode and cannot."""
    if encode and engine.encoder is None:
        raise ValueError("The engine must have an encoder to take rows of FP16")
    _check("activations", sq, engine.pe.sq)
    for dense in weights:
        _check("weights", dense, engine.pe.dense)


def _check(what: str, fmt: SQFormat | DenseFormat, engines: SQFormat | DenseFormat) -> None:
    if fmt != engines:
        raise ValueError(f"The engine must take {what} {format_text(fmt)!r}, not {format_text(engines)!r}")
