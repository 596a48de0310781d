"""A scheme: how activations and weights of every linear layer are quantized; and a model that follows it."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import SITES, Calibration, Site, Uncalibrated, site_of
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Format, Imported, Plain
from sw_reference.accuracy.operand import Operand, product
from sw_reference.accuracy.rotation import rotation, scattered
from sw_reference.accuracy.variants import Variant
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.llm.arithmetic import Float32
from sw_reference.llm.model import Model

__all__ = ["CountingLinear", "QuantizedLinear", "Ready", "Scheme", "count", "token_losses"]

MEANING = 2
"""Raised when the same scheme would give other numbers: results of an earlier meaning are not reused."""


class CountingLinear(Protocol):
    """Linear layers of a model: the ``linear`` of ``Model.hidden``, with the counts of QuantizedLinear."""

    counts: Counter[str]

    def __call__(self, name: str, x: Float32, weight: Float32) -> Float32: ...


class Ready(ABC):
    """Weights that were quantized before: a frozen dataclass of what tells them from others.

    Parameters
    ----------
    bits
        Stored bits per element, row scales not.
    """

    bits: float
    hardware = False

    @abstractmethod
    def linear(self, model: Model, activation: Format) -> CountingLinear:
        """Returns the linear layers of a model with these weights and quantized activations."""


@dataclass(frozen=True)
class Scheme:
    """One row of the study.

    Parameters
    ----------
    name
        What the tables call it; unique.
    activation, weight
        Their formats. Weights may be ready: then there is no transform, and no cache.
    transform
        ``"smooth"``: activations divided and weights multiplied, channel by channel, by largest activation **
        `smoothing` / largest weight ** (1 - `smoothing`), after SmoothQuant. ``"rotate"``: both multiplied by
        an orthogonal matrix, after QuaRot.
    scatter
        The channels of each 32 are multiplied by a power of two, from 2**-scatter to 2**scatter at random,
        and their weights divided by it. The unquantized product stays the same to the last bit; the
        magnitudes of a row's banks differ more.
    sums
        ``"backward"``: the float32 sums outside the products run in reverse order.
    keys, values
        What the outputs of the key and value layers become before anything uses them, a row per token: the
        formats of a cache. Keys are kept before their rotation.
    smoothing
        How much smoothing takes from activations, 0 to 1.
    """

    name: str
    activation: Format = Plain()  # noqa: RUF009
    weight: Format | Ready = Plain()  # noqa: RUF009
    transform: Literal["none", "smooth", "rotate"] = "none"
    scatter: int = 0
    sums: Literal["forward", "backward"] = "forward"
    keys: Format = Plain()  # noqa: RUF009
    values: Format = Plain()  # noqa: RUF009
    smoothing: float = 0.5

    @property
    def configuration(self) -> dict[str, Any]:
        """The scheme as data; what is usual about scatter, sums and the cache is left out."""
        unusual: dict[str, Any] = {"scatter": self.scatter} if self.scatter else {}
        unusual |= {"smoothing": self.smoothing} if self.smoothing != 0.5 else {}
        unusual |= {"sums": self.sums} if self.sums != "forward" else {}
        kept = {"keys": self.keys, "values": self.values}
        unusual |= {name: _described(fmt) for name, fmt in kept.items() if fmt != Plain()}
        return {
            "activation": _described(self.activation),
            "weight": _described(self.weight),
            "transform": self.transform,
            **unusual,
        }

    @property
    def hardware(self) -> bool:
        """Whether a processing element computes it: an SQ operand times a dense one, bit for bit."""
        operands = self.activation, self.weight
        if self.transform == "rotate" or not all(operand.hardware for operand in operands):
            return False
        sq = [operand.format for operand in operands if isinstance(operand, SQ | Variant)]
        dense = [operand.format for operand in operands if isinstance(operand, Dense | DenseSQ | Imported)]
        return len(sq) == len(dense) == 1 and _suit(sq[0], dense[0])

    @property
    def weight_key(self) -> str:
        """Schemes of the same weight key have the same quantized weights."""
        more = [self.scatter] if self.scatter else []
        return json.dumps([_described(self.weight), self.transform, self.smoothing, *more], sort_keys=True)

    @property
    def key(self) -> str:
        """A hash of everything but the name."""
        text = json.dumps([MEANING, self.configuration], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _suit(sq: SQFormat, dense: DenseFormat) -> bool:
    """Whether one unit takes both operands.

    With an index mask group scales are linear, hold for whole segments of both, and may have offsets; dense
    outliers have positions too. Otherwise group scales are small floats and hold for whole banks, and bank
    scales are E5M3.
    """
    if sq.has_index:
        span = max(sq.segment_size, dense.bank or 0)
        fitting = dense.group is None or (dense.scale == "linear8" and dense.group % span == 0)
        return fitting and dense.mask == ("index" if dense.bank else "bitmap") and span <= sq.bank
    if dense.offset or dense.mask == "index" or (sq.scale, sq.segment_size) != ("e5m3", sq.bank):
        return False
    return dense.group is None or (dense.scale == "e3m3" and dense.group % sq.bank == 0)


def _described(value: Any) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {"format": type(value).__name__} | {
        field.name: _described(getattr(value, field.name))
        for field in fields(value)
        if "usual" not in field.metadata or getattr(value, field.name) != field.metadata["usual"]
    }


class QuantizedLinear:
    """Linear layers after a scheme: the ``linear`` of ``Model.hidden``.

    The layers of a site share their input, so they are quantized and multiplied together.

    Parameters
    ----------
    scheme, model, calibration
        The scheme, the model whose layers it quantizes, and statistics of their inputs.
    weights
        Quantized weights by site, of the same weight format and transform; filled as they are made.

    Members
    -------
    counts: Counter[str]
        Over all calls: activation ``elements``, their ``outliers``, ``banks``, banks ``without`` outliers,
        ``rows`` of products and those that needed ``limbs``.
    """

    def __init__(
        self,
        scheme: Scheme,
        model: Model,
        calibration: Calibration | Uncalibrated,
        weights: dict[str, Operand] | None = None,
    ) -> None:
        self._scheme = scheme
        self._model = model
        self._calibration = calibration
        self._sites: dict[str, tuple[Site, Operand, Callable[[Float32], Float32]]] = {}
        self._weights = {} if weights is None else weights
        self._x: Float32 | None = None
        self._y: dict[str, Float32] = {}
        self.counts: Counter[str] = Counter()

    def __call__(self, name: str, x: Float32, weight: Float32) -> Float32:
        if x is not self._x:
            self._x = x
            self._y = self._outputs(site_of(name), x)
        y = self._y.pop(name)
        cached = {"attn_k": self._scheme.keys, "attn_v": self._scheme.values}.get(name.split(".")[2], Plain())
        return y if cached == Plain() else cached.quantize(y, self._sites[site_of(name)][0]).values()

    def _outputs(self, site: str, x: Float32) -> dict[str, Float32]:
        if site not in self._sites:
            self._sites[site] = self._prepare(site)
        known, weight, transform = self._sites[site]
        activation = self._scheme.activation.quantize(transform(x), known)
        y, limbs = product(activation, weight)
        count(self.counts, activation, limbs)
        block, layer = site.rsplit(".", 1)
        names = [f"{block}.{tensor}.weight" for tensor in SITES[layer]]
        ends = np.cumsum([len(self._model.weights[name]) for name in names])
        parts = np.split(y, ends[:-1], axis=1)
        return dict(zip(names, parts, strict=True))

    def _prepare(self, name: str) -> tuple[Site, Operand, Callable[[Float32], Float32]]:
        """Returns the statistics of a site, its quantized weights, and what is done to its input."""
        site = self._calibration.site(name, self._model)
        transform: Callable[[Float32], Float32] = _same
        if self._scheme.transform == "smooth":
            factor = site.smoothing_factor(self._scheme.smoothing)
            site = site.smoothed(factor)
            divisor = factor.astype(np.float32)
            transform = lambda x: x / divisor  # noqa: E731
        elif self._scheme.scatter:
            powers = scattered(name, site.weight.shape[1], self._scheme.scatter)
            site = site.smoothed(powers)
            narrow_powers = powers.astype(np.float32)
            transform = lambda x: x / narrow_powers  # noqa: E731
        elif self._scheme.transform == "rotate":
            matrix = rotation(site.weight.shape[1])
            site = site.rotated(matrix)
            narrow = matrix.astype(np.float32)
            transform = lambda x: x @ narrow  # noqa: E731
        if name not in self._weights:
            assert not isinstance(self._scheme.weight, Ready)
            self._weights[name] = self._scheme.weight.quantize(site.weight, site)
        return site, self._weights[name], transform


def count(counts: Counter[str], activation: Operand, limbs: int) -> None:
    """Adds to `counts` what a product was made of, as :class:`QuantizedLinear` says."""
    counts["rows"] += len(activation.units)
    counts["limbs"] += limbs
    if activation.bitmap is not None:
        per_bank = np.einsum("ijk->ij", activation.bitmap.view(np.uint8))
        counts["elements"] += activation.units.size
        counts["outliers"] += int(per_bank.sum(dtype=np.int64))
        counts["banks"] += per_bank.size
        counts["without"] += int((per_bank == 0).sum())


def _same(x: Float32) -> Float32:
    return x


def token_losses(
    model: Model, tokens: Sequence[int], linear: Any, reference: Float32 | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns what a model loses at each token but the first.

    Parameters
    ----------
    linear
        Computes the linear layers.
    reference
        What ``model.hidden`` returns of the unquantized model, float32[tokens, hidden]; None for `linear`'s.

    Returns
    -------
    float64[tokens - 1] each: the negative log likelihood of the token, and the Kullback-Leibler divergence of
    the distribution from the unquantized model's, in nats.
    """
    hidden = model.hidden(tokens, linear=linear)
    reference = hidden if reference is None else reference
    targets = np.asarray(tokens[1:])
    losses, divergences = np.empty(len(targets)), np.empty(len(targets))
    for start in range(0, len(targets), 128):  # bounds the memory of the logits
        rows = slice(start, min(start + 128, len(targets)))
        found, wanted = (_log_probabilities(model.logits(h[rows])) for h in (hidden, reference))
        losses[rows] = -np.take_along_axis(found, targets[rows, None], axis=1)[:, 0]
        divergences[rows] = (np.exp(wanted) * (wanted - found)).sum(axis=1, dtype=np.float64)
    return losses, divergences


def _log_probabilities(logits: Float32) -> Float32:
    """Returns the logarithm of each token's probability, float32[tokens, vocabulary]."""
    logits = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits).sum(axis=1, dtype=np.float64, keepdims=True))
    result: Float32 = logits - total.astype(np.float32)
    return result
