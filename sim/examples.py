"""What ``verilog/`` holds: emitted examples, and vectors for the testbench there, made by the golden model.

``sqhw sim examples`` renews the folder; a test compares it.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from sim.traffic.engine_jobs import Job
from sim.traffic.jobs import site_jobs
from sqhw import console
from sqhw.config import EngineConfig, PEConfig
from sqhw.console import Command, Outcome
from sqhw.driver.engine import golden
from sqhw.driver.packets import results_packet
from sqhw.emit import emit, module_name, write
from sqhw.engine.registers import register
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.pe.axi import tdata_bits
from sqhw.presets import PRESETS, engine_preset
from sw_reference.activations import load_activations
from sw_reference.files import write_text
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["COMMAND", "FOLDER", "renew"]

FOLDER = Path(__file__).parents[1] / "verilog"
_PES = {"default": "vectors", "lean": "vectors/lean"}
"""Processing elements, and the folder of each one's vectors."""
_ENGINE = "tiny"
_SITES = 4
_EACH = 8
"""Dot products of each site, spread over its tokens and weight rows."""
_ROWS = 11
"""Tokens of the engine's job: more than a block of it holds."""


def renew(folder: Path) -> list[Path]:
    """Writes all generated files into `folder`; returns their paths."""
    engine = engine_preset(_ENGINE)
    designs = [emit(engine, module_name(engine, _ENGINE))]
    texts = {f"vectors/{name}": text for name, text in _engine_vectors(engine).items()}
    for preset, vectors in _PES.items():
        pe = emit(PRESETS[preset], module_name(PRESETS[preset], preset))
        designs.append(pe)
        own = {"dut.vh": f'`define DUT {pe.name}\n`define VECTORS "{vectors}/"\n'}
        own |= _vectors(PRESETS[preset])
        texts |= {f"{vectors}/{name}": text for name, text in own.items()}
    write(designs, folder)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, text)
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


def _engine_vectors(config: EngineConfig) -> dict[str, str]:
    """Words of the packets of a job, ``last`` as the top bit, and what the testbench writes to registers."""
    site = load_activations().site(11, "ffn_down")
    k = config.pe.k_max
    x, w = quantize_sq(site.x[:_ROWS, :k], config.pe.sq), quantize_dense(site.weight[:6, :k], config.pe.dense)
    job = Job(config, x, w)
    sq, dense = job.packets
    y = results_packet(config, golden(x, w, job.output), job.output)
    packets = {"sq": [sq], "dense": [dense] * job.passes, "y": [y]}
    texts, sizes = {}, dict(zip(("M", "N", "K"), job.sizes, strict=True))
    for name, whole in packets.items():
        words = [word for packet in whole for word in _words(packet, config.axi_bytes)]
        texts[f"engine_{name}.hex"] = "".join(f"{word:x}\n" for word in words)
        sizes[f"{name.upper()}_WORDS"] = len(words)
    sizes["LIMIT"] = 100 * (sizes["SQ_WORDS"] + sizes["DENSE_WORDS"] + sizes["Y_WORDS"])
    for name in ("M", "N", "K", "TIMEOUT", "INTERRUPT_ENABLE", "CONTROL", "ERRORS"):
        sizes[f"{name}_AT"] = register(name).offset
    return texts | {"engine.vh": "".join(f"localparam {name} = {value};\n" for name, value in sizes.items())}


def _words(packet: bytes, size: int) -> list[int]:
    """The words of a packet, its last one marked by the bit above."""
    words = [int.from_bytes(packet[at : at + size], "little") for at in range(0, len(packet), size)]
    return [*words[:-1], words[-1] | 1 << 8 * size]


@click.command("examples", cls=Command)
def COMMAND() -> Outcome:
    """Renew the examples and vectors in verilog/."""
    names = [str(path.relative_to(FOLDER.parent)) for path in renew(FOLDER)]
    return Outcome(names, lambda: console.say("\n".join(names)))
