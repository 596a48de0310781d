"""The bare-metal driver: compiled alone, and in firmware that runs beside the emitted Verilog."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from sim.traffic.engine_jobs import Job
from sqhw.console import SEED
from sqhw.dma.config import DMA_PRESETS
from sqhw.emit import emit
from sqhw.engine.registers import constants, register
from sqhw.tools.verilated import build

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DRIVER = ROOT / "docs" / "integration" / "sq_engine.c"
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1"]
INCLUDES = [f"-I{ROOT / 'verilog'}", f"-I{DRIVER.parent}"]
OK, BAD_ARGUMENT, BUSY, TIMED_OUT, FAILED, OTHER_FORMAT = 0, 2, 3, 4, 5, 6


@pytest.mark.parametrize("options", [[], ["-ffreestanding", "-nostdlib"]])
def test_driver_compiles_without_a_warning_and_without_a_library(tmp_path, options):
    done = subprocess.run(
        ["gcc", *STRICT, *options, *INCLUDES, "-c", str(DRIVER), "-o", str(tmp_path / "driver.o")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    unresolved = subprocess.run(
        ["nm", "-u", str(tmp_path / "driver.o")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in unresolved if name not in {"U", "_GLOBAL_OFFSET_TABLE_"}] == []


@pytest.mark.parametrize("name", ["tiny", pytest.param("encoder", marks=pytest.mark.slow)])
def test_firmware_multiplies_on_the_emitted_verilog(tmp_path, name):
    """Polling, by interrupt, and after faults: every bit of four products, from rows of FP16 too."""
    config = DMA_PRESETS[name]
    design = emit(config, f"sq_dma_{name}")
    system = build(
        design.verilog,
        design.name,
        HERE / "system.cpp",
        tmp_path,
        defines={"WORD": config.engine.axi_bytes},
        shared=True,
    )
    library = tmp_path / "libsystem.so"
    library.symlink_to(system)
    firmware = tmp_path / "firmware"
    sources = [str(HERE / "firmware.c"), str(DRIVER)]
    command = ["gcc", *STRICT, *INCLUDES, "-include", str(HERE / "system.h"), *sources]
    subprocess.run(
        [*command, "-o", str(firmware), f"-L{tmp_path}", "-lsystem", f"-Wl,-rpath,{tmp_path}"], check=True
    )
    rows = config.engine.encoder is not None
    job = (Job.of_rows if rows else Job.of_numbers)(config.engine, np.random.default_rng(SEED), 21, 5, 40)
    assert job.passes > 1
    names = ("x", "w", "y")
    x, w, y = (tmp_path / name for name in names)
    for path, packet in zip((x, w), job.packets, strict=True):
        path.write_bytes(packet)
    told = constants(config.engine)
    sizes = map(str, (*job.sizes, told["SQ_FORMAT"], told["DENSE_FORMAT"]))
    done = subprocess.run(
        [str(firmware), str(x), str(w), str(y), *sizes, *(["rows"] if rows else [])],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    errors = register("ERRORS")
    assert done.stdout.splitlines() == [
        f"open {OK}",
        f"formats {OK}",
        f"other mask {OTHER_FORMAT}",
        f"other scale {OTHER_FORMAT}",
        *([f"unknown input {BAD_ARGUMENT}", f"rows {OK}"] if rows else []),
        f"start {OK}",
        f"again {BUSY}",
        f"short wait {TIMED_OUT}",
        f"wait {OK}",
        f"poll {BUSY}",
        "line 0",
        f"after interrupt {OK}",
        f"no rows {BAD_ARGUMENT}",
        f"long rows {BAD_ARGUMENT}",
        f"odd address {BAD_ARGUMENT}",
        f"no room {BAD_ARGUMENT}",
        f"short packet {FAILED} {errors.pack(sq_early=1)}",
        f"next {OK}",
        f"aborted {FAILED} {errors.pack(aborted=1)}",
        f"next {OK}",
    ]
    packets = y.read_bytes()
    size = job.words * config.engine.axi_bytes
    assert len(packets) == 4 * size > 0
    assert [job.wrong(packets[at : at + size]) for at in range(0, 4 * size, size)] == [0] * 4
