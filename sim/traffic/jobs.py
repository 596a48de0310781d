"""What is simulated: jobs of dot products, from real activations, random numbers and hand-picked corners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.traffic.operands import quantized_dense
from sqhw.config import PEConfig
from sqhw.packing import dot_products
from sw_reference.activations import Site, load_activations
from sw_reference.multiply import multiply
from sw_reference.policy import Threshold
from sw_reference.quantize import quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["Job", "corner_jobs", "random_jobs", "site_jobs"]

OUTLIER_SHARE = 0.03
"""With the threshold policy: the share of a site's elements above its threshold."""


@dataclass(frozen=True)
class Job:
    """A matrix product that the processing element computes one dot product at a time.

    ``acc`` (Python integers or int64) and ``y`` (float32) are the golden model's, [rows, columns];
    ``pairs`` are the (row, column) of each dot product in the order in which they are sent.
    """

    layer: str
    site: str
    policy: str
    sq: SQTensor
    dense: DenseTensor
    acc: Any
    y: Any
    pairs: tuple[tuple[int, int], ...]

    def streams(self, config: PEConfig) -> tuple[list[list[int]], list[list[int]], list[int]]:
        """Returns, per dot product: its SQ beats, its dense beats, its pair of row scales."""
        products = dot_products(config, self.sq, self.dense, self.pairs)
        return [p.sq for p in products], [p.dense for p in products], [p.scales for p in products]


def _job(config: PEConfig, names: tuple[str, str], sq_values: Any, dense_values: Any, policy: str) -> Job:
    chosen: dict[str, Any] = {}
    if policy == "threshold":
        chosen["policy"] = Threshold(float(np.quantile(np.abs(sq_values), 1 - OUTLIER_SHARE)))
    sq = quantize_sq(sq_values, config.sq, **chosen)
    dense = quantized_dense(dense_values, config.dense)
    product = multiply(sq, dense)
    pairs = tuple((row, column) for row in range(len(sq_values)) for column in range(len(dense_values)))
    return Job(*names, policy, sq, dense, product.acc, product.y, pairs)


def site_jobs(config: PEConfig, *, sq_operand: str, policies: Sequence[str], share: int) -> Iterator[Job]:
    """Yields one job per policy, captured layer and site.

    Parameters
    ----------
    sq_operand
        ``"activations"`` or ``"weights"``: which side is in SQ-format; the other is the dense operand.
    policies
        Of ``"largest"`` and ``"threshold"``.
    share
        Every `share`-th weight row is used, so that slow configurations stay quick.
    """
    sites = load_activations().sites
    for policy in policies:
        for site in sites:
            yield _site_job(config, site, sq_operand, policy, share)


def _site_job(config: PEConfig, site: Site, sq_operand: str, policy: str, share: int) -> Job:
    x, weight = site.x, site.weight[::share]
    values = (x, weight) if sq_operand == "activations" else (weight, x)
    return _job(config, (f"layer {site.layer}", site.name), *values, policy)


def random_jobs(config: PEConfig, seed: int) -> Iterator[Job]:
    """Yields jobs of random numbers with heavy tails, of several lengths, with full, some and no outliers."""
    rng = np.random.default_rng(seed)
    bank = config.sq.bank
    for k in (1, bank, 3 * bank - 1, 10 * bank):
        x = rng.standard_t(1.5, (6, k)).astype(np.float32)
        weight = rng.standard_normal((6, k)).astype(np.float32)
        yield _job(config, ("random", f"K = {k}"), x, weight, "largest")
        yield _job(config, ("random", f"K = {k}, threshold"), x, weight, "threshold")


def corner_jobs(config: PEConfig, seed: int) -> Iterator[Job]:
    """Yields jobs of extreme values: zeros, largest sums of both signs, largest and smallest scales."""
    rng = np.random.default_rng(seed)
    k = min(config.k_max, 8 * config.sq.bank)
    rows = {
        "zeros": np.zeros(k),
        "largest": np.full(k, 65504.0),
        "alternating": np.resize([65504.0, -65504.0], k),
        "one outlier": np.where(np.arange(k) % config.sq.bank == config.sq.bank - 1, 60000.0, 2.0**-14),
        "tiny": np.full(k, 2.0**-120),
        "huge": np.full(k, 3.0e38),
        "wide": 2.0 ** rng.integers(-24, 16, k),
    }
    x = np.array(list(rows.values()), np.float32)
    weight = np.array([np.ones(k), -np.ones(k), 2.0 ** rng.integers(-20, 1, k), np.full(k, 1e30)], np.float32)
    yield _job(config, ("corners", "values"), x, weight, "largest")
