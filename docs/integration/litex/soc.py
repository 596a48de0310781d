"""A whole SoC in LiteX: a RISC-V processor, memory, the engine with DMA, firmware in ROM.

    python soc.py sq_dma_tiny.v firmware.bin soc.v

writes the Verilog of the SoC and, to standard output, the names of the other files that belong to it and
where the console is. What the firmware prints comes out at ``char``, a byte for each cycle of ``char_valid``.
"""

import sys
from pathlib import Path

from engine import SQEngine
from litex.build.generic_platform import Pins
from litex.build.sim.platform import SimPlatform
from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import ClockDomain

IO = [("clk", 0, Pins(1)), ("rst", 0, Pins(1)), ("char", 0, Pins(8)), ("char_valid", 0, Pins(1))]
ENGINE_AT = 0x90000000


class Console(LiteXModule):
    """A register whose writes come out."""

    def __init__(self, char, valid):
        self.out = CSRStorage(8)
        self.comb += [char.eq(self.out.storage), valid.eq(self.out.re)]


class SoC(SoCCore):
    def __init__(self, platform, verilog, firmware):
        super().__init__(
            platform,
            int(1e6),
            cpu_type="picorv32",
            integrated_rom_size=0x8000,
            integrated_rom_init=firmware,
            integrated_sram_size=0x2000,
            integrated_main_ram_size=0x8000,
            with_uart=False,
            with_timer=False,
            with_ctrl=False,
            csr_data_width=32,
        )
        self.cd_sys = ClockDomain("sys")
        self.comb += self.cd_sys.clk.eq(platform.request("clk"))
        self.comb += self.cd_sys.rst.eq(platform.request("rst"))
        self.engine = SQEngine(platform, verilog)
        region = SoCRegion(origin=ENGINE_AT, size=0x100, cached=False)
        self.bus.add_slave("engine", self.engine.bus, region)
        for name, master in self.engine.masters.items():
            self.bus.add_master(f"engine_{name}", master)
        self.console = Console(platform.request("char"), platform.request("char_valid"))
        self.csr.add("console", n=0)


def words(path):
    """A file as 32-bit words."""
    data = Path(path).read_bytes()
    data += bytes(-len(data) % 4)
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def main(verilog, firmware, output):
    platform = SimPlatform("sim", IO)
    soc = SoC(platform, verilog, words(firmware))
    soc.finalize()
    platform.get_verilog(soc, name="soc").write(output)
    for path, language, *_ in platform.sources:
        if language == "verilog":
            print(path)
    print("console", hex(soc.csr.regions["console"].origin))


if __name__ == "__main__":
    main(*sys.argv[1:])
