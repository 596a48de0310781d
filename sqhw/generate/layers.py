"""A model's linear layers as operands, in the codes of its checkpoint or in SQ-format.

Layers that take the same activations, such as query, key and value, are one operand, one below the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.checkpoints.imported import CodedMatrix
from sw_reference.format import DenseFormat, SQFormat, accumulator_bits, unit_exponent
from sw_reference.llm import LAYERS, Model, ModelConfig
from sw_reference.llm.reproducible import REPRODUCIBLE
from sw_reference.notation import format_text
from sw_reference.quantize import quantize_dense
from sw_reference.rounding import round_result
from sw_reference.split import dense_integers, split
from sw_reference.tensors import DenseTensor, SQTensor

from ..config import PEConfig

__all__ = ["Elements", "Layer", "coded_head", "coded_layers", "formats", "head_name", "load"]

_EXACT_BITS = 54
"""Sums that fit a two's complement number of so many bits are exact in float64, in whatever order they are
added."""
_OFFSET_STEPS = 16
"""Of an offset per code."""


class Elements:
    """Activations, and their elements as numbers.

    Members
    -------
    tensor: SQTensor
    values: NDArray[np.float64]
        [rows, k], integers in units of the rows' scales.
    """

    def __init__(self, tensor: SQTensor) -> None:
        self.tensor = tensor
        parts = split(tensor)
        self.values: NDArray[np.float64] = (parts.low + parts.high)[:, : tensor.k].astype(np.float64)


class Layer:
    """Linear layers that take the same activations.

    Parameters
    ----------
    tensors
        The weights of each, by name: one operand, or several whose products are added up.
    sq
        The format of the activations.
    factors
        What the product of each operand counts.

    Members
    -------
    parts: dict[str, slice]
        The outputs of each layer, by name.
    operands: list[DenseTensor]
        The weights of all layers, of one format.

    Raises
    ------
    ValueError
        If sums could leave the numbers that float64 holds exactly.
    """

    def __init__(
        self, tensors: Mapping[str, Sequence[DenseTensor]], sq: SQFormat, factors: Sequence[int] = (1,)
    ) -> None:
        ends = np.cumsum([first.rows for first, *_ in tensors.values()]).tolist()
        self.parts = {
            name: slice(start, end) for name, start, end in zip(tensors, [0, *ends], ends, strict=False)
        }
        self.operands = [_joined(operands) for operands in zip(*tensors.values(), strict=True)]
        self._factors = np.array(factors)
        dense = self.operands[0].format
        bits = accumulator_bits(sq, dense, self.operands[0].k)
        if bits > _EXACT_BITS:
            raise ValueError(f"Sums must fit {_EXACT_BITS} bits, not {bits}: format {format_text(sq)}")
        self._unit = unit_exponent(sq, dense)
        self._values = [dense_integers(operand).astype(np.float64) for operand in self.operands]

    def sums(self, x: Elements) -> NDArray[np.int64]:
        """Returns the exact sums of each operand, ``multiply(x.tensor, operand).acc``.

        Shape [operands, tokens, outputs].
        """
        return np.stack([x.values @ values.T for values in self._values]).astype(np.int64)

    def results(self, x: Elements, sums: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns float32 results from the sums; of one operand, ``multiply(x.tensor, operand).y``."""
        total = np.tensordot(self._factors, sums, 1)
        return round_result(total, x.tensor.row_scale, self.operands[0].row_scale, self._unit)


def _joined(tensors: Sequence[DenseTensor]) -> DenseTensor:
    """Returns the rows of operands of one format as one operand."""
    fields: dict[str, Any] = {}
    for name in ("codes", "group_scale", "row_scale", "bitmap", "high", "index", "offset"):
        arrays = [getattr(tensor, name) for tensor in tensors]
        fields[name] = None if arrays[0] is None else np.concatenate(arrays)
    return replace(tensors[0], **fields)


def coded_layers(
    matrices: Mapping[str, CodedMatrix], pe: PEConfig, done: Callable[[str], None]
) -> dict[str, Layer]:
    """Returns by each matrix's name the layer that it is a part of.

    Parameters
    ----------
    matrices
        Their weights.
    pe
        The formats: of the activations, and of the weights. Where those have outliers, weights are quantized
        anew. Else they keep their codes, in groups of the same size.
    done
        Called with each name that is finished.

    Raises
    ------
    ValueError
        If a dense operand with such groups does not hold a matrix's codes.
    """
    tensors: dict[str, dict[str, list[DenseTensor]]] = {}
    for name, matrix in matrices.items():
        _, block, short, _ = name.split(".")
        site = tensors.setdefault(f"{block}.{LAYERS[short]}", {})
        site[name] = [_weights(matrix, pe.dense)]
        done(name)
    layers = [Layer(site, pe.sq) for site in tensors.values()]
    return {name: layer for layer in layers for name in layer.parts}


def _format(matrix: CodedMatrix, dense: DenseFormat) -> DenseFormat:
    return dense if dense.outliers else dense_format(matrix, dense.group)


def _weights(matrix: CodedMatrix, dense: DenseFormat) -> DenseTensor:
    weights, fmt = matrix.part(slice(None)), _format(matrix, dense)
    return quantize_dense(weights.values(), fmt) if fmt.outliers else import_dense(weights, fmt).tensor


def formats(file: GGUFFile, dense: DenseFormat, head: bool) -> list[DenseFormat]:
    """Returns the format of each operand that layers have, by :func:`coded_layers` and :func:`coded_head`.

    No weights are read. Raises ValueError as those do.
    """
    found = [_format(_coded(file, name), dense) for name in file.names if _is_layer(file, name)]
    return found + ([_head_format(_coded_head(file), dense.group)] if head else [])


def _is_layer(file: GGUFFile, name: str) -> bool:
    return name.startswith("blk.") and len(file.shape(name)) == 2


def _coded(file: GGUFFile, name: str) -> CodedMatrix:
    matrix = file.coded(name)
    if matrix is None:
        raise ValueError(f"{name} is of type {file.kind(name)}, whose codes cannot be imported")
    return matrix


def coded_head(file: GGUFFile, sq: SQFormat, group: int | None) -> Layer:
    """Returns the layer that gives the scores of tokens, in the codes of the checkpoint.

    Codes of 8 bits become two operands of 4 bits. With b = 16 high + low, low from 0 to 15, the second
    operand has the codes 7 - low and the offset -7: -low altogether. 16 times the first sum less the second
    one is the sum of products with b, exactly.

    Raises ValueError if the file has no codes of 4 or 8 bits without offsets for it.
    """
    name, matrix = head_name(file), _coded_head(file)
    tensor = import_dense(matrix.part(slice(None)), dense_format(matrix, group)).tensor
    if matrix.bits == 4:
        return Layer({name: [tensor]}, sq)
    assert tensor.group_scale is not None
    fmt = _head_format(matrix, group)
    low = (tensor.codes & 15).astype(np.int8)
    zeros = np.zeros(tensor.group_scale.shape, np.int8)
    halves = [
        replace(tensor, format=fmt, codes=tensor.codes >> 4, offset=zeros),
        replace(tensor, format=fmt, codes=7 - low, offset=zeros - np.int8(7 * _OFFSET_STEPS)),
    ]
    return Layer({name: halves}, sq, (16, -1))


def _coded_head(file: GGUFFile) -> CodedMatrix:
    name = head_name(file)
    matrix = file.coded(name)
    if matrix is None or (matrix.bits == 8 and matrix.has_bias):
        raise ValueError(f"{name} is of type {file.kind(name)}, whose codes cannot be imported as a head")
    return matrix


def _head_format(matrix: CodedMatrix, group: int | None) -> DenseFormat:
    fmt = dense_format(matrix, group)
    return replace(fmt, bits=4, offset=True) if fmt.bits == 8 else fmt


def head_name(file: GGUFFile) -> str:
    """Returns the name of the matrix that gives the scores: where it has none of its own, the embedding."""
    return next(name for name in ("output.weight", "token_embd.weight") if name in file.names)


def load(file: GGUFFile) -> tuple[Model, dict[str, CodedMatrix]]:
    """Returns a model without the numbers of its blocks' linear layers, which are NaN, and their codes.

    The model computes everything else with the same bits on every machine.

    Raises ValueError if a linear layer is not in codes that a dense operand holds.
    """
    weights, codes = {}, {}
    for name in file.names:
        if _is_layer(file, name):
            matrix = codes[name] = _coded(file, name)
            weights[name] = np.broadcast_to(np.float32(np.nan), matrix.shape)
        else:
            weights[name] = file.tensor(name)
    return Model(ModelConfig.from_metadata(file.metadata), weights, arithmetic=REPRODUCIBLE), codes
