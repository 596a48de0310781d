"""What an array and a matrix engine are made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal

from sw_reference.checks import check_choice, check_int, plain_numbers
from sw_reference.format import SQFormat

from .pe import K_LIMIT, PEConfig

__all__ = [
    "AXI_WIDTHS",
    "DENSE_OUTLIERS_MAX",
    "RAW_BITS",
    "SIDE_MAX",
    "SIZE_LIMIT",
    "ArrayConfig",
    "EngineConfig",
    "check_encoded",
]

SIDE_MAX = 16
"""The most rows, and the most columns, of an array."""
SIZE_LIMIT = 1 << 16
"""No engine takes more rows of either operand than this."""
AXI_WIDTHS = (32, 64, 128, 256, 512, 1024)
DENSE_OUTLIERS_MAX = 31
"""The most outliers of the dense operand that an engine can tell of itself."""
RAW_BITS = 64
"""Width of an exact sum as an engine returns it."""
_SCALE_BITS = 32
_NUMBER_BITS = {"fp16": 16, "bf16": 16, "float32": 32}


def check_encoded(sq: SQFormat) -> None:
    """Raises ValueError unless an encoder writes the format: mask "index", bank scales with a sign."""
    check_choice("Mask", sq.mask, ("index",), of="an encoder")
    check_choice("Sign of the bank scale", sq.bank_scale.signed, (True,), of="an encoder")
    check_int("Outliers", sq.outliers, 1, sq.segment_size)


@dataclass(frozen=True)
class ArrayConfig:
    """Parameters of an array.

    Parameters
    ----------
    pe
        Formats, lanes and k_max, the same for every unit.
    rows, columns
        Rows of the SQ operand and columns of the dense operand that one tile holds, 1..16 each.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    pe: PEConfig
    rows: int
    columns: int

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.pe, PEConfig):
            raise TypeError(f"PE configuration must be a PEConfig, not {self.pe!r}")
        check_int("Rows", self.rows, 1, SIDE_MAX)
        check_int("Columns", self.columns, 1, SIDE_MAX)


@dataclass(frozen=True)
class EngineConfig:
    """Parameters of a matrix engine.

    The engine keeps two *blocks* of the SQ operand (one in use, one being loaded) and two *tiles* of the
    dense operand. Its operand buffers hold *words*: as many beats as one step of unpacking yields.

    Parameters
    ----------
    array
        Formats, lanes, k_max, rows and columns, and the kind of output stages. Its accumulator must have 64
        bits at most. Its dense operand has no outliers, or up to 31 by index, in banks as those of the SQ
        operand.
    axi_bits
        Width of the three AXI4-Streams: 32, 64, 128, 256, 512 or 1024.
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
    encoder
        Elements of X that are encoded per cycle, a power of two up to the segment and to the numbers in a
        word: X may come as rows of numbers, too. None: only packed.
    input
        What such rows are made of: ``"fp16"``, ``"bf16"`` or ``"float32"``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    array: ArrayConfig
    axi_bits: Literal[32, 64, 128, 256, 512, 1024] = 128
    block_tiles: int = 8
    m_max: int = 4096
    n_max: int = 4096
    output_stages: int = 4
    unpacking: Literal["parallel", "serial"] = "parallel"
    encoder: int | None = None
    input: Literal["fp16", "bf16", "float32"] = "fp16"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.array, ArrayConfig):
            raise TypeError(f"Array configuration must be an ArrayConfig, not {self.array!r}")
        self._check_dense()
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
        if self.pe.acc_bits > RAW_BITS:
            raise ValueError(f"Accumulator must have 64 bits at most, not {self.pe.acc_bits}: lower K_max")
        check_choice("Input", self.input, tuple(_NUMBER_BITS))
        if self.encoder is None:
            check_choice("Input", self.input, ("fp16",), of="an engine without an encoder")
        else:
            check_encoded(self.pe.sq)
            most = min(self.pe.sq.segment_size, self.numbers_per_word)
            check_int("Encoder", self.encoder, 1, most, power_of_two=True)

    def _check_dense(self) -> None:
        """Raises ValueError unless groups are whole beats, as are banks of outliers, if there are any."""
        sq, dense = self.pe.sq, self.pe.dense
        check_int("Groups in a beat of an engine", self.pe.beat_groups, 1, 1)
        if not dense.has_index:
            check_int("Dense outliers of an engine", dense.outliers, 0, 0)
            return
        check_int("Dense outliers of an engine", dense.outliers, 1, DENSE_OUTLIERS_MAX)
        check_choice("Dense bank", dense.bank, (sq.bank,), of="an engine")
        check_int("Group", dense.group, sq.bank, K_LIMIT, power_of_two=True)

    @property
    def unlisted(self) -> frozenset[str]:
        """Fields that have their usual value and go without saying."""
        usual = {"encoder": None, "input": "fp16"}
        return frozenset(name for name, value in usual.items() if getattr(self, name) == value)

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
    def numbers_per_word(self) -> int:
        """Numbers of a row in one word of a stream."""
        return self.axi_bits // _NUMBER_BITS[self.input]

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
    def dense_groups_per_word(self) -> int:
        """Whole groups that are unpacked in one step, where one is shorter than a word of the stream, or no
        whole bytes.

        They fill two words, so that the last step of a row, which may take one group, costs the stream
        nothing in rows of more than one step. A step is 1 group or a part of it where groups are longer, or
        no power of two.
        """
        group = self.pe.dense.group
        if group is None or group & (group - 1):
            return 1
        dense, groups = self.pe.dense, 1
        bits = (
            group // dense.bank * dense.bank_bits if dense.bank else group * dense.bits
        ) + dense.group_bits
        while (bits < self.axi_bits and groups * bits < 2 * self.axi_bits) or groups * bits % 8:
            groups *= 2
        return groups

    @property
    def dense_beats_per_word(self) -> int:
        """Beats that are unpacked in one step: enough to keep up with the stream."""
        dense, lanes = self.pe.dense, self.pe.lanes
        if dense.group is not None and (self.dense_groups_per_word > 1 or dense.has_index):
            return self.dense_groups_per_word * (dense.group // lanes)
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
        return self.pe.beats_max

    def beats(self, k: int) -> int:
        """Beats of a dot product of `k` elements."""
        return self.pe.sq.banks(k) * self.pe.beats_per_bank

    def passes(self, m: int) -> int:
        """How often the dense operand is fetched for `m` rows of the SQ operand."""
        return -(-m // (self.array.rows * self.block_tiles))
