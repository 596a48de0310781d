"""The product of an SQ operand and a dense operand: exact accumulators and the float32 result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.exact import exact_matmul
from sw_reference.format import accumulator_bits, check_pair, unit_exponent
from sw_reference.rounding import round_result
from sw_reference.split import dense_integers, split
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["Product", "check_operands", "multiply", "round_result"]


@dataclass(frozen=True, eq=False)
class Product:
    """What ``multiply`` returns.

    Parameters
    ----------
    acc
        [m, n], exact, in units of row scales * 2**unit_exponent: int64 where `acc_bits` is at most 64, else
        an object array of Python integers.
    y
        float32[m, n].
    acc_bits
        Width of a two's complement accumulator that holds any result of these formats and this K.
    """

    acc: NDArray[Any]
    y: NDArray[np.float32]
    acc_bits: int


def check_operands(sq: Any, dense: Any) -> None:
    """Raises TypeError unless these are an SQ and a dense operand, ValueError unless they fit together."""
    for name, value, kind, maker in (
        ("First", sq, SQTensor, "quantize_sq(x, SQFormat())"),
        ("Second", dense, DenseTensor, "quantize_dense(w, DenseFormat())"),
    ):
        if not isinstance(value, kind):
            swapped = ", the operands are swapped" if isinstance(value, SQTensor | DenseTensor) else ""
            raise TypeError(
                f"{name} operand must be a tensor of {kind.__name__}, as {maker} makes one, "
                f"not {type(value).__name__}{swapped}"
            )
    check_pair(sq.format, dense.format)
    if sq.k != dense.k:
        raise ValueError(f"Both operands must have the same K, not {sq.k} and {dense.k}")


def multiply(sq: SQTensor, dense: DenseTensor) -> Product:
    """Returns sq @ dense.T, for sq [m, k] and dense [n, k].

    Raises
    ------
    TypeError
        If an operand is something else.
    ValueError
        If the operands' K differ, or their groups and banks do not nest.
    """
    check_operands(sq, dense)
    parts = split(sq)
    elements = np.add(parts.low, parts.high, out=parts.low)[:, : sq.k]
    bits = accumulator_bits(sq.format, dense.format, sq.k)
    acc = exact_matmul(
        elements, dense_integers(dense), sq.format.element_bound, dense.format.element_bound, bits
    )
    exponent = unit_exponent(sq.format, dense.format)
    return Product(acc, round_result(acc, sq.row_scale, dense.row_scale, exponent), bits)
