"""Builds the SoC of soc.py with its firmware, and runs it: emitted engine, LiteX, GCC for RISC-V, Verilator.

    python docs/integration/litex/run.py [folder]

needs LiteX with a PicoRV32 beside sqhw, and Debian's gcc-riscv64-unknown-elf; docs/engine.md has the lines.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from sqhw.console import SEED
from sqhw.dma.config import DMA_PRESETS
from sqhw.driver.engine import golden
from sqhw.driver.packets import dense_packet, results_packet, sq_packet
from sqhw.emit import emit, write
from sqhw.engine.registers import Format
from sqhw.tools.verilated import build
from sw_reference.quantize import quantize_dense, quantize_sq

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CONFIG = DMA_PRESETS["tiny"].engine
M, N, K = 11, 5, 40
CONSOLE_AT = 0x82000000
"""Where LiteX puts the console's register."""
COMPILER = ["riscv64-unknown-elf-gcc", "-march=rv32im", "-mabi=ilp32", "-Os", "-Wall", "-Wextra", "-Werror"]


def packets() -> str:
    """A job's packets and what must come, as C arrays."""
    rng = np.random.default_rng(SEED)
    x = quantize_sq(rng.standard_t(1.5, (M, K)).astype(np.float32), CONFIG.pe.sq)
    w = quantize_dense(rng.standard_normal((N, K)).astype(np.float32), CONFIG.pe.dense)
    y = results_packet(CONFIG, golden(x, w, Format.FLOAT32), Format.FLOAT32)
    text = f"enum {{ M = {M}, N = {N}, K = {K} }};\n"
    for name, packet in (("X", sq_packet(CONFIG, x)), ("W", dense_packet(CONFIG, w)), ("Y", y)):
        words = ", ".join(f"0x{word:X}" for word in np.frombuffer(packet, "<u4"))
        text += f"static const uint32_t {name}[] = {{{words}}};\n"
    return text


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    (engine,) = write([emit(DMA_PRESETS["tiny"], "sq_dma_tiny")], folder)
    (folder / "packets.h").write_text(packets())
    includes = [f"-I{path}" for path in (folder, ROOT / "verilog", HERE.parent)]
    sources = [HERE / "start.S", HERE / "firmware.c", HERE.parent / "sq_engine.c"]
    options = ["-ffreestanding", "-nostdlib", f"-DCONSOLE_AT={CONSOLE_AT:#x}", "-T", HERE / "firmware.ld"]
    command = [*COMPILER, *options, *includes, *sources, "-o", "firmware.elf", "-lgcc"]
    subprocess.run(command, cwd=folder, check=True)
    binary = ["riscv64-unknown-elf-objcopy", "-O", "binary", "firmware.elf", "firmware.bin"]
    subprocess.run(binary, cwd=folder, check=True)
    command = [sys.executable, str(HERE / "soc.py"), str(engine.resolve()), "firmware.bin", "soc.v"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    made = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    *paths, console = made.stdout.splitlines()
    assert console == f"console {CONSOLE_AT:#x}", console
    text = "\n".join(Path(path).read_text() for path in (folder / "soc.v", *paths))
    program = build(text, "soc", HERE / "main.cpp", folder, defines={"LIMIT": 1_000_000})
    return subprocess.run([str(program.resolve())], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:] or ["build/litex"]).resolve()))
