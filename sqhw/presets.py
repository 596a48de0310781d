"""Design points by name: processing elements, arrays and engines."""

from __future__ import annotations

from dataclasses import replace

from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["ARRAYS", "ENGINE_PRESETS", "PRESETS", "array_preset", "engine_preset", "preset"]

PRESETS: dict[str, PEConfig] = {
    "default": PEConfig(),
    "tiny": PEConfig(
        SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=2048, output="serial"
    ),
    "paper": PEConfig(SQFormat(16, 4, "int8", "sentinel"), DenseFormat(8), lanes=16, outlier_lanes=4),
    "lean": PEConfig(
        SQFormat(32, 2, "int8", "index", "e3m2s"),
        DenseFormat(4, 32, scale="linear8"),
        lanes=32,
        outlier_lanes=2,
    ),
    "fine": PEConfig(
        SQFormat(32, 4, "int8", "index", "e3m2s"),
        DenseFormat(4, 32, scale="linear8"),
        lanes=32,
        outlier_lanes=4,
    ),
    "both": PEConfig(
        SQFormat(32, 4, "int8", "index", "e3m2s"),
        DenseFormat(4, 32, 6, 32, "linear8", mask="index"),
        lanes=32,
        outlier_lanes=4,
    ),
}
"""Design points by name.

``default``: dense INT4 lanes, a gated FP16 outlier lane, a bitmap. 16 elements per bank, 1 FP16 outlier,
which has a range of its own and leaves its bank's scale alone. ``lean``: fewest bits per element (4.75) and
smallest array, 2 INT8 outliers by index in 32 elements, a narrow bank scale. ``fine``: 4 outliers, 5.31
bits, where activations must lose no more than INT8 ones do. ``both``: the same with outliers of the dense
operand too, 6 by index in 32 elements, 5.94 bits: SQ x SQ. ``tiny``: the smallest useful one, 1 INT8
outlier with a bitmap, a bank in two beats, a serial output stage. ``paper``: the configuration of the
paper's area claim, in-band mask, s = 0.75, INT8 high codes and INT8 dense operand. All have a lane for every
outlier of a beat, so that none stalls for outliers.
"""


def preset(name: str) -> PEConfig:
    """Returns the preset called `name`; raises ValueError if there is none."""
    if name not in PRESETS:
        raise ValueError(f"Preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]


ARRAYS: dict[str, ArrayConfig] = {
    "default": ArrayConfig(PRESETS["default"], 8, 8),
    "tiny": ArrayConfig(PRESETS["tiny"], 2, 2),
    "lean": ArrayConfig(PRESETS["lean"], 8, 8),
    "fine": ArrayConfig(PRESETS["fine"], 8, 8),
    "both": ArrayConfig(PRESETS["both"], 8, 8),
}
"""Design points by name: units of the presets of the same name. ``tiny`` is for quick tests."""


_EIGHT = ArrayConfig(
    PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, 64), lanes=16, outlier_lanes=2, k_max=2048), 8, 8
)
"""Two INT8 outliers with a bitmap per 16 elements, and a lane for each."""


def array_preset(name: str) -> ArrayConfig:
    """Returns the array called `name`; raises ValueError if there is none."""
    if name not in ARRAYS:
        raise ValueError(f"Array must be one of {', '.join(ARRAYS)}, not {name!r}")
    return ARRAYS[name]


_LEAN = replace(PRESETS["lean"], k_max=2048)
_BOTH = replace(PRESETS["both"], k_max=2048)
_IMPORTED = replace(_LEAN, dense=replace(_LEAN.dense, offset=True))
_FINE = replace(PRESETS["fine"], k_max=2048, dense=_IMPORTED.dense)
ENGINE_PRESETS: dict[str, EngineConfig] = {
    "tiny": EngineConfig(
        ArrayConfig(
            PEConfig(SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=256),
            rows=2,
            columns=2,
        ),
        axi_bits=32,
        block_tiles=4,
        m_max=256,
        n_max=256,
        output_stages=1,
    ),
    "2x2": EngineConfig(replace(_EIGHT, rows=2, columns=2), output_stages=2),
    "8x8": EngineConfig(_EIGHT),
    "lean": EngineConfig(ArrayConfig(_LEAN, rows=8, columns=8), axi_bits=512),
    "decode": EngineConfig(ArrayConfig(_LEAN, rows=4, columns=16), axi_bits=1024, n_max=65536),
    "imported": EngineConfig(ArrayConfig(_IMPORTED, rows=4, columns=16), axi_bits=1024, n_max=65536),
    "fine": EngineConfig(ArrayConfig(_FINE, rows=4, columns=16), axi_bits=1024, n_max=65536),
    "both": EngineConfig(ArrayConfig(_BOTH, rows=4, columns=16), axi_bits=1024, n_max=65536),
    "encoder": EngineConfig(ArrayConfig(_LEAN, rows=2, columns=2), output_stages=2, encoder=8),
}
"""Design points by name. ``tiny``: the smallest useful engine. ``2x2``: with units and streams of
``8x8``, for short simulations. ``8x8``: 64 units of 16 lanes, 1,024 multiply-accumulates per cycle.
``lean``: 64 units of 32 lanes, of the preset ``lean``. ``decode``: the same units in few rows and many
columns, for few tokens at a time: their rate is that of the dense operand's stream. ``imported``: the same
with group offsets, which the codes of asymmetric checkpoints need. ``fine``: ``imported`` with units of
the preset ``fine``. ``both``: SQ x SQ, units of the preset ``both``. ``encoder``: units of ``lean``, few
of them, and an encoder that keeps up with its stream: X may come as rows of FP16."""


def engine_preset(name: str) -> EngineConfig:
    """Returns the engine called `name`; raises ValueError if there is none."""
    if name not in ENGINE_PRESETS:
        raise ValueError(f"Engine preset must be one of {', '.join(ENGINE_PRESETS)}, not {name!r}")
    return ENGINE_PRESETS[name]
