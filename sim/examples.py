"""What ``verilog/`` holds: emitted examples, and vectors for the testbench there, made by the golden model.

``sqhw sim examples`` renews the folder; a test compares it.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from sim.traffic.jobs import site_jobs
from sqhw import console
from sqhw.config import PEConfig
from sqhw.console import Command, Outcome
from sqhw.emit import emit, module_name, write
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.pe.axi import tdata_bits
from sqhw.presets import PRESETS, engine_preset
from sw_reference.files import write_text

__all__ = ["COMMAND", "FOLDER", "renew"]

FOLDER = Path(__file__).parents[1] / "verilog"
_PE = "default"
_ENGINE = "tiny"
_SITES = 4
_EACH = 8
"""Dot products of each site, spread over its tokens and weight rows."""


def renew(folder: Path) -> list[Path]:
    """Writes all generated files into `folder`; returns their paths."""
    config, engine = PRESETS[_PE], engine_preset(_ENGINE)
    pe = emit(config, module_name(config, _PE))
    write([pe, emit(engine, module_name(engine, _ENGINE))], folder)
    texts = _vectors(config) | {"dut.vh": f"`define DUT {pe.name}\n"}
    for name, text in texts.items():
        write_text(folder / "vectors" / name, text)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _vectors(config: PEConfig) -> dict[str, str]:
    """Payloads in hexadecimal, TUSER above TLAST above TDATA, results as float32; and how many there are."""
    words: dict[str, list[int]] = {"sq": [], "dense": [], "scale": [], "y": []}
    jobs = site_jobs(config, sq_operand="activations", policies=("largest",), share=4)
    for _, job in zip(range(_SITES), jobs, strict=False):
        chosen = range(0, len(job.pairs), len(job.pairs) // _EACH)[:_EACH]
        streams = job.streams(config)
        for index in chosen:
            words["sq"] += streams[0][index]
            words["dense"] += streams[1][index]
            words["scale"].append(streams[2][index])
            words["y"].append(int(np.float32(job.y[job.pairs[index]]).view(np.uint32)))
    sq, dense = pe_beat_layout(config), dense_beat_layout(config)
    sizes = {
        "SQ": sq["last"].offset,
        "SQ_TDATA": tdata_bits(sq),
        "LENGTH": sq["length"].width,
        "DENSE": dense["last"].offset,
        "DENSE_TDATA": tdata_bits(dense),
        "BEATS": len(words["sq"]),
        "RESULTS": len(words["y"]),
    }
    texts = {f"{name}.hex": "".join(f"{word:x}\n" for word in column) for name, column in words.items()}
    return texts | {"sizes.vh": "".join(f"localparam {name} = {value};\n" for name, value in sizes.items())}


@click.command("examples", cls=Command)
def COMMAND() -> Outcome:
    """Renew the examples and vectors in verilog/."""
    names = [str(path.relative_to(FOLDER.parent)) for path in renew(FOLDER)]
    return Outcome(names, lambda: console.say("\n".join(names)))
