"""Schemes of one's own: formats given as data or text, beside the unquantized model, W8 A8 and NVFP4."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from sw_reference.accuracy.blocks import NVFP4
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Format, Plain, Stored
from sw_reference.accuracy.scheme import Ready, Scheme
from sw_reference.accuracy.selection import Largest
from sw_reference.accuracy.study import INT8
from sw_reference.checkpoints.dense import dense_format
from sw_reference.codes import ScaleChoice
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.llm import Model
from sw_reference.notation import format_text, parse_format

__all__ = ["FLOAT", "IMPORT", "own_format", "own_schemes", "stored"]

IMPORT = "import"
"""Weights in the codes of the model's checkpoint."""
FLOAT = "float"
"""Activations or weights left alone."""


def own_schemes(
    activations: Sequence[str], weights: str, ready: Stored | Ready | None, scale: ScaleChoice
) -> tuple[Scheme, ...]:
    """Returns schemes of activations beside one format of weights, after those that they are compared with.

    Parameters
    ----------
    activations
        Formats as text, or ``"float"``.
    weights
        A format as text or ``"float"``; with `ready`, what these weights are called.
    ready
        Weights in codes that there are already; None: they are quantized.
    scale
        How the bank scales of SQ operands are chosen.

    Raises
    ------
    ValueError
        If a text is no format.
    """
    operand = ready or own_format(weights, scale, weights=True)
    name = weights if ready or weights == FLOAT else format_text(parse_format(weights))
    found = [Scheme(FLOAT), Scheme(INT8, Dense(8), Dense(8)), Scheme(f"W {name}, A NVFP4", NVFP4(), operand)]
    for text in activations:
        own = own_format(text, scale)
        shown = text if text == FLOAT else format_text(parse_format(text))
        found.append(Scheme(f"W {name}, A {shown}", own, operand))
    unique = {scheme.name: scheme for scheme in found}
    return tuple(unique.values())


def own_format(text: str, scale: ScaleChoice, *, weights: bool = False) -> Format:
    """Returns a format as text as one of the study.

    Outliers are the largest of each bank. Row scales and group scales of INT8 are absmax; those of INT4 are
    least squares for weights, where there is time.

    Raises
    ------
    ValueError
        If the text is no format, or has offsets, which only imported weights have.
    """
    if text == FLOAT:
        return Plain()
    fmt = parse_format(text)
    if isinstance(fmt, SQFormat):
        return SQ(fmt.bank, fmt.outliers, Largest(), fmt.high, fmt.mask, scale, fmt.scale, fmt.segment)
    return _dense(fmt, text, "least_squares" if weights and fmt.bits == 4 else "absmax")


def _dense(fmt: DenseFormat, text: str, scale: ScaleChoice) -> Dense | DenseSQ:
    if fmt.offset:
        raise ValueError(f"Format {text!r} has offsets, which only imported weights have")
    if fmt.bank is None:
        return Dense(fmt.bits, fmt.group, scale, fmt.scale)
    if fmt.group is None:
        raise ValueError(f"Format {text!r} must have groups beside its outliers, such as 'g{fmt.bank}'")
    return DenseSQ(fmt.bank, fmt.outliers, fmt.group, group_scale=fmt.scale, mask=fmt.mask)


def stored(model: Model) -> Stored:
    """Returns the format of the codes of a model; ValueError names a linear layer that has none."""
    bits, elements = 0.0, 0
    for name, shape in model.config.shapes().items():
        if not name.startswith("blk.") or len(shape) == 1:
            continue
        if name not in model.codes:
            raise ValueError(
                f"Weights to be imported must have codes that a dense operand holds, and {name} has none: "
                "--weights takes float, int8 or another format"
            )
        matrix = model.codes[name]
        try:
            matrix.part(slice(0))  # says at once what cannot be used
            bits += dense_format(matrix).bits_per_element * prod(shape)
        except ValueError as error:
            raise ValueError(f"{name} cannot be imported: {error}") from error
        elements += prod(shape)
    return Stored(round(bits / elements, 4))
