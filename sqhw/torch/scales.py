"""The scale of each bank: the search of ``sw_reference.quantize`` on PyTorch tensors."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sw_reference.codes import FRACTION, ScaleChoice, bank_scales
from sw_reference.format import LOW_MAX, SQFormat
from sw_reference.quantize import STEPS

__all__ = ["find_bank_scales"]

_AT_ONCE = 1 << 14  # elements whose scales are searched at once on a CPU: they fit its cache


def find_bank_scales(
    low: Tensor, high: Tensor, negative: Tensor | None, fmt: SQFormat, scale: ScaleChoice
) -> tuple[Tensor, Tensor]:
    """Returns codes uint8[banks] and scales float32[banks, 1], for low [banks, bank] and high [banks, slots]
    in row units."""
    scales, legal = _table(fmt.scale, low.device)
    if fmt.high == "fp16":
        high = high[:, :0]  # they do not depend on the bank scale
    if negative is not None:
        low, high = (torch.where(negative, -each, each) for each in (low, high))
    step = len(low) if low.is_cuda else max(1, _AT_ONCE // fmt.bank)
    parts = [
        _best(low[i : i + step], high[i : i + step], scales, fmt, scale) for i in range(0, len(low), step)
    ]
    best, turned = (torch.cat(each) for each in zip(*parts, strict=True))
    negative = None if negative is None else negative ^ turned[:, None]
    code, bank_scale = legal[best], scales[best][:, None]
    if negative is None:
        return code, bank_scale
    sign = negative[:, 0].to(torch.uint8) << fmt.bank_scale.magnitude_bits
    return code | sign, torch.where(negative, -bank_scale, bank_scale)


def _best(
    low: Tensor, high: Tensor, scales: Tensor, fmt: SQFormat, scale: ScaleChoice
) -> tuple[Tensor, Tensor]:
    """Returns the index of each bank's scale, and where it takes the other sign."""
    covering = _covering(low, high, scales, fmt, beyond=int(scale == "saturating"))
    if scale not in STEPS:
        return covering, torch.zeros_like(covering, dtype=torch.bool)
    return _least_squares(low, high, covering, scales, fmt, scale)


def _covering(low: Tensor, high: Tensor, scales: Tensor, fmt: SQFormat, *, beyond: int) -> Tensor:
    """Returns the index of the smallest scale at which no element of a bank is more than `beyond` steps
    beyond the limits of its code: int64[banks]."""
    sides: list[tuple[Tensor, int]] = []
    limits = [(low, fmt.low_min - beyond, LOW_MAX + beyond)]
    if high.shape[1]:
        limits.append((high, fmt.high_min - beyond, fmt.high_max + beyond))
    for elements, lowest, highest in limits:
        if lowest == -highest:
            sides.append((elements.abs().amax(dim=1), highest))
        else:
            sides += [(elements.amax(dim=1), highest), (-elements.amin(dim=1), -lowest)]
    return torch.stack([torch.searchsorted(scales * n, m) for m, n in sides]).amax(dim=0)


def _least_squares(
    low: Tensor, high: Tensor, index: Tensor, scales: Tensor, fmt: SQFormat, scale: ScaleChoice
) -> tuple[Tensor, Tensor]:
    """Returns the index of the scale of least squared error, and where it takes the other sign."""
    reference = scales[index][:, None]
    target = (low / reference).mul_(FRACTION).round_()
    high_target = (high / reference).mul_(FRACTION).round_().double()
    steps = torch.tensor(STEPS[scale], device=low.device)
    candidates = (index + steps[:, None]).clamp_(0, len(scales) - 1)  # [steps, banks]
    bank_scale = scales[candidates][..., None]
    quotients, high_quotients = (low / bank_scale).round_(), (high / bank_scale).round_()
    wide_scale, wide_reference = bank_scale[..., 0].double(), reference[:, 0].double()
    least, best = [], []
    for other in range(1 + (fmt.bank_scale.signed and scale == "least_squares")):
        codes = _clamped(quotients, fmt.low_min, LOW_MAX, other)
        # Exact in float32: at most 128 products of 8 * 2048 * 8 stay within 2**24.
        squares, products = (codes * codes).sum(dim=2).double(), (codes * target).sum(dim=2).double()
        if high.shape[1]:
            wide = _clamped(high_quotients, fmt.high_min, fmt.high_max, other).double()
            squares += (wide * wide).sum(dim=2)
            products += (wide * high_target).sum(dim=2)
        cost = wide_scale * (wide_scale * squares - (2 / FRACTION) * wide_reference * products)
        found, first = cost.min(dim=0)  # of equal ones the first
        least.append(found)
        best.append(candidates.gather(0, first[None])[0])
    turned = least[-1] < least[0]
    return torch.where(turned, best[-1], best[0]), turned


def _clamped(codes: Tensor, lowest: int, highest: int, other: int) -> Tensor:
    """Returns codes within their limits; with the other sign those are negated, as the codes are."""
    return codes.clamp(-highest, -lowest) if other else codes.clamp(lowest, highest)


@lru_cache(maxsize=64)
def _table(name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the positive scales called `name`, float32, and their codes, uint8."""
    legal = SQFormat(scale=name).bank_scale.legal
    scales = torch.from_numpy(bank_scales(name).copy())
    return scales.to(device), torch.tensor(legal, dtype=torch.uint8, device=device)
