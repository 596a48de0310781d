"""What calibration windows say about the input of each linear layer: means, ranges, Hessians."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix
from sw_reference.files import replacing
from sw_reference.llm.arithmetic import Float32
from sw_reference.llm.model import Model, product

from .smoothing import smoothing_factor

__all__ = [
    "FIRST",
    "MARKED",
    "PERCENTILES",
    "SITES",
    "Calibration",
    "Site",
    "Sums",
    "Uncalibrated",
    "site_of",
]

PERCENTILES = (80.0, 90.0, 93.75, 95.0, 96.0, 97.0, 97.5, 98.0, 98.5, 99.0, 99.5)
"""Percentiles of the magnitudes that are recorded for threshold policies."""

FIRST = 32
"""How often the first token of a window counts in the Hessian: unlike all others, and all attend to it."""

MARKED = 97.5
"""The percentile of a window above which ``Calibration.positions`` counts an element."""

SITES = {
    "attn_qkv": ("attn_q", "attn_k", "attn_v"),
    "attn_output": ("attn_output",),
    "ffn_gate_up": ("ffn_gate", "ffn_up"),
    "ffn_down": ("ffn_down",),
}
"""The linear layers of a block that share one input."""

_DAMPING = 0.01
_SMALL = ("sum", "squares", "peak", "percentiles")
_SITE_OF = {layer: site for site, layers in SITES.items() for layer in layers}


def site_of(name: str) -> str:
    """Returns the site of a tensor: ``blk.3.attn_k.weight`` belongs to ``blk.3.attn_qkv``."""
    _, block, layer, _ = name.split(".")
    return f"blk.{block}.{_SITE_OF[layer]}"


@dataclass(frozen=True, eq=False)
class Site:
    """The input x of the layers of one site over all calibration tokens, and the layers' weights.

    Parameters
    ----------
    mean, rms, peak
        float64[k]: mean, root of the mean square, largest magnitude of each channel.
    percentiles
        float64[len(PERCENTILES)]: of the magnitudes of all elements, the mean over the windows.
    weight
        float32[outputs of all layers, k].
    inverse_hessian
        Returns float64[k, k], (H + d)^-1: H the mean of x x^T over all tokens, the first token of each window
        counted ``FIRST`` times; d 1 % of the median of its diagonal.
    codes
        The layers' weights in the codes of their checkpoint; None where they have none, or were transformed.
    """

    mean: NDArray[np.float64]
    rms: NDArray[np.float64]
    peak: NDArray[np.float64]
    percentiles: NDArray[np.float64]
    weight: Float32
    inverse_hessian: Callable[[], NDArray[np.float64]]
    codes: tuple[CodedMatrix, ...] | None = None

    def percentile(self, percent: float) -> float:
        """Returns a recorded percentile; ValueError if it was not recorded."""
        if percent not in PERCENTILES:
            raise ValueError(f"Percentile must be one of {PERCENTILES}, not {percent!r}")
        return float(self.percentiles[PERCENTILES.index(percent)])

    @classmethod
    def of_means(
        cls,
        means: Mapping[str, NDArray[np.float32]],
        weight: Float32,
        inverse_hessian: Callable[[], NDArray[np.float64]],
        codes: tuple[CodedMatrix, ...] | None = None,
    ) -> Site:
        """Returns a site of what :meth:`Sums.means` gives."""
        wide = {kind: means[kind].astype(np.float64) for kind in _SMALL}
        rms = np.sqrt(wide["squares"])
        return cls(wide["sum"], rms, wide["peak"], wide["percentiles"], weight, inverse_hessian, codes)

    def smoothing_factor(self, strength: float = 0.5) -> NDArray[np.float64]:
        """Returns what SmoothQuant divides each channel of x and multiplies each column of the weights by:
        largest activation ** strength / largest weight ** (1 - strength), float64[k]."""
        return smoothing_factor(self.peak, np.abs(self.weight).max(axis=0), strength)

    def smoothed(self, factor: NDArray[np.float64]) -> Site:
        """Returns the site after x / factor and weight * factor; percentiles are not known then."""
        return Site(
            self.mean / factor,
            self.rms / factor,
            self.peak / factor,
            np.full(len(PERCENTILES), np.nan),
            (self.weight * factor).astype(np.float32),
            lambda: self.inverse_hessian() * factor * factor[:, None],
        )

    def rotated(self, matrix: NDArray[np.float64]) -> Site:
        """Returns the site after x @ matrix and weight @ matrix (orthogonal); ranges are not known then."""
        unknown = np.full(len(matrix), np.nan)
        return Site(
            self.mean @ matrix,
            unknown,
            unknown,
            np.full(len(PERCENTILES), np.nan),
            (self.weight @ matrix).astype(np.float32),
            lambda: matrix.T @ self.inverse_hessian() @ matrix,
        )


class Sums:
    """Sums over the input x of the layers of one site, window by window."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[Any]] = {}
        self._tokens = self._windows = 0

    def add(self, x: Float32) -> None:
        """Adds the inputs of a window, float32[tokens, k]."""
        wide = x.astype(np.float64)
        magnitude = np.abs(x)
        percentiles = np.percentile(magnitude, PERCENTILES)
        peak = magnitude.max(axis=0).astype(np.float64)
        new = {
            "sum": wide.sum(axis=0),
            "squares": np.square(wide).sum(axis=0),
            "percentiles": percentiles,
            "above": (magnitude > percentiles[PERCENTILES.index(MARKED)]).sum(axis=0),
            "hessian": wide.T @ wide + (FIRST - 1) * np.outer(wide[0], wide[0]),
        }
        for kind, value in new.items():
            self._sums[kind] = self._sums[kind] + value if kind in self._sums else value
        self._sums["peak"] = np.maximum(self._sums["peak"], peak) if "peak" in self._sums else peak
        self._tokens += len(x)
        self._windows += 1

    def means(self) -> dict[str, NDArray[np.float32]]:
        """Returns what a :class:`Site` is made of; "hessian" is the inverse one."""
        counts = dict.fromkeys(self._sums, self._tokens) | {"peak": 1, "percentiles": self._windows}
        counts["hessian"] += self._windows * (FIRST - 1)
        means: dict[str, NDArray[Any]] = {kind: total / counts[kind] for kind, total in self._sums.items()}
        # Not of the mean, which massive activations make a hundred times as large.
        damping = _DAMPING * np.median(np.diag(means["hessian"]))
        means["hessian"] = np.linalg.inv(means["hessian"] + damping * np.eye(len(means["hessian"])))
        return {kind: mean.astype(np.float32) for kind, mean in means.items()}


class Calibration:
    """Statistics by site, in a file that is made once.

    Parameters
    ----------
    path
        The file. ``make`` writes it, ``site`` reads it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, model: Model, windows: Sequence[Sequence[int]], progress: Callable[[], Any]) -> None:
        """Runs the model on the windows and writes the file; calls `progress` after each window."""
        sums: defaultdict[str, Sums] = defaultdict(Sums)
        seen = None

        def watch(name: str, x: Float32, weight: Float32) -> Float32:
            nonlocal seen
            if x is not seen:
                seen = x
                sums[site_of(name)].add(x)
            return product(name, x, weight)

        for window in windows:
            model.hidden(window, linear=watch)
            progress()
        arrays: dict[str, Any] = {
            f"{site}/{kind}": mean for site, total in sums.items() for kind, mean in total.means().items()
        }
        with replacing(self.path) as neighbour, neighbour.open("wb") as file:
            np.savez(file, **arrays)

    def site(self, name: str, model: Model) -> Site:
        """Returns the statistics of a site such as ``blk.3.ffn_down``."""
        with np.load(self.path) as file:
            read = {kind: file[f"{name}/{kind}"] for kind in _SMALL}
        weight, codes = _layers(name, model)
        return Site.of_means(read, weight, lambda: self._inverse_hessian(name), codes)

    def positions(self, name: str) -> NDArray[np.float32]:
        """Returns in which share of the tokens each channel of a site is above the percentile ``MARKED``."""
        with np.load(self.path) as file:
            above: NDArray[np.float32] = file[f"{name}/above"]
        return above

    def _inverse_hessian(self, name: str) -> NDArray[np.float64]:
        with np.load(self.path) as file:
            inverse: NDArray[np.float64] = file[f"{name}/hessian"].astype(np.float64)
        return inverse


class Uncalibrated:
    """No statistics: for formats that need none. Those that do get NaN, and no Hessian."""

    def site(self, name: str, model: Model) -> Site:
        """Returns a site such as ``blk.3.ffn_down``, of which only the weights are known."""
        weight, codes = _layers(name, model)
        unknown = np.full(weight.shape[1], np.nan)
        return Site(unknown, unknown, unknown, np.full(len(PERCENTILES), np.nan), weight, _no_hessian, codes)


def _no_hessian() -> NDArray[np.float64]:
    raise ValueError("Compensation needs calibration, which this study has not")


def _layers(name: str, model: Model) -> tuple[Float32, tuple[CodedMatrix, ...] | None]:
    """Returns the weights of the layers of a site, and their codes if all have some."""
    block, layer = name.rsplit(".", 1)
    tensors = [f"{block}.{tensor}.weight" for tensor in SITES[layer]]
    weight = np.concatenate([model.weights[tensor] for tensor in tensors])
    codes = tuple(model.codes[tensor] for tensor in tensors if tensor in model.codes)
    return weight, codes if len(codes) == len(tensors) else None
