"""A model's linear layers as operands in the codes of its checkpoint.

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
from sw_reference.format import SQFormat, accumulator_bits, unit_exponent
from sw_reference.llm import LAYERS, Model, ModelConfig
from sw_reference.llm.reproducible import REPRODUCIBLE
from sw_reference.notation import format_text
from sw_reference.rounding import round_result
from sw_reference.split import dense_integers, split
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["Elements", "Layer", "coded_layers", "load"]

_EXACT_BITS = 54
"""Sums that fit a two's complement number of so many bits are exact in float64, in whatever order they are
added."""


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
    """Linear layers that take the same activations, in the codes of their checkpoint.

    Parameters
    ----------
    tensors
        The weights of each, by name.
    sq
        The format of the activations.

    Members
    -------
    parts: dict[str, slice]
        The outputs of each layer, by name.
    weights: DenseTensor
        The weights of all.

    Raises
    ------
    ValueError
        If sums could leave the numbers that float64 holds exactly.
    """

    def __init__(self, tensors: Mapping[str, DenseTensor], sq: SQFormat) -> None:
        ends = np.cumsum([tensor.rows for tensor in tensors.values()]).tolist()
        self.parts = {
            name: slice(start, end) for name, start, end in zip(tensors, [0, *ends], ends, strict=False)
        }
        self.weights = tensor = _joined(list(tensors.values()))
        bits = accumulator_bits(sq, tensor.format, tensor.k)
        if bits > _EXACT_BITS:
            raise ValueError(f"Sums must fit {_EXACT_BITS} bits, not {bits}: format {format_text(sq)}")
        self._unit = unit_exponent(sq, tensor.format)
        self._values = dense_integers(tensor).astype(np.float64)

    def sums(self, x: Elements) -> NDArray[np.int64]:
        """Returns the exact sums, ``multiply(x.tensor, weights).acc``."""
        return (x.values @ self._values.T).astype(np.int64)

    def results(self, x: Elements, sums: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns float32 results, ``multiply(x.tensor, weights).y``, from the sums."""
        return round_result(sums, x.tensor.row_scale, self.weights.row_scale, self._unit)


def _joined(tensors: Sequence[DenseTensor]) -> DenseTensor:
    """Returns the rows of operands of one format, which has no outliers, as one operand."""
    fields: dict[str, Any] = {}
    for name in ("codes", "group_scale", "row_scale", "offset"):
        arrays = [getattr(tensor, name) for tensor in tensors]
        fields[name] = None if arrays[0] is None else np.concatenate(arrays)
    return replace(tensors[0], **fields)


def coded_layers(
    matrices: Mapping[str, CodedMatrix], sq: SQFormat, group: int | None, done: Callable[[str], None]
) -> dict[str, Layer]:
    """Returns by each matrix's name the layer that it is a part of.

    Parameters
    ----------
    matrices
        Their weights.
    sq
        The format of the activations.
    group
        Of the weights, see :func:`~sw_reference.checkpoints.dense.dense_format`.
    done
        Called with each name that is finished.

    Raises
    ------
    ValueError
        If a dense operand with such groups does not hold a matrix's codes.
    """
    tensors: dict[str, dict[str, DenseTensor]] = {}
    for name, matrix in matrices.items():
        _, block, short, _ = name.split(".")
        site = tensors.setdefault(f"{block}.{LAYERS[short]}", {})
        site[name] = import_dense(matrix.part(slice(None)), dense_format(matrix, group)).tensor
        done(name)
    layers = [Layer(site, sq) for site in tensors.values()]
    return {name: layer for layer in layers for name in layer.parts}


def load(file: GGUFFile) -> tuple[Model, dict[str, CodedMatrix]]:
    """Returns a model without the numbers of its blocks' linear layers, which are NaN, and their codes.

    The model computes everything else with the same bits on every machine.

    Raises ValueError if a linear layer is not in codes that a dense operand holds.
    """
    weights, codes = {}, {}
    for name in file.names:
        if name.startswith("blk.") and len(file.shape(name)) == 2:
            matrix = file.coded(name)
            if matrix is None:
                raise ValueError(f"{name} is of type {file.kind(name)}, whose codes cannot be imported")
            codes[name] = matrix
            weights[name] = np.broadcast_to(np.float32(np.nan), matrix.shape)
        else:
            weights[name] = file.tensor(name)
    return Model(ModelConfig.from_metadata(file.metadata), weights, arithmetic=REPRODUCIBLE), codes
