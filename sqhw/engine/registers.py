"""The register map, written once: hardware, driver, page and C header follow it."""

from __future__ import annotations

from enum import IntEnum

from .. import __version__
from ..config import EngineConfig
from .format_registers import DENSE_FORMAT, SQ_FORMAT, format_constants, sq_format_of
from .register_types import Field, Register, whole

__all__ = [
    "ADDRESS_BITS",
    "ENCODER_REGISTERS",
    "IDENTITY",
    "REGISTERS",
    "Format",
    "Input",
    "constants",
    "register",
    "registers_of",
]

ADDRESS_BITS = 8
IDENTITY = int.from_bytes(b"SQHW", "big")


class Format(IntEnum):
    """What leaves: the OUTPUT register's values."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT64 = 2


class Input(IntEnum):
    """How X comes: the INPUT register's values."""

    PACKED = 0
    ROWS = 1


REGISTERS: tuple[Register, ...] = (
    whole("ID", 0x00, "ro", 'The letters "SQHW": 0x53514857.'),
    Register(
        "VERSION",
        0x04,
        "ro",
        "Version of the generator.",
        (Field("patch", 8, "Patch."), Field("minor", 8, "Minor."), Field("major", 16, "Major.")),
    ),
    Register(
        "ARRAY",
        0x08,
        "ro",
        "The array.",
        (
            Field("rows", 8, "Rows of the SQ operand in a tile."),
            Field("columns", 8, "Rows of the dense operand in a tile."),
            Field("lanes", 8, "Elements of a beat."),
            Field("block_tiles", 8, "Row tiles in a block."),
        ),
    ),
    SQ_FORMAT,
    DENSE_FORMAT,
    Register(
        "STREAMS",
        0x14,
        "ro",
        "The streams.",
        (
            Field("bytes", 8, "Bytes of a word."),
            Field("output_stages", 8, "Results converted per cycle."),
            Field("acc_bits", 8, "Width of the exact sums."),
        ),
    ),
    whole("M_MAX", 0x18, "ro", "Largest M."),
    whole("N_MAX", 0x1C, "ro", "Largest N."),
    whole("K_MAX", 0x20, "ro", "Largest K."),
    Register(
        "CONTROL",
        0x40,
        "wo",
        "Commands; one at a time.",
        (
            Field(
                "start", 1, "Begin a job with M, N, K, OUTPUT and TIMEOUT as they are. One `done` follows."
            ),
            Field("abort", 1, "End the job, if there is one; the streams are discarded from then on."),
            Field("recover", 1, "Stop discarding, or do not begin once the job at hand has ended."),
        ),
    ),
    Register(
        "STATUS",
        0x44,
        "ro",
        "What the engine does.",
        (
            Field("busy", 1, "A job runs, or is being ended."),
            Field(
                "discarding",
                1,
                "Both operands' streams are discarded: a job is being ended, or `recover` is due.",
            ),
            Field("interrupt", 1, "The interrupt line."),
        ),
    ),
    Register(
        "ERRORS",
        0x48,
        "w1c",
        "What went wrong since these bits were cleared.",
        (
            Field("sq_early", 1, "The SQ packet ended before its last word. The job was ended."),
            Field("sq_late", 1, "The SQ packet did not end with its last word. The job was ended."),
            Field("dense_early", 1, "A dense packet ended before its last word. The job was ended."),
            Field("dense_late", 1, "A dense packet did not end with its last word. The job was ended."),
            Field(
                "malformed",
                1,
                "A row of results was flagged: a malformed bank, NaN or infinity. The job went on.",
            ),
            Field("dimensions", 1, "A start with M, N, K, OUTPUT or INPUT out of range. Nothing was begun."),
            Field("busy", 1, "A start while a job ran, or while streams were discarded. Nothing was begun."),
            Field("aborted", 1, "A job was ended by `abort`."),
            Field("leftover", 1, "An operand's stream goes on behind the job's packets. The job went on."),
            Field("timeout", 1, "No stream moved for TIMEOUT cycles. The job was ended."),
            Field("scale", 1, "A row scale or a group scale is malformed. The job was ended."),
        ),
    ),
    Register(
        "INTERRUPT_ENABLE",
        0x4C,
        "rw",
        "Which bits of INTERRUPT_STATUS raise the interrupt line.",
        (Field("done", 1, "The job is over."), Field("error", 1, "A bit of ERRORS was set.")),
    ),
    Register(
        "INTERRUPT_STATUS",
        0x50,
        "w1c",
        "Why an interrupt was raised.",
        (
            Field("done", 1, "The job is over, or none was begun; ERRORS says how. Once for each start."),
            Field("error", 1, "A bit of ERRORS was set; the job may still run."),
        ),
    ),
    whole("M", 0x54, "rw", "Rows of the SQ operand."),
    whole("N", 0x58, "rw", "Rows of the dense operand."),
    whole("K", 0x5C, "rw", "Elements of a row."),
    whole("OUTPUT", 0x60, "rw", "Results: 0 float32, 1 float16, 2 the exact sums as int64."),
    whole(
        "TIMEOUT", 0x64, "rw", "Cycles in which no stream moves until the job is ended; 0: without a limit."
    ),
    whole(
        "CYCLES",
        0x80,
        "ro",
        "Cycles from the start to the end of the job. Like all counters it stops at 2^32 - 1.",
    ),
    whole("BEATS", 0x84, "ro", "Cycles in which the array took a beat."),
    whole("STARVED", 0x88, "ro", "Cycles in which no beat was there for the array."),
    whole("HELD", 0x8C, "ro", "Cycles in which the array held a beat back."),
    whole(
        "GATED",
        0x90,
        "ro",
        "Beats of rows without an outlier, summed over the rows: the outlier lanes held still.",
    ),
)


ENCODER_REGISTERS: tuple[Register, ...] = (
    Register(
        "ENCODER",
        0x24,
        "ro",
        "The encoder.",
        (
            Field("elements", 8, "Elements of X that are encoded per cycle."),
            Field("format", 2, "What its rows are made of: 0 FP16, 1 BF16, 2 float32."),
        ),
    ),
    whole("INPUT", 0x68, "rw", "X comes: 0 packed, 1 as rows of numbers."),
)
"""They follow the others in an engine with an encoder."""


def registers_of(config: EngineConfig) -> tuple[Register, ...]:
    """Returns the registers of an engine."""
    formats = sq_format_of(config.pe.sq)
    known = tuple(formats if r is SQ_FORMAT else r for r in REGISTERS)
    return known if config.encoder is None else (*known, *ENCODER_REGISTERS)


def register(name: str) -> Register:
    """Returns the register called `name`; raises ValueError if there is none."""
    known = (*REGISTERS, *ENCODER_REGISTERS)
    for candidate in known:
        if candidate.name == name:
            return candidate
    raise ValueError(f"Register must be one of {', '.join(r.name for r in known)}, not {name!r}")


def constants(config: EngineConfig) -> dict[str, int]:
    """The values of the registers that tell what the engine is."""
    pe = config.pe
    major, minor, patch = (int(part) for part in __version__.split(".")[:3])
    return {
        "ID": IDENTITY,
        "VERSION": register("VERSION").pack(major=major, minor=minor, patch=patch),
        "ARRAY": register("ARRAY").pack(
            rows=config.array.rows,
            columns=config.array.columns,
            lanes=pe.lanes,
            block_tiles=config.block_tiles,
        ),
        **format_constants(pe.sq, pe.dense),
        "STREAMS": register("STREAMS").pack(
            bytes=config.axi_bytes, output_stages=config.output_stages, acc_bits=pe.acc_bits
        ),
        "M_MAX": config.m_max,
        "N_MAX": config.n_max,
        "K_MAX": pe.k_max,
    } | _encoder_constants(config)


def _encoder_constants(config: EngineConfig) -> dict[str, int]:
    if config.encoder is None:
        return {}
    code = ("fp16", "bf16", "float32").index(config.input)
    return {"ENCODER": register("ENCODER").pack(elements=config.encoder, format=code)}
