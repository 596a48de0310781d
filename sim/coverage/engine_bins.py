"""What an engine's registers and streams must have shown."""

from __future__ import annotations

import ctypes
from pathlib import Path

from sim.coverage.bins import Bins
from sim.report import Failure
from sqhw.config import EngineConfig
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import REGISTERS, Format, register

__all__ = ["PAUSES", "CountingDevice", "engine_bins"]

PAUSES = {"none": (0.0, 0.0), "inputs": (0.5, 0.0), "output": (0.0, 0.8), "both": (0.4, 0.6)}


class CountingDevice(RTLDevice):
    """Counts what passes its registers and streams."""

    def __init__(self, config: EngineConfig, library: Path, bins: Bins):
        super().__init__(config, library)
        self.bins = bins
        self._known = {entry.offset: entry for entry in REGISTERS}

    def write_address(self, address: int, value: int) -> int:
        response = super().write_address(address, value)
        entry = self._known.get(address)
        if entry is None or entry.access == "ro":
            if response != 2:
                raise Failure(f"a write to {address:#x} is answered with {response}")
            self.bins.hit("write: no register" if entry is None else "write: read-only register")
        else:
            self.bins.hit(f"write: {entry.name}")
        return response

    def read_address(self, address: int) -> tuple[int, int]:
        value, response = super().read_address(address)
        entry = self._known.get(address)
        if (response == 0) != (entry is not None):
            raise Failure(f"a read of {address:#x} is answered with {response}")
        self.bins.hit(f"read: {entry.name}" if entry else "read: no register")
        if entry and entry.name in ("STATUS", "ERRORS", "INTERRUPT_STATUS"):
            for name, bit in entry.unpack(value).items():
                self.bins.hit(f"{entry.name}: {name}", bit)
        return value, response

    def write_bytes(self, name: str, value: int, strobe: int, late: int) -> int:
        """Writes some bytes of a register, the address `late` cycles behind the data, or before it."""
        self.bins.hit("write: some bytes", strobe != 15)
        self.bins.hit("write: data first", late > 0)
        self.bins.hit("write: address first", late < 0)
        return self._write(register(name).offset, value, strobe, late)

    def save_coverage(self, path: Path) -> None:
        self._library.engine_coverage.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library.engine_coverage(self._handle, str(path).encode())


def engine_bins() -> list[str]:
    """Names of all that an engine must have shown."""
    names = [f"read: {entry.name}" for entry in REGISTERS]
    names += [f"write: {entry.name}" for entry in REGISTERS if entry.access != "ro"]
    names += ["read: no register", "write: no register", "write: read-only register"]
    names += ["write: some bytes", "write: address first", "write: data first"]
    for name in ("STATUS", "ERRORS", "INTERRUPT_STATUS"):
        names += [f"{name}: {field.name}" for field in register(name).fields]
    names += [f"results: {output.name.lower()}" for output in Format]
    names += [f"pauses: {name}" for name in PAUSES]
    names += ["sizes: 1 x 1 x 1", "sizes: part of a row tile", "sizes: part of a column tile"]
    names += ["sizes: part of a bank", "sizes: K_max", "sizes: more than one pass"]
    names += ["starved", "held back", "gated", "ended by abort", "abort of nothing", "reset in mid-job"]
    return names
