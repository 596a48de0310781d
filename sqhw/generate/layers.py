"""A model's linear layers as operands: the codes of its checkpoint, and what offsets add to their sums.

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

    def sums(self, group: int) -> NDArray[np.int64]:
        """Returns int64[rows, groups]: the sum of each group's elements."""
        starts = np.arange(0, self.tensor.k, group)
        return np.add.reduceat(self.values, starts, axis=1).astype(np.int64)


class Layer:
    """Linear layers that take the same activations, in the codes of their checkpoint.

    An engine without group offsets multiplies the codes alone. What offsets add is a small product of its
    own: the sums of the activations of each group, times group scale and offset.

    Parameters
    ----------
    tensors
        The weights of each, by name, offsets included.
    sq
        The format of the activations.

    Members
    -------
    parts: dict[str, slice]
        The outputs of each layer, by name.
    codes: DenseTensor
        The weights without their offsets: what an engine takes.

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
        tensor = _joined(list(tensors.values()))
        bits = accumulator_bits(sq, tensor.format, tensor.k)
        if bits > _EXACT_BITS:
            raise ValueError(f"Sums must fit {_EXACT_BITS} bits, not {bits}: format {format_text(sq)}")
        self._tensor = tensor
        self._unit = unit_exponent(sq, tensor.format)
        self._values = dense_integers(tensor).astype(np.float64)
        self._shares: NDArray[np.int64] | None = None
        if tensor.offset is not None and tensor.group_scale is not None:
            self._shares = (tensor.group_scale.astype(np.int64) * tensor.offset).T
        self.codes = replace(tensor, format=replace(tensor.format, offset=False), offset=None)

    def sums(self, x: Elements) -> NDArray[np.int64]:
        """Returns the exact sums [rows, outputs], offsets included: ``multiply(x.tensor, tensor).acc``."""
        return (x.values @ self._values.T).astype(np.int64)

    def offset_sums(self, x: Elements) -> NDArray[np.int64] | int:
        """Returns what the offsets add to :meth:`sums`, in the same units."""
        if self._shares is None:
            return 0
        assert self._tensor.format.group is not None
        return x.sums(self._tensor.format.group) @ self._shares

    def of_codes(self, x: Elements, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the sums of an engine, ``multiply(x.tensor, codes).acc``, from :meth:`sums`."""
        return (sums - self.offset_sums(x)) >> self._shift

    def whole(self, x: Elements, of_codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns :meth:`sums` from the sums of an engine."""
        return (of_codes << self._shift) + self.offset_sums(x)

    @property
    def _shift(self) -> int:
        return -self._tensor.format.unit_exponent

    def results(self, x: Elements, sums: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns float32 results: ``multiply(x.tensor, tensor).y``."""
        return round_result(sums, x.tensor.row_scale, self._tensor.row_scale, self._unit)


def _joined(tensors: Sequence[DenseTensor]) -> DenseTensor:
    """Returns the rows of operands of one format, which has no outliers, as one operand."""
    fields: dict[str, Any] = {}
    for name in ("codes", "group_scale", "row_scale", "offset"):
        arrays = [getattr(tensor, name) for tensor in tensors]
        fields[name] = None if arrays[0] is None else np.concatenate(arrays)
    return replace(tensors[0], **fields)


def coded_layers(
    matrices: Mapping[str, CodedMatrix], sq: SQFormat, dense: DenseFormat, done: Callable[[str], None]
) -> dict[str, Layer]:
    """Returns by each matrix's name the layer that it is a part of.

    Parameters
    ----------
    matrices
        Their weights.
    sq, dense
        The formats of the hardware. Offsets come on top of it.
    done
        Called with each name that is finished.

    Raises
    ------
    ValueError
        If the hardware's dense format does not hold a matrix's codes; the message names it.
    """
    tensors: dict[str, dict[str, DenseTensor]] = {}
    for name, matrix in matrices.items():
        found = dense_format(matrix, dense.group)
        if replace(found, offset=False) != dense:
            need = format_text(replace(found, offset=False))
            raise ValueError(f"{name}: its codes need the dense format {need!r}, not {format_text(dense)!r}")
        _, block, short, _ = name.split(".")
        site = tensors.setdefault(f"{block}.{LAYERS[short]}", {})
        site[name] = import_dense(matrix.part(slice(None)), found).tensor
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
