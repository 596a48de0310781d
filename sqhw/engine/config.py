"""What an engine is made of: one frozen configuration, presets by name, derived sizes."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from sw_reference.checks import check_choice, check_int
from sw_reference.format import DenseFormat, SQFormat

from ..array.config import ArrayConfig
from ..config import PEConfig

__all__ = ["AXI_WIDTHS", "ENGINE_PRESETS", "SIZE_LIMIT", "EngineConfig", "engine_preset"]

AXI_WIDTHS = (32, 64, 128, 256, 512)
SIZE_LIMIT = 1 << 16
"""No configuration takes more rows of either operand than this."""
_SCALE_BITS = 32
_RAW_BITS = 64


@dataclass(frozen=True)
class EngineConfig:
    """Parameters of a matrix engine.

    The engine keeps two *blocks* of the SQ operand (one in use, one being loaded) and two *tiles* of the
    dense operand. Its operand buffers hold *words*: as many beats as one step of unpacking yields.

    Parameters
    ----------
    array
        Formats, lanes, k_max, rows and columns, and the kind of output stages. Its accumulator must have 64
        bits at most, its dense operand no outliers.
    axi_bits
        Width of the three AXI4-Streams: 32, 64, 128, 256 or 512.
    block_tiles
        Row tiles in a block, 1..64. The dense operand is fetched once per block, so this sets its reuse.
    m_max, n_max
        The most rows of the SQ operand and of the dense operand, up to 65536.
    output_stages
        Results converted to floating point at a time: per cycle or, by serial stages, every 34 cycles. A
        power of two that divides the columns, and whose float32 results fit in one word of the stream.
    unpacking
        ``"parallel"``: a word of each stream per cycle. ``"serial"``: a byte per cycle, in a fraction of the
        gates.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    array: ArrayConfig
    axi_bits: int = 128
    block_tiles: int = 8
    m_max: int = 4096
    n_max: int = 4096
    output_stages: int = 4
    unpacking: str = "parallel"

    def __post_init__(self) -> None:
        if not isinstance(self.array, ArrayConfig):
            raise TypeError(f"Array configuration must be an ArrayConfig, not {self.array!r}")
        check_int("Dense outliers of an engine", self.pe.dense.outliers, 0, 0)
        check_choice("AXI bits", self.axi_bits, AXI_WIDTHS)
        check_choice("Unpacking", self.unpacking, ("parallel", "serial"))
        check_int("Block tiles", self.block_tiles, 1, 64)
        check_int("M_max", self.m_max, 1, SIZE_LIMIT)
        check_int("N_max", self.n_max, 1, SIZE_LIMIT)
        check_int("Output stages", self.output_stages, 1, self.axi_bits // 32, power_of_two=True)
        if self.array.columns % self.output_stages:
            raise ValueError(
                f"Output stages must divide the columns ({self.array.columns}), not {self.output_stages!r}"
            )
        if self.pe.acc_bits > _RAW_BITS:
            raise ValueError(f"Accumulator must have 64 bits at most, not {self.pe.acc_bits}: lower K_max")

    @property
    def pe(self) -> PEConfig:
        return self.array.pe

    @property
    def axi_bytes(self) -> int:
        return self.axi_bits // 8

    @property
    def scales_per_word(self) -> int:
        """Row scales in one word of a stream."""
        return self.axi_bits // _SCALE_BITS

    @property
    def sq_banks_per_word(self) -> int:
        """Banks that are unpacked in one step: enough to keep up with the stream, and whole bytes."""
        banks = 1
        while banks * self.pe.sq.bank_bits < self.axi_bits or banks * self.pe.sq.bank_bits % 8:
            banks *= 2
        return banks

    @property
    def sq_beats_per_word(self) -> int:
        return self.sq_banks_per_word * self.pe.beats_per_bank

    @property
    def dense_beats_per_word(self) -> int:
        """Beats that are unpacked in one step: enough to keep up with the stream, of one group."""
        dense, lanes = self.pe.dense, self.pe.lanes
        beats = 1
        # At least a byte, so that every step takes whole bytes.
        while beats * lanes * dense.bits < max(self.axi_bits, 8):
            beats *= 2
        if dense.group is None:
            return beats
        fit = gcd(dense.group // lanes, beats)  # a power of two, as `beats` is
        return fit

    @property
    def sq_block_words(self) -> int:
        """Words per row of one block."""
        return self.block_tiles * -(-self.pe.banks_max // self.sq_banks_per_word)

    @property
    def dense_tile_words(self) -> int:
        """Words per column of one tile."""
        return -(-self.beats_max // self.dense_beats_per_word)

    @property
    def beats_max(self) -> int:
        """Beats of the longest dot product."""
        return self.pe.banks_max * self.pe.beats_per_bank

    @property
    def buffer_bits(self) -> int:
        """Bits of the operand buffers."""
        from .layouts import dense_word_layout, sq_word_layout  # they need this module

        sq = 2 * self.sq_block_words * self.array.rows * sq_word_layout(self).size
        dense = 2 * self.dense_tile_words * self.array.columns * dense_word_layout(self).size
        return sq + dense

    def beats(self, k: int) -> int:
        """Beats of a dot product of `k` elements."""
        return self.pe.sq.banks(k) * self.pe.beats_per_bank

    def passes(self, m: int) -> int:
        """How often the dense operand is fetched for `m` rows of the SQ operand."""
        return -(-m // (self.array.rows * self.block_tiles))


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
    "2x2": EngineConfig(ArrayConfig(PEConfig(k_max=2048), rows=2, columns=2), output_stages=2),
    "8x8": EngineConfig(ArrayConfig(PEConfig(k_max=2048), rows=8, columns=8)),
}
"""Design points by name. ``tiny``: the smallest useful engine. ``2x2``: with units and streams of
``8x8``, for short simulations. ``8x8``: 64 units of 16 lanes, 1,024 multiply-accumulates per cycle."""


def engine_preset(name: str) -> EngineConfig:
    """Returns the engine called `name`; raises ValueError if there is none."""
    if name not in ENGINE_PRESETS:
        raise ValueError(f"Engine preset must be one of {', '.join(ENGINE_PRESETS)}, not {name!r}")
    return ENGINE_PRESETS[name]
