"""The matrix engine with AXI4-Stream and AXI4-Lite ports under their usual flat names."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .core import EngineCore
from .registers import ADDRESS_BITS

__all__ = ["AXIEngine", "connect_lite", "lite_ports"]

# Channel of AXI4-Lite → stream of the register file, and the channel's wires from bit 0 of its payload up.
_LITE: dict[str, tuple[str, tuple[tuple[str, int], ...]]] = {
    "aw": ("write_address", (("addr", ADDRESS_BITS),)),
    "w": ("write_data", (("data", 32), ("strb", 4))),
    "b": ("write_response", (("resp", 2),)),
    "ar": ("read_address", (("addr", ADDRESS_BITS),)),
    "r": ("read_data", (("data", 32), ("resp", 2))),
}
_ANSWERS = ("b", "r")


def lite_ports() -> dict[str, Any]:
    """The flat ports of an AXI4-Lite slave called ``s_axil``; the protection bits (``prot``) are ignored."""
    ports: dict[str, Any] = {}
    for channel, (_, wires) in _LITE.items():
        forth, back = (Out, In) if channel in _ANSWERS else (In, Out)
        prefix = f"s_axil_{channel}"
        ports |= {prefix + name: forth(bits) for name, bits in wires}
        if wires[0][0] == "addr":
            ports[f"{prefix}prot"] = In(3)
        ports |= {f"{prefix}valid": forth(1), f"{prefix}ready": back(1)}
    return ports


def connect_lite(m: Module, top: Any, registers: Any) -> None:
    """Connects the ports of :func:`lite_ports` to the streams of a register file."""
    for channel, (name, wires) in _LITE.items():
        _connect_channel(m, top, channel, getattr(registers, name), [wire for wire, _ in wires])


def _connect_channel(m: Module, top: Any, channel: str, stream: Any, wires: list[str]) -> None:
    def port(name: str) -> Any:
        return getattr(top, f"s_axil_{channel}{name}")

    payload = stream.payload
    fields = [getattr(payload, name) for name, _ in payload.shape()] if len(wires) > 1 else [payload]
    pairs = list(zip(wires, fields, strict=True))
    if channel in _ANSWERS:
        m.d.comb += [port(wire).eq(field) for wire, field in pairs]
        m.d.comb += [port("valid").eq(stream.valid), stream.ready.eq(port("ready"))]
    else:
        m.d.comb += [field.eq(port(wire)) for wire, field in pairs]
        m.d.comb += [stream.valid.eq(port("valid")), port("ready").eq(stream.ready)]


class AXIEngine(wiring.Component):
    """AXI wrapper of :class:`~sqhw.engine.core.EngineCore`; it adds no cycle.

    No output port depends combinationally on an input port.

    Parameters
    ----------
    config
        The array, the buffers, the streams.

    Members
    -------
    aclk : In(1), aresetn : In(1)
        Clock and synchronous reset, active low.
    s_axil : AXI4-Lite, 32 bits
        Registers, see docs/registers.md. The protection bits (``prot``) are ignored.
    s_axis_sq, s_axis_dense : tdata, tvalid, tready, tlast
        Packets of the operands, see docs/engine.md.
    m_axis_y : tdata, tvalid, tready, tlast, tuser
        The packet of results. TUSER is 1 for words that must not be trusted.
    interrupt : Out(1)
        High while an enabled bit of INTERRUPT_STATUS is set.
    """

    def __init__(self, config: EngineConfig):
        self._engine = EngineCore(config)
        self._config = config
        ports: dict[str, Any] = {"aclk": In(1), "aresetn": In(1), **lite_ports()}
        for name in ("s_axis_sq", "s_axis_dense"):
            ports |= {
                f"{name}_tdata": In(config.axi_bits),
                f"{name}_tvalid": In(1),
                f"{name}_tready": Out(1),
                f"{name}_tlast": In(1),
            }
        ports |= {
            "m_axis_y_tdata": Out(config.axi_bits),
            "m_axis_y_tvalid": Out(1),
            "m_axis_y_tready": In(1),
            "m_axis_y_tlast": Out(1),
            "m_axis_y_tuser": Out(1),
            "interrupt": Out(1),
        }
        super().__init__(ports)

    @property
    def config(self) -> EngineConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(local=True)
        m.submodules.engine = engine = self._engine
        m.d.comb += [
            domain.clk.eq(self.aclk),
            domain.rst.eq(~self.aresetn),
            self.interrupt.eq(engine.interrupt),
        ]
        connect_lite(m, self, engine.registers)
        for name, target in (("s_axis_sq", engine.sq), ("s_axis_dense", engine.dense)):
            m.d.comb += [
                target.p.data.eq(getattr(self, f"{name}_tdata")),
                target.p.last.eq(getattr(self, f"{name}_tlast")),
                target.valid.eq(getattr(self, f"{name}_tvalid")),
                getattr(self, f"{name}_tready").eq(target.ready),
            ]
        m.d.comb += [
            self.m_axis_y_tdata.eq(engine.y.p.data),
            self.m_axis_y_tlast.eq(engine.y.p.last),
            self.m_axis_y_tuser.eq(engine.y.p.error),
            self.m_axis_y_tvalid.eq(engine.y.valid),
            engine.y.ready.eq(self.m_axis_y_tready),
        ]
        return m
