"""FP16 x FP16 dot products with float32 sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ...arith.bit_heap import BitHeap
from ...arith.pipeline import delay, register
from .float_add import FloatAdd, float_layout, mask_float

__all__ = ["FP16_BITS", "FP16Decode", "FP16Dot", "decoded_layout"]

FP16_BITS = 16
_FRACTION_BITS = 10
_NORMAL = 9
"""A normal number with exponent field e has its leading bit at 2**(e + _NORMAL - 24)."""
_EXPONENT = unsigned(7)
"""Leading bits from 2**-48, a product of subnormals, to 2**52, the sum of 2**20 largest products."""
_UNIT_EXPONENT = 127 - 48
"""float32's exponent field of a number whose exponent is 0 here."""


def _fp16_layout() -> data.StructLayout:
    """IEEE 754 binary16."""
    return data.StructLayout({"fraction": _FRACTION_BITS, "exponent": 5, "sign": 1})


def decoded_layout() -> data.StructLayout:
    """``(-1)**sign * significand * 2**(exponent - 34)``, unless ``infinite`` or ``nan``.

    The top bit of ``significand`` is set, so the number's leading bit is 2**(exponent - 24); only zero has
    significand 0, and its exponent means nothing.
    """
    return data.StructLayout(
        {"significand": _FRACTION_BITS + 1, "exponent": 6, "sign": 1, "infinite": 1, "nan": 1}
    )


class FP16Decode(wiring.Component):
    """Decodes ``lanes`` FP16 numbers. Combinational.

    An array has one per row and column.

    Parameters
    ----------
    lanes : int
        Numbers, 1..128.

    Members
    -------
    i : In(ArrayLayout(16, lanes))
        FP16 codes.
    o : Out(ArrayLayout(decoded_layout(), lanes))

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is out of its range.
    """

    latency = 0

    def __init__(self, lanes: int):
        check_int("Lanes", lanes, 1, 128)
        self._lanes = lanes
        super().__init__(
            {
                "i": In(data.ArrayLayout(FP16_BITS, lanes)),
                "o": Out(data.ArrayLayout(decoded_layout(), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(self._lanes):
            self._decode(m, data.View(_fp16_layout(), self.i[lane]), self.o[lane], name=f"lane{lane}")
        return m

    def _decode(self, m: Module, i: data.View, o: data.View, *, name: str) -> None:
        normal, special = i.exponent.any(), i.exponent.all()
        value: Value = Cat(i.fraction, normal)
        count = []
        for bits in (8, 4, 2, 1):
            take = Signal(1, name=f"{name}_take_{bits}")
            shifted = Signal(_FRACTION_BITS + 1, name=f"{name}_normal_{bits}")
            m.d.comb += [
                take.eq(~value[len(value) - bits :].any()),
                shifted.eq(Mux(take, value << bits, value)),
            ]
            count.append(take)
            value = shifted
        m.d.comb += [
            o.significand.eq(value),
            o.exponent.eq(Mux(normal, i.exponent + _NORMAL, _NORMAL + 1 - Cat(reversed(count)))),
            o.sign.eq(i.sign),
            o.infinite.eq(special & ~i.fraction.any()),
            o.nan.eq(special & i.fraction.any()),
        ]


class FP16Dot(wiring.Component):
    """Float32 sum of FP16 products, by a tree of float32 additions and a float32 accumulator.

    Every product is exact (22 bits). Neighbouring lanes are added first, and so on in a binary tree; its root
    is added to the accumulator, which starts from +0. Every addition rounds to nearest, ties to even. Sums of
    FP16 products are multiples of 2**-48 and, up to 2**20 products, below 2**53: float32's subnormals and
    overflow cannot occur, and Inf or NaN come from operands alone, so two flags take them past the additions.

    A register follows the products and each addition, so the clock period is that of one whole addition, also
    in the accumulator's loop: it is closed in one cycle, and dot products need not be interleaved.

    Latency: :attr:`latency` cycles, from a beat to ``acc`` with it. Throughput: one beat per cycle; it never
    stops. No combinational path.

    Parameters
    ----------
    lanes : int
        Products per cycle; a power of two, 1..128.

    Members
    -------
    a, b : In(ArrayLayout(decoded_layout(), lanes))
        In cycle 0.
    valid : In(1)
        In cycle :attr:`latency` - 1: the beat counts.
    clear : In(1)
        In the same cycle: the beat is the first of its dot product.
    acc : Out(32)
        float32, up to the beat of :attr:`latency` cycles ago. Zero is +0, NaN is 0x7FC00000.

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is out of its range.
    """

    def __init__(self, lanes: int = 16):
        check_int("Lanes", lanes, 1, 128, power_of_two=True)
        self._lanes = lanes
        operand = data.ArrayLayout(decoded_layout(), lanes)
        super().__init__({"a": In(operand), "b": In(operand), "valid": In(1), "clear": In(1), "acc": Out(32)})

    @property
    def latency(self) -> int:
        return _latency(self._lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numbers, infinities = [], []
        for lane in range(self._lanes):
            number, infinite = self._product(m, lane)
            numbers.append(register(m, number, name=f"product{lane}"))
            infinities.append(infinite)
        level = 0
        while len(numbers) > 1:
            numbers = [
                self._sum(m, *pair, name=f"level{level}_{index}")
                for index, pair in enumerate(zip(numbers[::2], numbers[1::2], strict=True))
            ]
            level += 1
        either = Cat(Cat(lane[sign] for lane in infinities).any() for sign in range(2))
        self._accumulate(m, numbers[0], delay(m, either, level + 1, name="infinities"))
        return m

    def _product(self, m: Module, lane: int) -> tuple[data.View, Cat]:
        """Returns the product, and whether it is +Inf and whether it is -Inf: both for NaN."""
        a, b = self.a[lane], self.b[lane]
        heap = BitHeap(m, unsigned(22), name=f"lane{lane}")
        heap.add_booth(a.significand, Cat(b.significand, Const(0, 1)).as_signed())  # 830 GE; plain ANDs 915
        product = heap.sum()
        number = Signal(float_layout(_EXPONENT), name=f"lane{lane}_number")
        # The product of two numbers in 1..2 lies in 1..4.
        two = product[-1]
        nonzero = two | product[-2]
        m.d.comb += [
            number.significand.eq(Cat(Const(0, 2), Mux(two, product, product << 1)[:22])),
            number.exponent.eq(Mux(nonzero, a.exponent + b.exponent + two, 0)),
            number.sign.eq(a.sign ^ b.sign),
        ]
        infinite = a.infinite | b.infinite
        zero = ~(a.significand[-1] & b.significand[-1])
        nan = a.nan | b.nan | (infinite & zero)
        return number, Cat(nan | (infinite & ~number.sign), nan | (infinite & number.sign))

    def _sum(self, m: Module, a: data.View, b: data.View, *, name: str) -> data.View:
        m.submodules[name] = add = FloatAdd(_EXPONENT, _EXPONENT, _EXPONENT)
        m.d.comb += [add.a.eq(a), add.b.eq(b)]
        return register(m, add.o, name=name)

    def _accumulate(self, m: Module, term: data.View, infinities: Signal) -> None:
        m.submodules.accumulator = add = FloatAdd(_EXPONENT, _EXPONENT, _EXPONENT)
        total = Signal(float_layout(_EXPONENT), reset_less=True)
        infinite = Signal(2, reset_less=True)
        held, taken = Mux(self.clear, 0, infinite), Mux(self.valid, infinities, 0)
        m.d.comb += [add.a[name].eq(value) for name, value in mask_float(total, ~self.clear).items()]
        m.d.comb += [add.b[name].eq(value) for name, value in mask_float(term, self.valid).items()]
        m.d.sync += [total.eq(add.o), infinite.eq(held | taken)]

        nonzero = total.significand[-1]
        fraction = Mux(infinite.any(), Cat(Const(0, 22), infinite.all()), total.significand[:-1])
        exponent = Mux(nonzero, total.exponent + _UNIT_EXPONENT, 0)[:8] | infinite.any().replicate(8)
        sign = Mux(infinite.any(), infinite[1] & ~infinite[0], total.sign & nonzero)
        m.d.comb += self.acc.eq(Cat(fraction, exponent, sign))


def _latency(lanes: int) -> int:
    """Product, levels of the tree, accumulator."""
    return 1 + (lanes.bit_length() - 1) + 1
