"""The emitted Verilog as a device: a shared library, driven through the AXI ports of what it simulates."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_int

from ..config import SIZE_LIMIT, EngineConfig
from ..engine.registers import register
from .library import compile_engine

__all__ = ["RTLDevice", "Reply", "check_run"]


@dataclass(frozen=True)
class Reply:
    """What came out: the packet of results, a flag per word (TUSER), and whether the packet ended.

    ``taken``: words of both operands' streams that went in, where that is known.
    """

    packet: bytes
    flags: NDArray[np.bool_]
    ended: bool
    taken: tuple[int, int] = (0, 0)


def check_run(config: EngineConfig, sq: bytes, dense: bytes, passes: int, room: int, cycles: int) -> None:
    """Raises TypeError or ValueError unless a device's ``run`` can take these arguments."""
    size = config.axi_bytes
    if len(sq) % size or len(dense) % size:
        raise ValueError(f"Packets must be whole words of {size} bytes, not {len(sq)} and {len(dense)} bytes")
    check_int("Passes", passes, 1, SIZE_LIMIT)
    check_int("Room", room, 1, 1 << 32)
    check_int("Cycles", cycles, 1, (1 << 63) - 1)


class RTLDevice:
    """An engine's registers and streams, simulated.

    Parameters
    ----------
    config
        The engine.
    library
        What :func:`~sqhw.driver.library.compile_engine` returned for this configuration; None to call it.
    note
        As for :func:`~sqhw.driver.library.compile_engine`.
    """

    def __init__(
        self,
        config: EngineConfig,
        library: Path | str | None = None,
        *,
        note: Callable[[str], None] = lambda text: None,
    ):
        self._config = config
        self._library = _load(Path(library or compile_engine(config, note=note)))
        self._simulation: ctypes.c_void_p | None = ctypes.c_void_p(self._library.engine_new())
        self._library.engine_reset(self._handle)

    @property
    def _handle(self) -> ctypes.c_void_p:
        if self._simulation is None:
            raise ValueError("Device must be open, but close() was called: make another one")
        return self._simulation

    def close(self) -> None:
        """Frees the simulation; a second time does nothing."""
        if self._simulation is not None:
            self._library.engine_delete(self._simulation)
            self._simulation = None

    def __del__(self) -> None:
        if hasattr(self, "_simulation"):
            self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return int(self._library.engine_cycles(self._handle))

    def reset(self) -> None:
        """Holds reset for two cycles."""
        self._library.engine_reset(self._handle)

    def write(self, name: str, value: int) -> int:
        """Writes a register; returns the response, 0 for OKAY and 2 for SLVERR."""
        return self.write_address(register(name).offset, value)

    def read(self, name: str) -> int:
        """Reads a register."""
        value, response = self.read_address(register(name).offset)
        assert response == 0, f"{name} answers with {response}"
        return value

    def write_address(self, address: int, value: int) -> int:
        return self._write(address, value)

    def _write(self, address: int, value: int, strobe: int = 15, late: int = 0) -> int:
        """Writes the bytes that `strobe` names, the address `late` cycles behind the data, or before it."""
        return int(self._library.engine_write(self._handle, address, value, strobe, late))

    def read_address(self, address: int) -> tuple[int, int]:
        """Returns value and response."""
        value = ctypes.c_uint32()
        response = int(self._library.engine_read(self._handle, address, ctypes.byref(value)))
        return value.value, response

    def run(
        self,
        sq: bytes,
        dense: bytes,
        *,
        passes: int = 1,
        room: int,
        cycles: int,
        pause_in: float = 0.0,
        pause_out: float = 0.0,
        seed: int = 1,
    ) -> Reply:
        """Sends packets and receives results until their packet ends, or `room` words, or `cycles` cycles.

        Parameters
        ----------
        sq, dense
            The packets, whole words; the second one is sent `passes` times, 1 to 65536. Empty ones are
            not sent.
        pause_in, pause_out
            Probability that a source, or the sink, pauses in a cycle.
        """
        check_run(self._config, sq, dense, passes, room, cycles)
        size = self._config.axi_bytes
        packet, flags = np.empty(room * size, np.uint8), np.empty(room, np.uint8)
        ended, taken = ctypes.c_int(), (ctypes.c_uint64 * 2)()
        words = self._library.engine_run(
            self._handle,
            sq,
            len(sq) // size,
            dense,
            len(dense) // size,
            passes,
            packet.ctypes.data,
            flags.ctypes.data,
            room,
            cycles,
            int(pause_in * 2**32),
            int(pause_out * 2**32),
            seed,
            ctypes.byref(ended),
            taken,
        )
        return Reply(
            packet[: words * size].tobytes(), flags[:words].astype(np.bool_), bool(ended.value), tuple(taken)
        )


def _load(path: Path) -> Any:
    library = ctypes.CDLL(str(path))
    u64, u32, pointer = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
    library.engine_new.restype = pointer
    library.engine_cycles.restype = u64
    library.engine_run.restype = u64
    library.engine_delete.argtypes = library.engine_reset.argtypes = library.engine_cycles.argtypes = [
        pointer
    ]
    library.engine_write.argtypes = [pointer, u32, u32, u32, ctypes.c_int32]
    library.engine_read.argtypes = [pointer, u32, pointer]
    library.engine_run.argtypes = [
        pointer, ctypes.c_char_p, u64, ctypes.c_char_p, u64, u64, pointer, pointer, u64, u64, u32, u32, u64,
        pointer, pointer,
    ]  # fmt: skip
    return library
