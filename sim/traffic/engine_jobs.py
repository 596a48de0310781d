"""Jobs for an engine: the writes that start one, its packets, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.traffic.operands import random_dense, random_sq
from sqhw.config import EngineConfig
from sqhw.driver.engine import golden
from sqhw.driver.packets import dense_packet, results, results_bytes, row_packet, sq_packet
from sqhw.engine.register_types import Register
from sqhw.engine.registers import REGISTERS, Format, register
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["ABORT", "ALL", "OKAY", "RECOVER", "SLVERR", "START", "Job", "found", "starting"]

START, ABORT, RECOVER = (register("CONTROL").pack(**{name: 1}) for name in ("start", "abort", "recover"))
ALL = 0xFFFFFFFF
OKAY, SLVERR = 0, 2


def starting(m: int, n: int, k: int, output: int) -> Iterator[tuple[str, int]]:
    """Yields what is written to start a job: register, value."""
    yield from zip(("M", "N", "K", "OUTPUT", "CONTROL"), (m, n, k, int(output), START), strict=True)


def found(address: int, registers: Sequence[Register] = REGISTERS) -> Register | None:
    """The register at an address, if there is one."""
    return next((entry for entry in registers if entry.offset == address), None)


@dataclass(frozen=True)
class Job:
    """A product of two operands on an engine."""

    config: EngineConfig
    x: SQTensor
    w: DenseTensor
    output: Format = Format.FLOAT32
    rows: NDArray[np.float16] | None = None
    """What X comes as, for the engine to encode; None: packed."""

    @classmethod
    def of_codes(cls, config: EngineConfig, rng: np.random.Generator, m: int, n: int, k: int) -> Job:
        """Any legal codes."""
        return cls(config, random_sq(rng, config.pe.sq, m, k), random_dense(rng, config.pe.dense, n, k))

    @classmethod
    def of_numbers(
        cls, config: EngineConfig, rng: np.random.Generator, m: int, n: int, k: int, *, tail: float = 1.5
    ) -> Job:
        """Numbers as an encoder writes them, those of SQ with heavy tails."""
        x = rng.standard_t(tail, (m, k)).astype(np.float32)
        w = rng.standard_normal((n, k)).astype(np.float32)
        return cls(config, quantize_sq(x, config.pe.sq), quantize_dense(w, config.pe.dense))

    @classmethod
    def of_rows(
        cls, config: EngineConfig, rng: np.random.Generator, m: int, n: int, k: int, *, tail: float = 1.5
    ) -> Job:
        """The same numbers, as FP16 that the engine is to encode."""
        rows = np.clip(rng.standard_t(tail, (m, k)), -65504, 65504).astype(np.float16)
        w = rng.standard_normal((n, k)).astype(np.float32)
        x = quantize_sq(rows, config.pe.sq, scale="saturating")
        return cls(config, x, quantize_dense(w, config.pe.dense), rows=rows)

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.x.rows, self.w.rows, self.x.k

    @property
    def packets(self) -> tuple[bytes, bytes]:
        """SQ, or rows, and dense; that one is sent :attr:`passes` times."""
        x = sq_packet(self.config, self.x) if self.rows is None else row_packet(self.config, self.rows)
        return x, dense_packet(self.config, self.w)

    @property
    def passes(self) -> int:
        return self.config.passes(self.x.rows)

    @property
    def words(self) -> int:
        """Words of the packet of results."""
        return results_bytes(self.config, self.x.rows, self.w.rows, self.output) // self.config.axi_bytes

    def wrong(self, packet: bytes) -> int:
        """How many results of a packet, of all that must come, differ from the golden model's in any bit."""
        m, n, _ = self.sizes
        if len(packet) != self.words * self.config.axi_bytes:
            return m * n
        expected: Any = golden(self.x, self.w, self.output)
        bits = f"u{expected.itemsize}"
        seen = results(self.config, m, n, self.output, packet)
        return int(np.count_nonzero(seen.view(bits) != expected.view(bits)))
