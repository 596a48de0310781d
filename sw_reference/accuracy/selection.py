"""Which elements become outliers: the paper's rules and the cheap ones, as policies of the golden model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.format import SQFormat
from sw_reference.policy import GivenMask, LargestImportance, LargestMagnitude, Policy, Threshold, to_banks

__all__ = [
    "AbovePercentile",
    "ByHessian",
    "ByRms",
    "Largest",
    "OnePerSegment",
    "Selection",
    "Static",
    "Unstructured",
]


class Selection(Protocol):
    """Makes the policy for one matrix of one site."""

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy: ...


@dataclass(frozen=True)
class Largest:
    """The largest magnitudes of each bank."""

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        return LargestMagnitude()


@dataclass(frozen=True)
class AbovePercentile:
    """Magnitudes above a percentile of the site's inputs in calibration, the largest up to the capacity."""

    percent: float

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        return Threshold(site.percentile(self.percent))


@dataclass(frozen=True)
class OnePerSegment:
    """At most one outlier in each `segment` elements of a bank, above a percentile if one is given."""

    segment: int
    percent: float | None = None

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        limit = 0.0 if self.percent is None else site.percentile(self.percent)
        return _mask(Threshold(limit).mark(x, SQFormat(self.segment, 1)), x)


@dataclass(frozen=True)
class Static:
    """A mask for all tokens, from calibration.

    ``"product"`` is the paper's: \\|mean(A)_j * sum_i W_ji\\|, the signed sum inside the absolute value, over
    the outputs of all layers of the site. ``"mean"`` is \\|mean(A)_j\\| alone, ``"rms"`` the channel's rms.
    """

    rule: Literal["product", "mean", "rms"] = "product"

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        importance = {
            "product": np.abs(site.mean * site.weight.astype(np.float64).sum(axis=0)),
            "mean": np.abs(site.mean),
            "rms": site.rms,
        }[self.rule]
        return GivenMask(_most_important(importance[None], fmt)[0])


@dataclass(frozen=True)
class ByRms:
    """Weights: the largest \\|w\\| * rms(x) of each bank."""

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        return LargestImportance(site.rms.astype(np.float32))


@dataclass(frozen=True)
class ByHessian:
    """Weights: the largest w^2 / (H^-1)_ii^2 of each bank, the paper's importance."""

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        return GivenMask(_most_important(np.abs(x) / np.diag(site.inverse_hessian()), fmt))


@dataclass(frozen=True)
class Unstructured:
    """Weights: the `share` of all weights of the site with the largest w^2 / (H^-1)_ii, wherever they are."""

    share: float

    def policy(self, x: NDArray[np.float32], fmt: SQFormat, site: Site) -> Policy:
        sensitivity = np.square(x) / np.diag(site.inverse_hessian())
        return _Anywhere(sensitivity > np.quantile(sensitivity, 1 - self.share))


@dataclass(frozen=True, eq=False)
class _Anywhere:
    """A given mask without a capacity."""

    mask: NDArray[np.bool_]

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        banks: NDArray[np.bool_] = to_banks(self.mask, fmt.bank)
        return banks


def _most_important(importance: NDArray[Any], fmt: SQFormat) -> NDArray[np.bool_]:
    """Returns bool[rows, k]: the most important of each bank up to the capacity."""
    x = importance.astype(np.float32)
    return _mask(LargestMagnitude().mark(x, fmt), x).mask


def _mask(marked: NDArray[np.bool_], x: NDArray[Any]) -> GivenMask:
    return GivenMask(marked.reshape(len(x), -1)[:, : x.shape[1]].copy())
