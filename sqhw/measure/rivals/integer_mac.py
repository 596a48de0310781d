"""Integer dot products: INT4 x INT4 to INT8 x INT8, with the scaling that their use needs."""

from __future__ import annotations

from typing import Any, Literal

from amaranth.hdl import Module, Mux, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_choice, check_int
from sw_reference.format import DenseFormat

from ...arith.accumulator import Accumulator
from ...arith.bit_heap import BitHeap
from ...arith.pipeline import register, signed_range
from ...pe.dense_lanes import DenseLanes, pair_picks, pair_sums, picks_layout, sums_layout
from .products import K_LIMIT, add_signed_product

__all__ = ["IntegerMAC", "PairPicks", "PairSums", "PairedMAC"]

_GROUP_SCALE_FRACTION_BITS = 3
_GROUP_SCALE_SIGNIFICAND_MAX = 15


class IntegerMAC(wiring.Component):
    """``acc = sum over beats of group_scale * sum(a * b)``, exact.

    INT4 weights need a scale per group of elements, as the SQ unit's dense operand has: the e3m3 integer
    (8 + m) * 2**e, or an integer of 8 bits. INT8 and INT6 weights do with a scale per row, which the output
    stage applies.

    The scale multiplies the narrow sum of every beat, before the only accumulator. The alternative, to scale
    the sum of a group, needs a second accumulator: at 16 lanes 3,397 against 3,096 GE for INT4 x INT4 and
    5,927 against 5,560 for INT4 x INT8, at 32 lanes 5,631 against 5,361 and 10,379 against 10,046 (with plain
    products, groups of 64). The shift by e follows the product's register, which saves seven flip-flops and
    leaves the lanes' sum the longest path.

    Latency: :attr:`latency` cycles, from a beat to ``acc`` with it. Throughput: one beat per cycle; it never
    stops. No combinational path.

    Parameters
    ----------
    a_bits, b_bits : int
        Width of the two operands' two's complement elements: 4, 6 or 8.
    lanes : int
        Products per cycle, 1..128.
    group : int, optional
        Elements per group scale, a multiple of ``lanes``; None for none. With linear8 scales a beat may have
        several groups, too.
    scale : "e3m3" or "linear8"
        The group scale's format.
    k_max : int
        The longest dot product; it sets the accumulator's width.

    Members
    -------
    a, b : In(ArrayLayout(signed, lanes))
        In cycle 0. Every code is legal, the most negative included.
    group_scale : In(6 or 8)
        In cycle 1: e3m3 has fraction m in the lower half, exponent e in the upper. Only with group scales; an
        array of those of a beat's groups, if it has several.
    valid : In(1)
        In cycle 1: the beat counts.
    clear : In(1)
        In cycle :attr:`latency` - 1: the beat is the first of its dot product.
    acc : Out(signed)
        The sum up to the beat of :attr:`latency` cycles ago. Registered.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(
        self,
        a_bits: int = 4,
        b_bits: int = 4,
        lanes: int = 16,
        group: int | None = None,
        scale: Literal["e3m3", "linear8"] = "e3m3",
        k_max: int = 4096,
    ):
        check_choice("A bits", a_bits, (4, 6, 8))
        check_choice("B bits", b_bits, (4, 6, 8))
        check_int("Lanes", lanes, 1, 128)
        check_choice("Group scale", scale, ("e3m3", "linear8"))
        if group is not None:
            check_int("Group", group, 4 if scale == "linear8" else lanes, 65536)
            if group % lanes and lanes % group:
                raise ValueError(f"Group must be a multiple of the lanes ({lanes}), not {group!r}")
        check_int("K_max", k_max, lanes, K_LIMIT)
        weights = DenseFormat(4, group, scale=scale)
        self._scale = scale
        self._groups = max(1, lanes // (group or lanes))
        self._lanes = lanes // self._groups
        self._group = group
        self._sum_bound = self._lanes << (a_bits + b_bits - 2)
        self._bound = -(-k_max // lanes) * self._groups * self._sum_bound * weights.group_scale_max
        ports: dict[str, Any] = {
            **self._operands(a_bits, b_bits, lanes),
            "valid": In(1),
            "clear": In(1),
            "acc": Out(signed_range(self._bound)),
        }
        if group:
            scales = unsigned(weights.group_scale_bits)
            ports["group_scale"] = In(scales if self._groups == 1 else data.ArrayLayout(scales, self._groups))
        super().__init__(ports)

    @staticmethod
    def _operands(a_bits: int, b_bits: int, lanes: int) -> dict[str, Any]:
        return {
            "a": In(data.ArrayLayout(signed(a_bits), lanes)),
            "b": In(data.ArrayLayout(signed(b_bits), lanes)),
        }

    @property
    def latency(self) -> int:
        return 3 if self._group else 2

    @property
    def bound(self) -> int:
        """Largest magnitude of ``acc``."""
        return self._bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = [
            Mux(self.valid, self._sum(m, group, str(group) if self._groups > 1 else ""), 0)
            for group in range(self._groups)
        ]
        term = self._scaled(m, sums) if self._group else sums[0]
        m.submodules.accumulator = accumulator = Accumulator([term.shape()], len(self.acc))
        m.d.comb += [
            accumulator.terms["0"].eq(term),
            accumulator.clear.eq(self.clear),
            self.acc.eq(accumulator.o),
        ]
        return m

    def _sum(self, m: Module, group: int, tag: str) -> Any:
        """Returns the sum of the products of a group in a beat one cycle later; names end in `tag`."""
        heap = BitHeap(m, signed_range(self._sum_bound), name=f"lanes{tag}")
        for lane in range(group * self._lanes, (group + 1) * self._lanes):
            add_signed_product(heap, self.a[lane], self.b[lane])
        return register(m, heap.sum(), name=f"sum{tag}")

    def _scaled(self, m: Module, sums: list[Any]) -> Any:
        """Returns the sums times their group scales, added up, one cycle later."""
        if self._scale == "linear8":
            scales = [self.group_scale] if self._groups == 1 else list(self.group_scale)
            bound = self._groups * self._sum_bound * ((1 << len(scales[0])) - 1)
            heap = BitHeap(m, signed_range(bound), name="product")
            for value, scale in zip(sums, scales, strict=True):
                heap.add_product(value, scale)
            return register(m, heap.sum(), name="product")
        (beat,) = sums
        fraction, exponent = (
            self.group_scale[:_GROUP_SCALE_FRACTION_BITS],
            self.group_scale[_GROUP_SCALE_FRACTION_BITS:],
        )
        heap = BitHeap(m, signed_range(self._sum_bound * _GROUP_SCALE_SIGNIFICAND_MAX), name="product")
        heap.add(beat, column=_GROUP_SCALE_FRACTION_BITS)
        heap.add_product(beat, fraction)
        return register(m, heap.sum(), name="product") << register(m, exponent, name="exponent")


def _row_layout(bits: int, lanes: int) -> data.StructLayout:
    low = data.ArrayLayout(signed(bits), lanes)
    return data.StructLayout({"low": low, "sums": sums_layout(lanes, bits)})


class PairSums(wiring.Component):
    """Adds the sums of neighbours to the elements of a row operand: once per row. Combinational.

    Members
    -------
    i : In(ArrayLayout(signed(bits), lanes))
    o : Out(StructLayout)
        ``low``, the elements, and ``sums``.
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__({"i": In(data.ArrayLayout(signed(bits), lanes)), "o": Out(_row_layout(bits, lanes))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.low.eq(self.i)
        m.d.comb += [out.eq(value) for out, value in zip(self.o.sums, pair_sums(self.i), strict=True)]
        return m


class PairPicks(wiring.Component):
    """Turns the elements of a column operand into choices among pairs: once per column. Combinational.

    Members
    -------
    i : In(ArrayLayout(signed(bits), lanes))
    o : Out(picks_layout(lanes, bits))
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__(
            {"i": In(data.ArrayLayout(signed(bits), lanes)), "o": Out(picks_layout(lanes, bits))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for pair, bits in enumerate(pair_picks(self.i)):
            for bit, pick in enumerate(bits):
                m.d.comb += [self.o[pair][bit][name].eq(value) for name, value in pick.items()]
        return m


class PairedMAC(IntegerMAC):
    """:class:`IntegerMAC` with the SQ unit's dense lanes: what neither knows of outliers may have as well.

    Members are those of IntegerMAC but for ``a``, which is the output of :class:`PairSums`, and ``b``, that
    of :class:`PairPicks`.
    """

    @staticmethod
    def _operands(a_bits: int, b_bits: int, lanes: int) -> dict[str, Any]:
        return {"a": In(_row_layout(a_bits, lanes)), "b": In(picks_layout(lanes, b_bits))}

    def _sum(self, m: Module, group: int, tag: str) -> Any:
        a_bits, b_bits = (len(codes[0]) for codes in (self.a.low, self.b))
        m.submodules[f"dense_lanes{tag}"] = lanes = DenseLanes(self._lanes, b_bits, a_bits)
        for port, values in ((lanes.low, self.a.low), (lanes.sums, self.a.sums), (lanes.picks, self.b)):
            bits = Value.cast(values)
            m.d.comb += port.eq(bits[group * (width := len(bits) // self._groups) :][:width])
        return lanes.o
