"""A board that is simulated: its engine and protocol, from emitted Verilog, behind a pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..driver.library import cache_folder
from ..tools.verilated import build
from ..tools.verilog import convert
from .serial_engine import FramedEngine, patience
from .targets import Board
from .uart import DIVISOR_MIN

__all__ = ["compile_board", "simulated_port"]

MAIN = Path(__file__).with_name("simulated.cpp")
_IDLE_CYCLES = 1 << 16
"""Cycles without a byte after which the clock stops."""
_PATIENCE = patience(DIVISOR_MIN)
"""A simulated line takes a byte per cycle, so a request waits for the engine as behind the fastest line."""


def compile_board(board: Board, *, cache: Path | None = None) -> Path:
    """Returns the program that is the board; builds it unless it is in the cache.

    Raises
    ------
    ToolError
        If Yosys, Verilator or a compiler is missing or fails.
    """
    return build(
        convert(FramedEngine(board.config, _PATIENCE), "board"),
        "board",
        MAIN,
        (cache or cache_folder()) / "boards",
        defines={"IDLE": _IDLE_CYCLES},
        optimize="-O1",
    )


@contextmanager
def simulated_port(
    board: Board, *, note: Callable[[str], None] = lambda text: None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serves a board while the block runs; gives the name of its port, and its process.

    Raises as :func:`compile_board`.
    """
    note(f"compiling {board.title}")
    program = compile_board(board)
    here, there = os.openpty()
    try:
        tty.setraw(there)
        process = subprocess.Popen([str(program.resolve())], stdin=here, stdout=here)
        try:
            yield os.ttyname(there), process
        finally:
            process.terminate()
            process.wait()
    finally:
        os.close(here)
        os.close(there)
