"""One interface to matrix products, whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.multiply import check_operands, multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor

from ..arith.serial_output_stage import SerialOutputStage
from ..config import EngineConfig
from ..encoder.payloads import Rows
from ..engine.registers import Format, Input, register
from ..engine.result_lanes import SerialResultLanes
from ..presets import engine_preset
from .device import SerialDevice
from .link import open_port
from .packets import DTYPES, as_rows, dense_packet, results, results_bytes, row_packet, sq_packet
from .rtl import Reply, RTLDevice

__all__ = ["Device", "Engine", "EngineError", "PackedWeights", "Statistics", "as_format", "golden"]


_REST = (1 << 32) - 1
"""Cycles in which no stream moves until the engine ends a job by itself: a host may be slow, never gone."""

_SERIAL_CYCLES = SerialResultLanes.latency + SerialOutputStage.subnormal_cycles + 1
"""A result through serial stages, at most."""


class EngineError(RuntimeError):
    """A job failed; the message names the bits of the register ERRORS."""


class Device(Protocol):
    """Registers and streams of an engine, wherever it is."""

    def write(self, name: str, value: int) -> int: ...

    def read(self, name: str) -> int: ...

    def run(self, sq: bytes, dense: bytes, *, passes: int, room: int, cycles: int) -> Reply: ...


@dataclass(frozen=True)
class PackedWeights:
    """A dense operand and its packet, made once for many products: what ``Engine.pack`` returns."""

    config: EngineConfig
    tensor: DenseTensor
    packet: bytes


@dataclass(frozen=True)
class Statistics:
    """The counters of a job.

    ``cycles`` from start to the last result, ``beats`` taken by the array, cycles in which it was ``starved``
    of operands or ``held`` them back, ``gated`` beats of rows without an outlier, summed over the rows.
    """

    cycles: int
    beats: int
    starved: int
    held: int
    gated: int

    def utilization(self, config: EngineConfig, m: int, n: int, k: int) -> float:
        """Useful multiply-accumulates per cycle, of those that the array has lanes for."""
        peak = config.array.rows * config.array.columns * config.pe.lanes
        return m * n * k / (self.cycles * peak)

    def gate_rate(self, config: EngineConfig) -> float:
        """Share of the rows' beats in which their outlier lanes held still."""
        return self.gated / (self.beats * config.array.rows)


def as_format(output: Any) -> Format:
    """Returns the format of results that `output` means: the member, its name in any case, or its value.

    Raises TypeError for anything else.
    """
    if isinstance(output, str) and output.upper() in Format.__members__:
        return Format[output.upper()]
    if isinstance(output, int | np.integer) and not isinstance(output, bool) and output in tuple(Format):
        return Format(int(output))
    names = ", ".join(f"{member.name} ({member.value})" for member in Format)
    raise TypeError(f"Output must be a Format, its name or its value, of {names}, not {output!r}")


def golden(sq: SQTensor, dense: DenseTensor, output: Format = Format.FLOAT32) -> NDArray[Any]:
    """What an engine delivers, from the golden model.

    float16 is the float32 result rounded once more, to nearest even; int64 the exact sums.
    """
    product = multiply(sq, dense)
    if output is Format.INT64:
        return product.acc.astype(DTYPES[output])
    if output is Format.FLOAT32:
        return product.y
    with np.errstate(over="ignore", under="ignore"):
        return product.y.astype(np.float16)


class Engine:
    """Y = X W^T on an engine.

    It is its own context manager: leaving the block closes it.

    Parameters
    ----------
    config
        The engine, or the name of a preset.
    backend
        ``"golden"``: the golden model. ``"rtl"``: the emitted Verilog, compiled on first use.
        ``"serial"``: an engine on a board, at `port`. Or a device.
    port, baudrate
        With ``"serial"``, see :func:`~sqhw.driver.link.open_port`.
    note
        Called with the name of a long step, before it begins.

    Attributes
    ----------
    statistics
        The counters of the last job; None with the golden model.
    """

    def __init__(
        self,
        config: EngineConfig | str,
        backend: str | Device = "golden",
        *,
        port: str | None = None,
        baudrate: int = 1_000_000,
        note: Callable[[str], None] = lambda text: None,
    ):
        config = engine_preset(config) if isinstance(config, str) else config
        if not isinstance(config, EngineConfig):
            raise TypeError(f"Configuration must be an EngineConfig or a preset's name, not {config!r}")
        if isinstance(backend, str):
            check_choice("Backend", backend, ("golden", "rtl", "serial"))
        if (port is None) == (backend == "serial"):
            raise TypeError(
                f"Port must be given with the backend 'serial' alone, not {port!r} with {backend!r}"
            )
        self._config = config
        self._device: Device | None = None
        self._closed = False
        with ExitStack() as opened:
            if backend == "rtl":
                self._device = opened.enter_context(closing(RTLDevice(config, note=note)))
            elif port is not None:
                line = opened.enter_context(closing(open_port(port, baudrate=baudrate)))
                self._device = SerialDevice(config, line)
            elif not isinstance(backend, str):
                self._device = backend
            self._opened = opened.pop_all()
        self.statistics: Statistics | None = None

    def close(self) -> None:
        """Frees the port or the simulation, if this engine opened one; a second time does nothing.

        A device that was given stays as it is.
        """
        self._closed = True
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def config(self) -> EngineConfig:
        return self._config

    def pack(self, w: DenseTensor | NDArray[np.floating[Any]]) -> PackedWeights:
        """Returns a dense operand that :meth:`matmul` takes without packing it again. Raises alike."""
        if isinstance(w, np.ndarray):
            w = quantize_dense(w, self._config.pe.dense)
        if not isinstance(w, DenseTensor):
            raise TypeError(f"Weights must be a DenseTensor or an array of floats, not {type(w).__name__}")
        return PackedWeights(self._config, w, dense_packet(self._config, w))

    def matmul(
        self,
        x: SQTensor | NDArray[np.floating[Any]],
        w: DenseTensor | PackedWeights | NDArray[np.floating[Any]],
        output: Format | str | int = Format.FLOAT32,
    ) -> NDArray[Any]:
        """Returns x @ w.T, [m, n].

        Rows that the hardware flags are NaN, or -2^63 as int64.

        Parameters
        ----------
        x, w
            Operands in the engine's formats. Arrays of floats are quantized to them first, as
            ``quantize_sq(x, config.pe.sq)`` and ``quantize_dense(w, config.pe.dense)`` do. An engine with an
            encoder quantizes `x` itself, rounded to what its rows are made of, as ``quantize_sq`` does by the
            scale "saturating".
            `w` may be what :meth:`pack` returned, of this engine or of one of the same configuration.
        output
            The format of results: a member of ``Format``, its name, or its value.

        Raises
        ------
        TypeError
            If an operand or the format is something else.
        ValueError
            If the operands are not in the engine's formats, exceed its limits, or differ in K; or if the
            engine is closed.
        EngineError
            If the device reports an error, or delivers no results.
        """
        if self._closed:
            raise ValueError("Engine must be open, but close() was called: make another one")
        output, pe = as_format(output), self._config.pe
        if isinstance(x, np.ndarray):
            x = self._quantized(x)
        if isinstance(w, np.ndarray):
            w = quantize_dense(w, pe.dense)
        tensor = w.tensor if isinstance(w, PackedWeights) else w
        if isinstance(w, PackedWeights) and w.config != self._config:
            raise ValueError(f"Weights must be packed for {self._config}, not for {w.config}")
        if isinstance(x, np.ndarray):  # rows for a device's encoder
            w = w if isinstance(w, PackedWeights) else self.pack(tensor)
            way, sq, (m, k) = Input.ROWS, row_packet(self._config, x), x.shape
            if k != w.tensor.k:
                raise ValueError(f"Both operands must have the same K, not {k} and {w.tensor.k}")
        else:
            check_operands(x, tensor)
            way, sq, m, k = Input.PACKED, sq_packet(self._config, x), x.rows, x.k
        dense = w.packet if isinstance(w, PackedWeights) else dense_packet(self._config, tensor)
        if self._device is None:
            assert not isinstance(x, np.ndarray)
            return golden(x, tensor, output)
        return self._job(self._device, sq, dense, (m, tensor.rows, k), output, way)

    def _quantized(self, x: NDArray[np.floating[Any]]) -> SQTensor | Rows:
        """An array of floats as an SQ operand; for an encoder in hardware, as its rows."""
        if self._config.encoder is None:
            return quantize_sq(x, self._config.pe.sq)
        rows = as_rows(self._config, x)
        return rows if self._device else quantize_sq(rows, self._config.pe.sq, scale="saturating")

    def _job(
        self, device: Device, sq: bytes, dense: bytes, sizes: tuple[int, int, int], output: Format, way: Input
    ) -> NDArray[Any]:
        config = self._config
        m, n, k = sizes
        settings = {"M": m, "N": n, "K": k, "OUTPUT": output, "TIMEOUT": _REST}
        if config.encoder is not None:
            settings["INPUT"] = way
        settings["CONTROL"] = 1
        for name, value in settings.items():
            device.write(name, int(value))
        expected = results_bytes(config, m, n, output)
        passes = config.passes(m)
        words = (len(sq) + passes * len(dense) + expected) // config.axi_bytes
        beats = passes * config.block_tiles * -(-n // config.array.columns) * config.beats(k)
        # Every beat may take as many cycles as it has elements; twice as long is far too long.
        limit = 10_000 + 2 * (words + beats * config.pe.lanes)
        limit += len(sq) if way is Input.ROWS else 0  # an element per cycle, at least
        limit += m * n * _SERIAL_CYCLES if config.pe.output == "serial" else 0
        room = expected // config.axi_bytes
        reply = device.run(sq, dense, passes=passes, room=room, cycles=limit)
        found = [name for name, bit in register("ERRORS").unpack(device.read("ERRORS")).items() if bit]
        over = register("INTERRUPT_STATUS").unpack(device.read("INTERRUPT_STATUS"))["done"]
        if [name for name in found if name != "malformed"] or not (reply.ended and over):
            self._recover(device, room, limit)
            raise EngineError(f"Job of M = {m}, N = {n}, K = {k} failed: {', '.join(found) or 'no results'}")
        self._clear(device)
        names = ("cycles", "beats", "starved", "held", "gated")
        self.statistics = Statistics(**{name: device.read(name.upper()) for name in names})
        return results(config, m, n, output, reply.packet)

    def _recover(self, device: Device, room: int, cycles: int) -> None:
        """Ends what still runs, as docs/engine.md says, and forgets what went wrong."""
        control = register("CONTROL")
        device.write("CONTROL", control.pack(abort=1))
        if register("STATUS").unpack(device.read("STATUS"))["busy"]:
            device.run(b"", b"", passes=1, room=room, cycles=cycles)
        device.write("CONTROL", control.pack(recover=1))
        self._clear(device)

    def _clear(self, device: Device) -> None:
        for name in ("ERRORS", "INTERRUPT_STATUS"):
            device.write(name, (1 << register(name).bits) - 1)
