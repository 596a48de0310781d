"""The engine with DMA as a LiteX module: registers on AXI-Lite, three AXI masters, an interrupt.

In a SoC: ``soc.bus.add_slave("engine", engine.bus, SoCRegion(size=0x100, cached=False))``, then
``soc.bus.add_master(name, master)`` for each of ``engine.masters``. ``soc.py`` is a whole one.
"""

from litex.gen import LiteXModule
from litex.soc.interconnect.axi import AXIInterface, AXILiteInterface
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal


class SQEngine(LiteXModule):
    """Wraps the module `name` of the Verilog file `verilog`; `width` is that of its words in memory."""

    ADDRESS = ("id", "addr", "len", "size", "burst", "cache", "prot")

    def __init__(self, platform, verilog, name="sq_dma_tiny", width=32):
        # As wide as the SoC's bus, whose adapters want that; the engine looks at the lowest eight bits.
        self.bus = bus = AXILiteInterface(data_width=32, address_width=32, addressing="byte")
        self.masters = {
            operand: AXIInterface(data_width=width, address_width=32, id_width=1) for operand in "xwy"
        }
        self.ev = EventManager()
        self.ev.finished = EventSourceLevel(description="A job and its transfers are over.")
        self.ev.finalize()
        ports = {
            "i_aclk": ClockSignal("sys"),
            "i_aresetn": ~ResetSignal("sys"),
            "o_interrupt": self.ev.finished.trigger,
        }
        ports |= {"i_s_axil_awaddr": bus.aw.addr[:8], "i_s_axil_araddr": bus.ar.addr[:8]}
        ports |= {"i_s_axil_awprot": 0, "i_s_axil_arprot": 0}
        ports |= self._channel("s_axil", "w", bus.w, "i", ("data", "strb"))
        ports |= self._channel("s_axil", "b", bus.b, "o", ("resp",))
        ports |= self._channel("s_axil", "r", bus.r, "o", ("data", "resp"))
        ports |= self._channel("s_axil", "aw", bus.aw, "i", ())
        ports |= self._channel("s_axil", "ar", bus.ar, "i", ())
        for operand in "xw":
            master, prefix = self.masters[operand], f"m_axi_{operand}"
            ports |= self._channel(prefix, "ar", master.ar, "o", self.ADDRESS)
            ports |= self._channel(prefix, "r", master.r, "i", ("id", "data", "resp", "last"))
        master = self.masters["y"]
        ports |= self._channel("m_axi_y", "aw", master.aw, "o", self.ADDRESS)
        ports |= self._channel("m_axi_y", "w", master.w, "o", ("data", "strb", "last"))
        ports |= self._channel("m_axi_y", "b", master.b, "i", ("id", "resp"))
        self.specials += Instance(name, **ports)
        platform.add_source(str(verilog))

    @staticmethod
    def _channel(prefix, name, source, way, wires):
        """The ports of a channel: `way` is i where the engine takes its payload, o where it gives it."""
        back = "i" if way == "o" else "o"
        ports = {f"{way}_{prefix}_{name}{wire}": getattr(source, wire) for wire in wires}
        return ports | {
            f"{way}_{prefix}_{name}valid": source.valid,
            f"{back}_{prefix}_{name}ready": source.ready,
        }
