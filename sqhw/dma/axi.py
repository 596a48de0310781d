"""The engine with AXI4 masters: it reads its operands from memory and writes its results there."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ..engine.axi import connect_lite, lite_ports
from ..engine.core import EngineCore
from .config import DMAConfig
from .reader import BurstReader
from .registers import DMA_REGISTERS, OPERANDS
from .writer import BurstWriter

__all__ = ["AXIDMAEngine"]

_INCREMENTING = 1


class AXIDMAEngine(wiring.Component):
    """An :class:`~sqhw.engine.core.EngineCore` whose streams are AXI4 masters.

    A job that begins takes the packets of X and W from where the registers say, and its packet of Y goes to
    where they say. Each of the three has a master of its own, with one transaction identifier, so that an
    interconnect may serve them in any order. `finished` of DMA_STATUS comes once for each start: when the job
    is over and the memory has everything. No output port depends combinationally on an input port.

    Parameters
    ----------
    config
        The engine, and its bursts.

    Members
    -------
    aclk : In(1), aresetn : In(1)
        Clock and synchronous reset, active low.
    s_axil : AXI4-Lite, 32 bits
        Registers of the engine and of the DMA, see docs/registers.md.
    m_axi_x, m_axi_w : AXI4, addresses and data of reads
        Incrementing bursts of whole words.
    m_axi_y : AXI4, addresses, data and responses of writes
        The same.
    interrupt : Out(1)
        High while an enabled bit of INTERRUPT_STATUS or DMA_STATUS is set.
    """

    def __init__(self, config: DMAConfig):
        if not isinstance(config, DMAConfig):
            raise TypeError(f"Configuration must be a DMAConfig, not {config!r}")
        self._config = config
        self._engine = EngineCore(config.engine, DMA_REGISTERS)
        ports: dict[str, Any] = {"aclk": In(1), "aresetn": In(1), **lite_ports()}
        for name in OPERANDS:
            ports |= self._address_ports(f"m_axi_{name.lower()}_ar")
            ports |= self._ports(f"m_axi_{name.lower()}_r", In, id=1, data=self._bits, resp=2, last=1)
        ports |= self._address_ports("m_axi_y_aw")
        ports |= self._ports("m_axi_y_w", Out, data=self._bits, strb=self._bits // 8, last=1)
        ports |= self._ports("m_axi_y_b", In, id=1, resp=2)
        super().__init__(ports | {"interrupt": Out(1)})

    @property
    def config(self) -> DMAConfig:
        return self._config

    @property
    def _bits(self) -> int:
        return self._config.engine.axi_bits

    def _address_ports(self, prefix: str) -> dict[str, Any]:
        sizes = {"id": 1, "addr": self._config.address_bits, "len": 8, "size": 3, "burst": 2}
        return self._ports(prefix, Out, **sizes, cache=4, prot=3)

    @staticmethod
    def _ports(prefix: str, flow: Any, **sizes: int) -> dict[str, Any]:
        ports = {f"{prefix}{name}": flow(bits) for name, bits in sizes.items()}
        return ports | {f"{prefix}valid": flow(1), f"{prefix}ready": (In if flow is Out else Out)(1)}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, engine = self._config, self._engine
        m.domains.sync = domain = ClockDomain(local=True)
        m.submodules.engine = engine
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        connect_lite(m, self, engine.registers)
        shape = self._bits, config.address_bits, config.burst
        readers = {}
        for name, stream in zip(OPERANDS, (engine.sq, engine.dense), strict=True):
            m.submodules[f"{name.lower()}_reader"] = readers[name] = reader = BurstReader(*shape)
            connect(m, reader.o, stream)
            self._read(m, name, reader)
        m.submodules.y_writer = writer = BurstWriter(*shape)
        # A job that began too early ends like any other: its words go nowhere.
        m.d.comb += [
            writer.i.p.eq(engine.y.p),
            writer.i.valid.eq(engine.y.valid),
            engine.y.ready.eq(writer.i.ready | ~writer.busy),
        ]
        self._write(m, writer)
        self._describe(m, readers, writer)
        self._finish(m, readers, writer)
        return m

    def _read(self, m: Module, name: str, reader: BurstReader) -> None:
        prefix = f"m_axi_{name.lower()}_r"
        self._address(m, f"m_axi_{name.lower()}_ar", reader.ar)
        m.d.comb += [
            reader.r.valid.eq(getattr(self, f"{prefix}valid")),
            reader.r.p.data.eq(getattr(self, f"{prefix}data")),
            reader.r.p.resp.eq(getattr(self, f"{prefix}resp")),
            getattr(self, f"{prefix}ready").eq(reader.r.ready),
        ]

    def _write(self, m: Module, writer: BurstWriter) -> None:
        self._address(m, "m_axi_y_aw", writer.aw)
        m.d.comb += [
            self.m_axi_y_wvalid.eq(writer.w.valid),
            self.m_axi_y_wdata.eq(writer.w.p.data),
            self.m_axi_y_wstrb.eq(Const(-1, len(self.m_axi_y_wstrb))),
            self.m_axi_y_wlast.eq(writer.w.p.last),
            writer.w.ready.eq(self.m_axi_y_wready),
            writer.b.valid.eq(self.m_axi_y_bvalid),
            writer.b.p.eq(self.m_axi_y_bresp),
            self.m_axi_y_bready.eq(writer.b.ready),
        ]

    def _address(self, m: Module, prefix: str, source: Any) -> None:
        size = self._config.engine.axi_bytes.bit_length() - 1
        values = {"addr": source.p.addr, "len": source.p.len, "size": size, "burst": _INCREMENTING}
        values |= {"id": 0, "cache": 0b0011, "prot": 0, "valid": source.valid}
        m.d.comb += [getattr(self, prefix + name).eq(value) for name, value in values.items()]
        m.d.comb += source.ready.eq(getattr(self, f"{prefix}ready"))

    def _describe(self, m: Module, readers: dict[str, BurstReader], writer: BurstWriter) -> None:
        """The registers say what to transfer; a job that begins starts all three."""
        value, engine = self._engine.value, self._engine
        low = self._config.engine.axi_bytes.bit_length() - 1
        parts: dict[str, Any] = {**readers, "Y": writer}
        for name, part in parts.items():
            address = Cat(getattr(value, f"{name}_ADDRESS"), getattr(value, f"{name}_ADDRESS_HIGH"))
            m.d.comb += [part.address.eq(address), part.start.eq(engine.start)]
        m.d.comb += [
            *(reader.words.eq(getattr(value, f"{name}_BYTES") >> low) for name, reader in readers.items()),
            readers["X"].times.eq(1),
            readers["W"].times.eq(value.W_TIMES),
            writer.room.eq(value.Y_BYTES >> low),
            engine.get.Y_WRITTEN.eq(writer.written << low),
        ]

    def _finish(self, m: Module, readers: dict[str, BurstReader], writer: BurstWriter) -> None:
        """What went wrong, and the event that says that a job and its transfers are over."""
        value, engine = self._engine.value, self._engine
        low = self._config.engine.axi_bytes.bit_length() - 1
        busy = Cat(readers["X"].busy, readers["W"].busy, writer.busy)
        odd = Signal()
        over = Signal()
        finished = Signal()
        names = [f"{name}_{what}" for name in (*OPERANDS, "Y") for what in ("ADDRESS", "BYTES")]
        m.d.comb += [
            odd.eq(engine.start & Cat(getattr(value, name)[:low] for name in names).any()),
            finished.eq(over & ~busy.any()),
            engine.get.DMA_BUSY.eq(busy),
            engine.set.DMA_STATUS.eq(
                Cat(
                    *(finished, readers["X"].error, readers["W"].error, writer.error, writer.overflow),
                    *(odd, engine.start & busy.any()),
                )
            ),
            self.interrupt.eq(engine.interrupt | value.DMA_STATUS[0] & value.DMA_INTERRUPT),
        ]
        m.d.sync += over.eq(engine.over | over & ~finished)
