"""What a processing element is made of: one frozen configuration, presets by name, derived widths."""

from __future__ import annotations

from dataclasses import dataclass

from sw_reference.checks import check_choice, check_int
from sw_reference.format import DenseFormat, SQFormat, accumulator_bits, check_pair

__all__ = ["K_LIMIT", "PRESETS", "PEConfig", "preset"]

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
        that a bank is one beat or several.
    outlier_lanes
        High-code multipliers: the outliers of one beat that are taken in one cycle; from 1 to the
        most outliers a beat can hold, and 0 exactly when the format has no outliers.
    k_max
        The longest dot product, in elements; it sets the accumulator's width. From one bank to 2**20.
        A dot product is whole banks of both operands.
    gated
        Whether the outlier lanes' operand registers hold while there is no outlier. An ungated lane
        multiplies zeros instead; it exists to be measured against. With INT8 codes it switches no more.
    output
        ``"pipelined"``: an output stage that takes a sum every cycle. ``"serial"``: one with the same results
        and an eighth of the gates, but a sum every 32 cycles. It costs no throughput where dot products have
        at least 32 beats (K >= 32 * lanes), and holds the beats back where they are shorter.
    pipeline
        ``"short"``: few registers, for least area. ``"long"``: registers within sums, products and shifts,
        for FPGAs, where they stand idle otherwise; about three times the clock, and 14 to 20 cycles later.

    A dense operand with outliers of its own has as many lanes for them as a beat can hold: it never stalls.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    sq: SQFormat = SQFormat()
    dense: DenseFormat = DenseFormat(4, 64)
    lanes: int = 16
    outlier_lanes: int = 2
    k_max: int = 4096
    gated: bool = True
    output: str = "pipelined"
    pipeline: str = "short"

    def __post_init__(self) -> None:
        if not isinstance(self.sq, SQFormat):
            raise TypeError(f"SQ format must be an SQFormat, not {self.sq!r}")
        if not isinstance(self.dense, DenseFormat):
            raise TypeError(f"Dense format must be a DenseFormat, not {self.dense!r}")
        check_pair(self.sq, self.dense)
        check_int("Lanes", self.lanes, 1, self.sq.bank, power_of_two=True)
        check_int("Outlier lanes", self.outlier_lanes, min(1, self.slots), self.slots)
        check_int("K_max", self.k_max, self.sq.bank, K_LIMIT)
        check_choice("Output", self.output, ("pipelined", "serial"))
        check_choice("Pipeline", self.pipeline, ("short", "long"))

    @property
    def slots(self) -> int:
        """High codes that one beat can carry."""
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
    def shared_multiplier(self) -> bool:
        """Whether a bank's sum and its outlier take turns at one multiplier, shifter and adder.

        They do where a bank has one FP16 outlier and at least two beats, one for each of the two, and
        dense codes are small.
        """
        one = self.sq.high == "fp16" and self.sq.outliers == 1
        return one and self.beats_per_bank > 1 and self.dense.bits == 4 and not self.dense_slots

    def banks(self, k: int) -> int:
        """Banks of the SQ operand that a dot product of `k` elements takes: whole banks of both operands."""
        block = max(self.sq.bank, self.dense.bank or 0)
        return -(-k // block) * (block // self.sq.bank)

    @property
    def banks_max(self) -> int:
        """Banks of the longest dot product."""
        return self.banks(self.k_max)

    @property
    def acc_bits(self) -> int:
        """Width of the exact accumulator."""
        return accumulator_bits(self.sq, self.dense, self.banks_max * self.sq.bank)


PRESETS: dict[str, PEConfig] = {
    "default": PEConfig(),
    "compact": PEConfig(SQFormat(32, 2, "int8"), DenseFormat(4, 64), lanes=32, outlier_lanes=2),
    "tiny": PEConfig(
        SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=2048, output="serial"
    ),
    "fp16": PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 64), lanes=16, outlier_lanes=1),
    "wide": PEConfig(SQFormat(32, 2, "fp16"), DenseFormat(4, 64), lanes=32, outlier_lanes=1),
    "paper": PEConfig(SQFormat(16, 4, "int8", "sentinel"), DenseFormat(8), lanes=16, outlier_lanes=4),
}
"""Design points by name.

``default``: lowest perplexity for its bits and gates, 16 elements per bank, 2 INT8 outliers and a lane for
each; never stalls. ``compact``: fewest gates per multiplication, the same with 32 elements per bank.
``tiny``: the smallest useful one, a bank in two beats, a serial output stage. ``fp16``: 16 elements per bank,
1 FP16 outlier, which has a range of its own and leaves its bank's scale alone; never stalls. ``wide``: twice
the lanes for one FP16 outlier lane. ``paper``: the configuration of the paper's area claim, in-band mask,
s = 0.75, INT8 high codes and INT8 dense operand.
"""


def preset(name: str) -> PEConfig:
    """Returns the preset called `name`; raises ValueError if there is none."""
    if name not in PRESETS:
        raise ValueError(f"Preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]
