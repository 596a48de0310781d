"""What a processing element is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sw_reference.checks import check_choice, check_int, plain_numbers
from sw_reference.format import DenseFormat, SQFormat, accumulator_bits, unit_exponent

__all__ = ["K_LIMIT", "PEConfig"]

K_LIMIT = 1 << 20
"""No configuration asks for longer dot products than this."""


@dataclass(frozen=True)
class PEConfig:
    """Parameters of an SQ processing element.

    Parameters
    ----------
    sq, dense
        The formats of the two operands.
    lanes
        INT4 multipliers, which is also the elements of one beat; a power of two up to the bank, so
        that a bank is one beat or several. With an index mask a beat may also be several groups of the dense
        operand: a sum for each, with a scale of its own.
    outlier_lanes
        High-code multipliers: the outliers of one beat that are taken in one cycle; from 1 to the
        most outliers a beat can hold, and 0 exactly when the format has no outliers. With an index mask a
        beat has whole segments, and every slot a lane; outliers of the dense operand have an index mask
        then too, and a beat has whole banks of it.
    k_max
        The longest dot product, in elements; it sets the accumulator's width. From one bank to 2**20.
        A dot product is whole banks of both operands.
    output
        ``"pipelined"``: an output stage that takes a sum every cycle. ``"serial"``: one with the same results
        and an eighth of the gates, but a sum every 32 cycles. It costs no throughput where dot products have
        at least 32 beats (K >= 32 * lanes), and holds the beats back where they are shorter.
        Not with group offsets.
    pipeline
        ``"short"``: few registers, for least area. ``"long"``: registers within sums, products and shifts,
        for FPGAs, where they would be idle; about three times the clock, and 14 to 20 cycles later.
    multiplier
        What makes the products of dense lanes. ``"sums"``: selected bits in one sum, without multipliers.
        ``"dsp"``: DSP blocks of FPGAs, two lanes in each, with INT4 dense codes and a long pipeline; without
        group offsets, and beside an index mask without dense outliers.

    A dense operand with outliers of its own has as many lanes for them as a beat can hold: it never stalls.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    sq: SQFormat = SQFormat()
    dense: DenseFormat = DenseFormat(4, 64)
    lanes: int = 16
    outlier_lanes: int = 1
    k_max: int = 4096
    output: Literal["pipelined", "serial"] = "pipelined"
    pipeline: Literal["short", "long"] = "short"
    multiplier: Literal["sums", "dsp"] = "sums"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.sq, SQFormat):
            raise TypeError(f"SQ format must be an SQFormat, not {self.sq!r}")
        if not isinstance(self.dense, DenseFormat):
            raise TypeError(f"Dense format must be a DenseFormat, not {self.dense!r}")
        self._check_formats()
        check_int("Lanes", self.lanes, 1, self.sq.bank, power_of_two=True)
        if self.one_step:
            self._check_one_step()
        check_int("Outlier lanes", self.outlier_lanes, min(1, self.slots), self.slots)
        check_int("K_max", self.k_max, self.sq.bank, K_LIMIT)
        check_choice("Output", self.output, ("pipelined", "serial"))
        if self.dense.offset:  # a subnormal product is rounded twice then, which no serial stage does
            check_choice("Output", self.output, ("pipelined",), of="hardware with group offsets")
        check_choice("Pipeline", self.pipeline, ("short", "long"))
        check_choice("Multiplier", self.multiplier, ("sums", "dsp"))
        if self.multiplier == "dsp":
            self._check_dsp()

    def _check_formats(self) -> None:
        """Raises ValueError unless the hardware takes the two formats."""
        sq, dense = self.sq, self.dense
        if self.one_step:
            if dense.outliers:
                check_choice("Dense mask", dense.mask, ("index",), of="hardware with an index mask")
            if dense.group is not None:
                check_choice("Group scale", dense.scale, ("linear8",), of="hardware with an index mask")
            return
        check_choice("Dense mask", dense.mask, ("bitmap",), of="hardware without an index mask")
        check_choice("Offset", dense.offset, (False,), of="hardware without an index mask")
        check_choice("Scale", sq.scale, ("e5m3",), of="hardware without an index mask")
        check_choice("Segment", sq.segment_size, (sq.bank,), of="hardware without an index mask")
        if dense.group is None:
            return
        check_choice("Group scale", dense.scale, ("e3m3",), of="hardware without an index mask")
        for name, bank in (("bank", sq.bank), ("dense bank", dense.bank or 1)):
            if dense.group % bank:
                raise ValueError(f"Group must be a multiple of the {name} ({bank}), not {dense.group!r}")

    def _check_one_step(self) -> None:
        """Raises ValueError unless groups are whole beats, or a beat whole groups of whole segments.

        There is a lane for each slot. The dense operand's segments are its banks.
        """
        least = max(self.sq.segment_size, self.dense.bank or 0)
        check_int("Lanes", self.lanes, least, self.sq.bank, power_of_two=True)
        check_int("Outlier lanes", self.outlier_lanes, self.slots, self.slots)
        group = self.dense.group
        if group is not None and group % self.lanes and (self.lanes % group or group < least):
            limit = f"a multiple of the lanes ({self.lanes}), or a part of them of at least {least}"
            raise ValueError(f"Group must be {limit}, not {group!r}")

    def _check_dsp(self) -> None:
        """Raises ValueError unless DSP blocks can make the dense lanes' products."""
        of = "hardware with DSP blocks"
        check_choice("Pipeline", self.pipeline, ("long",), of=of)  # a block needs registers around it
        check_choice("Dense bits", self.dense.bits, (4,), of=of)  # wider codes leave no room for a pair
        check_choice("Offset", self.dense.offset, (False,), of=of)
        if self.one_step:
            check_int("Dense outliers beside an index mask and DSP blocks", self.dense.outliers, 0, 0)

    @property
    def unlisted(self) -> frozenset[str]:
        """The parameters that ``as_parameters`` leaves out."""
        return frozenset() if self.multiplier == "dsp" else frozenset({"multiplier"})

    @property
    def one_step(self) -> bool:
        """Whether every beat is one step, whatever it holds: with an index mask."""
        return self.sq.has_index

    @property
    def beat_groups(self) -> int:
        """Groups of the dense operand in one beat."""
        return max(1, self.lanes // (self.dense.group or self.lanes))

    @property
    def slots(self) -> int:
        """High codes that one beat can carry."""
        if self.sq.has_index:
            return self.sq.outliers * (self.lanes // self.sq.segment_size)
        return min(self.sq.outliers, self.lanes)

    @property
    def dense_slots(self) -> int:
        """High nibbles that one beat of the dense operand can carry; it has as many lanes."""
        if self.dense.bank is None:
            return 0
        return min(self.dense.outliers, self.lanes) * max(1, self.lanes // self.dense.bank)

    @property
    def beats_per_bank(self) -> int:
        return self.sq.bank // self.lanes

    @property
    def steps(self) -> int:
        """Cycles that the fullest beat takes."""
        return max(1, -(-self.slots // max(1, self.outlier_lanes)))

    def banks(self, k: int) -> int:
        """Banks of the SQ operand that a dot product of `k` elements takes: whole banks of both operands."""
        block = max(self.sq.bank, self.dense.bank or 0)
        return -(-k // block) * (block // self.sq.bank)

    @property
    def banks_max(self) -> int:
        """Banks of the longest dot product."""
        return self.banks(self.k_max)

    @property
    def beats_max(self) -> int:
        """Beats of the longest dot product."""
        return self.banks_max * self.beats_per_bank

    @property
    def unit(self) -> int:
        """Sums are in units of both row scales' product times 2**unit."""
        return unit_exponent(self.sq, self.dense)

    @property
    def acc_bits(self) -> int:
        """Width of the exact accumulator."""
        return accumulator_bits(self.sq, self.dense, self.banks_max * self.sq.bank)
