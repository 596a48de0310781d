"""What calibration says about the inputs of each linear layer of a model, and what is made of it.

Any rule of ``sw_reference.accuracy.selection`` takes a layer's statistics, too: for ``quantize``,
``ByRms().policy(w, fmt, site)`` marks weights by their magnitude times the root mean square of their inputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sw_reference.accuracy.calibration import Site, Sums
from sw_reference.accuracy.compensation import compensated_dense
from sw_reference.format import DenseFormat
from sw_reference.policy import LargestMagnitude, Policy
from sw_reference.tensors import DenseTensor

from .names import SKIPPED, linear_names
from .quantized import numpy_matrix

__all__ = ["calibrate", "compensated_weights", "smoothing_divisor"]


@torch.no_grad()
def calibrate(
    model: nn.Module, windows: Iterable[Tensor], skip: Collection[str] = SKIPPED
) -> dict[str, Site]:
    """Runs a model and returns statistics of the inputs of its linear layers, by name.

    Layers that are given the same tensor share its statistics. Each input of k elements costs 8 k**2 bytes
    of memory, for ``inverse_hessian``.

    Parameters
    ----------
    model
        The model, not quantized.
    windows
        What it is called with, one after the other: token ids [1, tokens], say. The first row of a layer's
        input in each window counts ``FIRST`` times in the Hessian.
    skip
        Regular expressions: layers in whose names one is found are left out.

    Returns
    -------
    Mean, root mean square, largest magnitude and percentiles of the inputs, and the inverse Hessian.

    Raises
    ------
    ValueError
        If a layer was never used.
    """
    watch = _Watch()
    layers = {name: model.get_submodule(name) for name in linear_names(model, skip)}
    hooks = [layer.register_forward_pre_hook(partial(watch, name)) for name, layer in layers.items()]
    try:
        for window in windows:
            watch.begin()
            model(window)
    finally:
        for hook in hooks:
            hook.remove()
    unused = [name for name in layers if name not in watch.sums]
    if unused:
        raise ValueError(f"Windows must make the model use {unused[0]}")
    means = {id(sums): sums.means() for sums in watch.sums.values()}
    sites = {}
    for name, sums in watch.sums.items():
        own = means[id(sums)]
        weight = numpy_matrix(layers[name].weight)
        sites[name] = Site.of_means(own, weight, partial(_wide, own["hessian"]))
    return sites


class _Watch:
    """Adds up inputs of layers.

    Members
    -------
    sums: dict[str, Sums]
        By name of a layer; those that share an input have the same ones.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Sums] = {}
        self._leader: dict[str, str] = {}
        self._seen: dict[int, tuple[str, Tensor]] = {}

    def begin(self) -> None:
        """Begins a window."""
        self._seen.clear()

    def __call__(self, name: str, layer: nn.Module, inputs: Any) -> None:
        x = inputs[0]
        first = self._seen.setdefault(id(x), (name, x))[0]  # holds x: its id stays its own
        leader = self._leader.setdefault(name, first)
        if leader != first:
            raise ValueError(f"{name} must have the input of {leader} in each window, as it had in the first")
        sums = self.sums.setdefault(name, self.sums[leader] if leader != name else Sums())
        if leader == name:
            sums.add(numpy_matrix(x.reshape(-1, x.shape[-1])))


def _wide(inverse: NDArray[np.float32]) -> NDArray[np.float64]:
    return inverse.astype(np.float64)


def smoothing_divisor(site: Site) -> Tensor:
    """Returns what a layer's input is divided by, and its weights are multiplied by, float32[k].

    Channel by channel the square root of largest activation / largest weight (SmoothQuant,
    arXiv 2211.10438).
    """
    return torch.from_numpy(site.smoothing_factor().astype(np.float32))


def compensated_weights(
    site: Site,
    fmt: DenseFormat,
    policy: Policy = LargestMagnitude(),  # noqa: B008
    *,
    divisor: Tensor | None = None,
) -> DenseTensor:
    """Returns a layer's weights rounded column by column, what is left moved into later ones (GPTQ).

    Parameters
    ----------
    site
        Statistics of the layer.
    fmt
        A format with groups.
    policy
        Which weights are outliers, in a format that has some.
    divisor
        What the layer's input is divided by first, if anything: the weights are multiplied by it.
    """
    if fmt.group is None:
        raise ValueError(f"Compensation must come with a dense format in groups, not {fmt}")
    if divisor is not None:
        site = site.smoothed(divisor.double().numpy())
    bitmap = policy.mark(site.weight, fmt.outlier_format) if fmt.bank else None
    return compensated_dense(site.weight, fmt, bitmap, site.inverse_hessian())
