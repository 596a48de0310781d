"""The processing element with AXI4-Stream ports under their usual flat names."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from ..config import PEConfig
from ..layouts import dense_beat_layout, pe_beat_layout, scales_layout
from .pe import ProcessingElement

__all__ = ["SIDEBANDS", "AXIProcessingElement", "tdata_bits"]


SIDEBANDS = {"last": "tlast", "length": "tuser"}
"""Fields of inputs that have a wire of their own, behind all others."""


def tdata_bits(layout: Any) -> int:
    """Width of the TDATA that carries a payload without its sidebands: whole bytes."""
    bits = sum(field.width for name, field in layout if name not in SIDEBANDS)
    return -(-bits // 8) * 8


class AXIProcessingElement(wiring.Component):
    """AXI4-Stream wrapper of :class:`~sqhw.pe.pe.ProcessingElement`.

    TDATA is the stream's payload, first field in the low bits, zero-padded to whole bytes; ``last`` is
    TLAST, ``length`` is TUSER. Each input passes a buffer of two beats, so that no output port depends
    combinationally on an input port.

    Latency: :attr:`latency` cycles from the last beat to its result, :attr:`latency_max` for the slowest.
    Throughput: as the processing element.

    Parameters
    ----------
    config
        Formats, lanes and k_max.

    Members
    -------
    aclk : In(1), aresetn : In(1)
        Clock and synchronous reset, active low.
    s_axis_sq : tdata, tvalid, tready, tlast, tuser
        Beats of the SQ operand, :func:`~sqhw.layouts.pe_beat_layout`. TUSER of the first beat is how many
        beats the dot product has; a constant will do where all are as long.
    s_axis_dense : tdata, tvalid, tready, tlast
        Beats of the dense operand, :func:`~sqhw.layouts.dense_beat_layout`.
    s_axis_scale : tdata, tvalid, tready
        Per result 64 bits: float32 row scale of the SQ row in [31:0], of the dense row in [63:32].
    m_axis_y : tdata, tvalid, tready, tuser
        Per result a float32; TUSER is 1 when it must not be trusted (it is a NaN then).
    """

    def __init__(self, config: PEConfig):
        self._pe = ProcessingElement(config)
        self._config = config
        ports: dict[str, Any] = {"aclk": In(1), "aresetn": In(1)}
        for name, layout in self._inputs().items():
            ports |= {
                f"{name}_tdata": In(tdata_bits(layout)),
                f"{name}_tvalid": In(1),
                f"{name}_tready": Out(1),
            }
            for field, port in SIDEBANDS.items():
                if field in layout.members:
                    ports[f"{name}_{port}"] = In(layout[field].width)
        ports |= {"m_axis_y_tdata": Out(32), "m_axis_y_tvalid": Out(1), "m_axis_y_tready": In(1)}
        ports["m_axis_y_tuser"] = Out(1)
        super().__init__(ports)

    @property
    def config(self) -> PEConfig:
        return self._config

    @property
    def latency(self) -> int:
        """One cycle more than the processing element's: the input buffer."""
        return self._pe.latency + 1

    @property
    def latency_max(self) -> int:
        return self._pe.latency_max + 1

    @property
    def interval(self) -> int:
        return self._pe.interval

    def _inputs(self) -> dict[str, Any]:
        return {
            "s_axis_sq": pe_beat_layout(self._config),
            "s_axis_dense": dense_beat_layout(self._config),
            "s_axis_scale": scales_layout(),
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(local=True)
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.pe = pe = self._pe
        streams = (pe.i_sq, pe.i_dense, pe.i_scales)
        for (name, layout), target in zip(self._inputs().items(), streams, strict=True):
            self._input(m, name, layout, target)
        m.d.comb += [
            self.m_axis_y_tdata.eq(pe.o.p.y),
            self.m_axis_y_tuser.eq(pe.o.p.error),
            self.m_axis_y_tvalid.eq(pe.o.valid),
            pe.o.ready.eq(self.m_axis_y_tready),
        ]
        return m

    def _input(self, m: Module, name: str, layout: Any, target: Any) -> None:
        def port(suffix: str) -> Any:
            return getattr(self, f"{name}_{suffix}")

        m.submodules[f"{name}_buffer"] = buffer = fifo.SyncFIFO(width=layout.size, depth=2)
        sidebands = [port(SIDEBANDS[field]) for field in layout.members if field in SIDEBANDS]
        bits = layout.size - sum(map(len, sidebands))
        m.d.comb += [
            buffer.w_data.eq(Cat(port("tdata")[:bits], sidebands)),
            buffer.w_en.eq(port("tvalid")),
            port("tready").eq(buffer.w_rdy),
            target.p.eq(buffer.r_data),
            target.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(target.ready),
        ]
