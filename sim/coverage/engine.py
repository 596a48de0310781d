"""The smallest engine under jobs of every kind, register traffic, bad packets and aborts, with coverage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sim.coverage.bins import Bins
from sim.coverage.data import OPTIONS, Points
from sim.coverage.designs import Covered
from sim.coverage.engine_bins import PAUSES, CountingDevice, engine_bins
from sim.report import Failure, Note
from sim.traffic.engine_jobs import ABORT, ALL, RECOVER, Job, starting
from sqhw.config import EngineConfig
from sqhw.driver.library import HARNESS
from sqhw.driver.rtl import Reply
from sqhw.emit import Design, emit
from sqhw.engine.registers import REGISTERS, Format, register
from sqhw.tools.verilated import build

__all__ = ["cover_engine"]

GATES = Path(__file__).with_name("gates.inc")
ERRORS = tuple(field.name for field in register("ERRORS").fields)


def _compile(config: EngineConfig, design: Design, folder: Path) -> Path:
    """A shared library with the interface that :class:`~sqhw.driver.rtl.RTLDevice` knows."""
    defines = {"GATES": f'"{GATES.resolve()}"', "AXI_BYTES": config.axi_bytes}
    return build(design.verilog, design.name, HARNESS, folder, defines=defines, shared=True, options=OPTIONS)


class _Scenario:
    """Everything an engine can be asked to do."""

    def __init__(self, config: EngineConfig, device: CountingDevice, seed: int):
        self._config = config
        self._device = device
        self._bins = device.bins
        self._rng = np.random.default_rng(seed)
        self.compared = 0

    def operands(self, m: int, n: int, k: int) -> Job:
        return Job.of_codes(self._config, self._rng, m, n, k)

    def start(self, m: int, n: int, k: int, output: int = 0) -> None:
        for name, value in starting(m, n, k, output):
            self._device.write(name, value)

    def send(
        self, job: Job, *, sq: bytes | None = None, cut: int = 0, more: int = 0, **options: Any
    ) -> Reply:
        """Sends the packets of a job, the dense one `cut` bytes shorter and `more` longer."""
        packet, dense = job.packets
        dense = dense[: len(dense) - cut] + bytes(more)
        limits: dict[str, Any] = {"room": 4096, "cycles": 300_000, "passes": job.passes}
        return self._device.run(packet if sq is None else sq, dense, **limits | options)

    def job(
        self,
        m: int,
        n: int,
        k: int,
        output: Format = Format.FLOAT32,
        pauses: str = "none",
        row_scale: float | None = None,
    ) -> None:
        """Runs a job and compares its results; all row scales are `row_scale`, if there is one."""
        config, bins = self._config, self._bins
        job = replace(self.operands(m, n, k), output=output)
        if row_scale is not None:
            rows, columns = (np.full(count, row_scale, np.float32) for count in (m, n))
            job = replace(job, x=replace(job.x, row_scale=rows), w=replace(job.w, row_scale=columns))
        self.start(m, n, k, output)
        pause_in, pause_out = PAUSES[pauses]
        seed = int(self._rng.integers(1 << 30))
        reply = self.send(job, room=job.words, pause_in=pause_in, pause_out=pause_out, seed=seed)
        if not reply.ended or reply.flags.any() or job.wrong(reply.packet):
            raise Failure(f"job of {m} x {n} x {k}, {output.name}, pauses {pauses}: wrong results")
        self.compared += m * n
        bins.hit(f"results: {output.name.lower()}")
        bins.hit(f"pauses: {pauses}")
        array = config.array
        bins.hit("sizes: 1 x 1 x 1", (m, n, k) == (1, 1, 1))
        bins.hit("sizes: part of a row tile", bool(m % array.rows))
        bins.hit("sizes: part of a column tile", bool(n % array.columns))
        bins.hit("sizes: part of a bank", bool(k % config.pe.sq.bank))
        bins.hit("sizes: K_max", k == config.pe.k_max)
        bins.hit("sizes: more than one pass", config.passes(m) > 1)
        for counter, name in (("STARVED", "starved"), ("HELD", "held back"), ("GATED", "gated")):
            bins.hit(name, bool(self._device.read(counter)))

    def expect(self, *errors: str) -> None:
        """Compares ERRORS and clears it."""
        found = register("ERRORS").unpack(self._device.read("ERRORS"))
        if {name for name, bit in found.items() if bit} != set(errors):
            raise Failure(f"ERRORS must be {errors}, not {found}")
        self._device.read("STATUS")
        self._device.read("INTERRUPT_STATUS")
        self._device.write("ERRORS", ALL)
        self._device.write("INTERRUPT_STATUS", ALL)

    def recover(self) -> None:
        self._device.write("CONTROL", RECOVER)
        self.job(3, 3, 20)

    def jobs(self) -> None:
        k_max = self._config.pe.k_max
        shapes = [(1, 1, 1), (2, 2, 8), (3, 5, 13), (17, 9, 33), (24, 3, 7), (9, 1, 64), (3, 3, k_max)]
        for shape in shapes:
            for number, pauses in enumerate(PAUSES):
                self.job(*shape, Format((number + shape[0]) % 3), pauses)
        for row_scale in (2.0**-126, 2.0**-70, 2.0**60, 2.0**127):  # results are 0, subnormal, infinite
            for output in Format:
                self.job(3, 3, 40, output, row_scale=row_scale)

    def registers(self) -> None:
        """Every address; every bit that can be written."""
        for address in range(0, 256, 4):
            self._device.read_address(address)
            self._device.write_address(address, 0)
        for entry in REGISTERS:
            if entry.access == "rw":
                for value in (ALL, 0):
                    self._device.write(entry.name, value)
                    if self._device.read(entry.name) != value & ((1 << entry.bits) - 1):
                        raise Failure(f"{entry.name} does not hold {value:#x}")

    def parts_of_words(self) -> None:
        """A write of some bytes is refused and changes nothing; address and data come in any order."""
        writable = [entry.name for entry in REGISTERS if entry.access != "ro"]
        for number, name in enumerate(writable):
            before = self._device.read(name)
            for strobe in range(15):
                if self._device.write_bytes(name, ALL, strobe, (number + strobe) % 7 - 3) != 2:
                    raise Failure(f"a write of bytes {strobe:04b} of {name} must be refused")
            if self._device.read(name) != before or self._device.read("STATUS"):
                raise Failure(f"a refused write has changed {name}")
        for late in (-3, -1, 0, 1, 3):
            if self._device.write_bytes("K", 40 + late, 15, late) or self._device.read("K") != 40 + late:
                raise Failure(f"a write of K must succeed, its address {late} cycles behind its data")

    def bad_starts(self) -> None:
        config = self._config
        for bit in range(10, 32):
            m, n, k = (2 | (1 << bit) * (position == bit % 4) for position in range(3))
            self.start(m, n, k, bit % 4 // 3 << bit)
            self.expect("dimensions")
        for sizes in ((0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 3), (config.m_max + 1, 1, 1, 0)):
            self.start(*sizes)
            self.expect("dimensions")
        self.start(1, config.n_max + 1, 1)
        self.expect("dimensions")
        self.start(1, 1, config.pe.k_max + 1)
        self.expect("dimensions")
        job = self.operands(4, 4, 40)
        self.start(4, 4, 40)
        self.start(4, 4, 40)
        self.expect("busy")
        self.send(job)
        self.expect()

    def bad_packets(self) -> None:
        """Packets that end too early or too late, and a bank that is malformed."""
        self._device.write("INTERRUPT_ENABLE", 3)
        word = self._config.axi_bytes
        for size in (1, 3):
            for name in ("sq_early", "sq_late", "dense_early", "dense_late"):
                job = self.operands(5, 4, 90)
                packet = job.packets[0]
                sq = {"sq_early": packet[: -size * word], "sq_late": packet + bytes(size * word)}.get(name)
                cut, more = size * word * (name == "dense_early"), size * word * (name == "dense_late")
                self.start(5, 4, 90)
                reply = self.send(job, sq=sq, cut=cut, more=more)
                if not (reply.ended and reply.flags[-1]):
                    raise Failure(f"{name}: the packet of results must end with a flag")
                self.send(job, cycles=400)
                self.expect(name)
                self.recover()
        for output in Format:
            job = self.operands(5, 3, 40)
            broken = bytearray(job.packets[0])
            broken[4 * self._config.array.rows + 1] = 0xFF  # the first bank's bitmap
            self.start(5, 3, 40, output)
            self.send(job, sq=bytes(broken))
            self.expect("malformed")
            self.job(5, 3, 40, output)

    def resting_and_leftover(self) -> None:
        """Streams that rest for too long, packets too many, scales that are none."""
        for limit in (1, 30, 200):
            self._device.write("TIMEOUT", limit)
            self.start(5, 3, 40)
            reply = self._device.run(b"", b"", room=9, cycles=1000)
            if not (reply.ended and reply.flags[-1]):
                raise Failure("a job whose streams rest must end")
            self.expect("timeout")
            self._device.write("TIMEOUT", 0)
            self.recover()
        for more in (1, 2):
            job = self.operands(5, 3, 40)
            self.start(5, 3, 40)
            if job.wrong(self.send(job, passes=job.passes + more).packet):
                raise Failure("results of a job with packets too many must be right")
            self.expect("leftover")
            self.recover()
        for bits in (0, 1, 0x7F800000, 0x7FC00000, 0xBF800000):
            job = self.operands(5, 3, 40)
            self.start(5, 3, 40)
            self.send(job, sq=bits.to_bytes(4, "little") + job.packets[0][4:])
            self.expect("scale")
            self.recover()

    def aborts(self) -> None:
        """Aborts and resets at many moments; what follows is right."""
        for cycles in range(1, 1300, 61):
            job = self.operands(10, 7, 90)
            self.start(10, 7, 90)
            first = self.send(job, cycles=cycles, pause_out=0.3)
            self._device.write("CONTROL", ABORT)
            self.send(job, cycles=5000, pause_out=0.9 * (cycles % 2))
            self.expect(*(() if first.ended else ("aborted",)))
            self._bins.hit("abort of nothing" if first.ended else "ended by abort")
            self.recover()
        for cycles in range(1, 700, 97):
            job = self.operands(10, 7, 90)
            self.start(10, 7, 90)
            self.send(job, cycles=cycles, pause_out=0.3)
            self._device.reset()
            self._bins.hit("reset in mid-job")
            self.recover()


def cover_engine(config: EngineConfig, seed: int, folder: Path, note: Note) -> Covered:
    """Covers an engine; raises as :func:`~sim.coverage.designs.cover_pe`."""
    note("compiling")
    design = emit(config, "sq_engine")
    library = _compile(config, design, folder)
    device = CountingDevice(config, library, Bins(engine_bins()))
    scenario = _Scenario(config, device, seed)
    steps = [scenario.jobs, scenario.registers, scenario.parts_of_words, scenario.bad_starts]
    steps += [scenario.bad_packets, scenario.resting_and_leftover, scenario.aborts]
    for step in steps:
        note(step.__name__.replace("_", " "))
        step()
    points, path = Points(design.verilog), library.with_name("coverage.dat")
    device.save_coverage(path)
    points.add(path)
    return Covered(points, device.bins, scenario.compared, device.cycles)
