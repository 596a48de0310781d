"""The engine as a LiteX module: registers on AXI-Lite, streams as endpoints, an interrupt.

In a SoC: ``soc.bus.add_slave("engine", engine.bus, SoCRegion(size=0x100, cached=False))``, two DMA readers
and a writer (``litex.soc.cores.dma``) at the endpoints, ``soc.irq.add("engine", use_loc_if_exists=True)``.
"""

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from litex.soc.interconnect.axi import AXILiteInterface
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal


class SQEngine(LiteXModule):
    """Wraps the module `name` of the Verilog file `verilog`; `width` is that of its streams."""

    def __init__(self, platform, verilog, name="sq_engine_tiny", width=32):
        # As wide as the SoC's bus, whose adapters want that; the engine looks at the lowest eight bits.
        self.bus = bus = AXILiteInterface(data_width=32, address_width=32, addressing="byte")
        self.sq = stream.Endpoint([("data", width)])
        self.dense = stream.Endpoint([("data", width)])
        self.y = stream.Endpoint([("data", width), ("error", 1)])
        self.ev = EventManager()
        self.ev.interrupt = EventSourceLevel(description="A job is done, or went wrong.")
        self.ev.finalize()
        ports = {
            "i_aclk": ClockSignal("sys"),
            "i_aresetn": ~ResetSignal("sys"),
            "o_interrupt": self.ev.interrupt.trigger,
            "o_m_axis_y_tdata": self.y.data,
            "o_m_axis_y_tuser": self.y.error,
            "o_m_axis_y_tlast": self.y.last,
            "o_m_axis_y_tvalid": self.y.valid,
            "i_m_axis_y_tready": self.y.ready,
        }
        for prefix, sink in (("s_axis_sq", self.sq), ("s_axis_dense", self.dense)):
            ports |= {
                f"i_{prefix}_tdata": sink.data,
                f"i_{prefix}_tlast": sink.last,
                f"i_{prefix}_tvalid": sink.valid,
                f"o_{prefix}_tready": sink.ready,
            }
        ports |= {"i_s_axil_awaddr": bus.aw.addr[:8], "i_s_axil_araddr": bus.ar.addr[:8]}
        ports |= {"i_s_axil_wdata": bus.w.data, "i_s_axil_wstrb": bus.w.strb}
        for channel in ("aw", "w", "ar"):
            source = getattr(bus, channel)
            ports |= {f"i_s_axil_{channel}valid": source.valid, f"o_s_axil_{channel}ready": source.ready}
        ports |= {"i_s_axil_awprot": 0, "i_s_axil_arprot": 0}
        for channel, wires in (("b", ("resp",)), ("r", ("data", "resp"))):
            answer = getattr(bus, channel)
            ports |= {f"o_s_axil_{channel}{wire}": getattr(answer, wire) for wire in wires}
            ports |= {f"o_s_axil_{channel}valid": answer.valid, f"i_s_axil_{channel}ready": answer.ready}
        self.specials += Instance(name, **ports)
        platform.add_source(str(verilog))
