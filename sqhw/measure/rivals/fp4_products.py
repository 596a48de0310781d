"""Products of FP4 (E2M1) numbers for a bit heap."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Value

from ...arith.bit_heap import BitHeap
from .products import named

__all__ = ["FP4_BITS", "FP4_PRODUCT_MAX", "PRODUCT_BITS", "add_fp4_product", "add_sign_magnitude"]

FP4_BITS = 4
FP4_PRODUCT_MAX = 144
"""12 * 12: FP4 numbers are 0, 1, 2, 3, 4, 6, 8 and 12 halves, with a sign."""
PRODUCT_BITS = 8


def add_fp4_product(m: Module, heap: BitHeap, a: Any, b: Any, *, name: str) -> None:
    """Adds ``4 * a * b`` for two FP4 codes to a heap.

    A number is a mantissa of two bits and one of three shifts, so the product is that of two mantissas at one
    of five places, and its sign an XOR. 16 lanes and their sum take 2,255 GE. The alternatives: 2,284 with
    one shift after the other; 2,301 with a binary sum of the shifts; 2,352 with the sign applied before the
    shifts; 2,491 from a table; 2,716 with shifted mantissas multiplied; 4,238 as products of two's complement
    integers, 4,406 with Booth digits.
    """
    a, b = Value.cast(a), Value.cast(b)
    mantissas = [Cat(code[0], code[1] | code[2]) for code in (a, b)]
    product = named(m, _product(*mantissas), f"{name}_product")
    sign = named(m, a[3] ^ b[3], f"{name}_sign")
    placed: Value = Value.cast(0)
    for shift, one in enumerate(_shifts(a, b)):
        one = named(m, one, f"{name}_shift{shift}")
        placed = placed | (product << shift) & one.replicate(PRODUCT_BITS)
    add_sign_magnitude(heap, named(m, placed[:PRODUCT_BITS], f"{name}_placed"), sign, arrival=5)


def add_sign_magnitude(heap: BitHeap, product: Value, sign: Value, *, arrival: int) -> None:
    """Adds a product of :data:`PRODUCT_BITS` bits, negated if the sign is set, to a heap.

    Its bits come after so many levels of gates, its sign after one.
    """
    for column in range(PRODUCT_BITS):
        heap.add_bit(product[column] ^ sign, column, arrival=arrival)
    # Completes the two's complement: with the sign s it is -s * 256 + (product ^ s) + s.
    heap.add_bit(sign, 0, arrival=1)
    heap.add_bit(sign, PRODUCT_BITS, negative=True, arrival=1)


def _product(a: Value, b: Value) -> Value:
    """Returns the product of two mantissas, 0 to 9."""
    odd, two = a[0] & b[0], a[1] & b[1]
    return Cat(odd, (a[1] & b[0]) ^ (a[0] & b[1]), two & ~odd, two & odd)


def _shifts(a: Value, b: Value) -> list[Value]:
    """Returns by how many places, 0 to 4 as a one-hot code, the mantissas' product is shifted left."""
    (a0, a1, a2), (b0, b1, b2) = ([~code[2], code[2] & ~code[1], code[2] & code[1]] for code in (a, b))
    return [a0 & b0, a0 & b1 | a1 & b0, a0 & b2 | a1 & b1 | a2 & b0, a1 & b2 | a2 & b1, a2 & b2]
