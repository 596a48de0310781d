"""The SQ encoder on PyTorch tensors: the codes of ``sw_reference.quantize``, bit for bit.

It runs on the device that a tensor is on, without a copy to another. All its float32 and float64 steps are
exact or rounded once by IEEE 754, so devices agree; sums are exact in any order (``sw_reference.codes``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sw_reference.checks import check_choice
from sw_reference.codes import FRACTION, SCALE_CHOICES, ScaleChoice, bank_scales
from sw_reference.format import LOW_MAX, SENTINEL, SQFormat
from sw_reference.policy import LargestMagnitude, Policy, Threshold, as_policy
from sw_reference.quantize import FP16_LIMIT, STEPS

__all__ = ["Encoding", "checked", "encode"]

_AT_ONCE = 1 << 14  # elements whose scales are searched at once on a CPU: they fit its cache
_POSITION_BITS = 7  # of a position in a segment
_BIAS, _FRACTION_BITS = 127, 23  # of float32
_SMALLEST_EXPONENT = 1 - _BIAS


@dataclass(frozen=True, eq=False)
class Encoding:
    """An SQ operand on its way to codes; tensors on the device of what was encoded.

    Parameters
    ----------
    format, k
        Its format, and elements of a row.
    low
        float32[rows * banks, bank]: low codes of regular elements, 0 at outliers.
    whole
        float32[rows * segments, outliers]: INT8 high codes, or FP16 ones as numbers; 0 in unused slots.
    position
        int64, of the same shape: the element in its segment; 0 in unused slots.
    used
        bool, of the same shape: whether a slot holds an outlier; outliers are in no order.
    code
        uint8[rows * banks]: bank scales.
    bank_scale
        float32[rows * banks, 1]: the same as numbers, signs included, in row units.
    exponent
        int32[rows]: log2 of the row scales.
    """

    format: SQFormat
    k: int
    low: Tensor
    whole: Tensor
    position: Tensor
    used: Tensor
    code: Tensor
    bank_scale: Tensor
    exponent: Tensor

    def in_row_units(self) -> Tensor:
        """Returns the elements over their row's scale, exact: float32[rows, k]."""
        fmt = self.format
        if fmt.high == "fp16":
            elements = self._placed(self.low * self.bank_scale, self.whole)
        else:
            elements = self._placed(self.low, self.whole) * self.bank_scale
        return elements.view(len(self.exponent), -1)[:, : self.k]

    def values(self) -> Tensor:
        """Returns the elements, float32[rows, k]; exact but for subnormal numbers."""
        return self.in_row_units() * self.row_scale()[:, None]

    def units(self) -> Tensor:
        """Returns the elements as integers in units of row scale * 2**format.unit_exponent.

        float64[rows, k]
        """
        return self.in_row_units().double() * 2.0**-self.format.unit_exponent

    def row_scale(self) -> Tensor:
        """Returns the row scales, powers of two: float32[rows]."""
        return _power_of_two(self.exponent)

    def arrays(self) -> dict[str, Tensor]:
        """Returns the arrays of an ``SQTensor``: low, bitmap, scale, high, row_scale and, maybe, index."""
        fmt, shape = self.format, (len(self.exponent), self.format.banks(self.k))
        # Slots are in order of their elements, unused ones last.
        order = torch.where(self.used, self.position, fmt.segment_size).argsort(dim=1)
        position, whole, used = (each.gather(1, order) for each in (self.position, self.whole, self.used))
        low, high, marked = self.low, whole, used
        if fmt.in_nibbles:
            high = ((whole + 8) / 16).floor()
            low = self._placed(low, self.whole - 16 * ((self.whole + 8) / 16).floor())
        if fmt.mask == "sentinel":
            low = self._placed(low, self.used * float(SENTINEL))
        if fmt.has_index:
            marked = used & (high != 0)
        bitmap = torch.zeros(self.low.shape, dtype=torch.int8, device=low.device).view(-1, fmt.segment_size)
        if fmt.outliers:
            bitmap.scatter_add_(1, position, marked.to(torch.int8))
        codes = (
            high.half().view(torch.int16).view(torch.uint16) if fmt.high == "fp16" else high.to(torch.int8)
        )
        arrays = {
            "low": low.to(torch.int8).view(*shape, fmt.bank),
            "bitmap": bitmap.bool().view(*shape, fmt.bank),
            "scale": self.code.view(shape),
            "high": codes.view(*shape, fmt.slots),
            "row_scale": self.row_scale(),
        }
        return arrays | ({"index": position.to(torch.uint8).view(*shape, fmt.slots)} if fmt.has_index else {})

    def _placed(self, elements: Tensor, high: Tensor) -> Tensor:
        """Returns elements [rows * banks, bank] plus what slots give to them."""
        if not self.format.outliers:
            return elements
        segments = elements.reshape(-1, self.format.segment_size)
        return segments.scatter_add(1, self.position, high).view(elements.shape)


@torch.no_grad()
def encode(
    x: Tensor,
    fmt: SQFormat,
    policy: Policy | str = LargestMagnitude(),  # noqa: B008
    scale: ScaleChoice = "least_squares",
) -> Encoding:
    """Encodes a matrix, as ``sw_reference.quantize.quantize_sq`` does.

    Parameters
    ----------
    x
        [rows, k], of a float dtype; float64 is rounded to float32 first.
    fmt
        The format.
    policy
        Which elements are outliers. ``LargestMagnitude`` and ``Threshold`` work on x's device, others on the
        CPU.
    scale
        How bank scales are chosen.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or x holds NaN or Inf.
    """
    check_choice("Scale", scale, SCALE_CHOICES)
    if not isinstance(fmt, SQFormat):
        raise TypeError(f"Format must be an SQFormat, such as SQFormat(16, 2, 'int8'), not {fmt!r}")
    x = checked(x)
    rows, k = x.shape
    banks = torch.nn.functional.pad(x, (0, -k % fmt.bank)).view(-1, fmt.bank)
    position, used, outliers = _outliers(x, banks.view(-1, fmt.segment_size), fmt, as_policy(policy))
    regular = banks
    if fmt.outliers:
        segments = banks.view(-1, fmt.segment_size)
        regular = segments.scatter_add(1, position, -outliers).view(banks.shape)
    exponent = _row_exponent(regular.view(rows, -1), outliers.view(rows, -1), fmt)
    factor = _power_of_two(-exponent).repeat_interleave(fmt.banks(k))[:, None]
    low, high = regular * factor, outliers.view(len(banks), -1) * factor
    code, bank_scale = _bank_scales(low, high, _negative(regular, fmt), fmt, scale)
    low = (low / bank_scale).round_().clamp_(fmt.low_min, LOW_MAX)
    if fmt.high == "fp16":
        whole = high.half().float()
    else:
        whole = (high / bank_scale).round_().clamp_(fmt.high_min, fmt.high_max)
    return Encoding(fmt, k, low, whole.view(outliers.shape), position, used, code, bank_scale, exponent)


def checked(x: Tensor) -> Tensor:
    """Returns x as float32; refuses what is no matrix of finite numbers, or has a number that becomes 0."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"A matrix must be a tensor of floats, not {kind}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"A matrix must have shape [rows, k] with at least one element, not {tuple(x.shape)}"
        )
    result = x.detach().float()
    if not result.abs().amax().isfinite():
        bad = ~result.isfinite()
    elif x.dtype == torch.float64:
        bad = (result == 0) & (x != 0)
    else:
        return result
    if bad.any():
        row, column = (int(i) for i in bad.nonzero()[0])
        rule = "a finite float32" if result[row, column] else "0 or at least float32's smallest, 1.4e-45"
        number = x[row, column].item()
        raise ValueError(f"Row {row}, column {column}: an element must be {rule}, not {number}")
    return result


def _outliers(x: Tensor, segments: Tensor, fmt: SQFormat, policy: Policy) -> tuple[Tensor, Tensor, Tensor]:
    """Returns positions, whether slots are used, and outliers: [segments, outliers] each."""
    if isinstance(policy, LargestMagnitude | Threshold):
        magnitude, limit = segments.abs(), policy.limit if isinstance(policy, Threshold) else 0.0
    else:
        mask = torch.from_numpy(policy.mark(x.cpu().numpy(), fmt))
        magnitude, limit = mask.to(x.device, torch.float32).view(segments.shape), 0.0
    size = fmt.segment_size
    # Floats that are not negative are in the order of their bits. A position below them makes all keys
    # different: the lower one wins.
    places = torch.arange(size - 1, -1, -1, device=x.device)
    keys = (magnitude.view(torch.int32).long() << _POSITION_BITS) | places
    top = keys.topk(fmt.outliers, dim=1, sorted=False).values
    position = size - 1 - (top & ((1 << _POSITION_BITS) - 1))
    found = (top >> _POSITION_BITS).int().view(torch.float32)
    used = found.double() > limit
    position = torch.where(used, position, 0)
    return position, used, torch.where(used, segments.gather(1, position), 0)


def _row_exponent(regular: Tensor, outliers: Tensor, fmt: SQFormat) -> Tensor:
    """Returns log2 of the row scales: the smallest at which nothing needs more than the largest codes."""
    largest = float(bank_scales(fmt.scale)[-1])
    limits = [(regular, LOW_MAX * largest)]
    if fmt.outliers:
        limits.append((outliers, FP16_LIMIT if fmt.high == "fp16" else fmt.high_max * largest))
    exponent = torch.full((len(regular),), _SMALLEST_EXPONENT, dtype=torch.int32, device=regular.device)
    some = torch.zeros(len(regular), dtype=torch.bool, device=regular.device)
    for elements, limit in limits:
        maximum = elements.abs().amax(dim=1)
        fraction, power = maximum.frexp()
        limit_fraction, limit_power = torch.tensor(limit, dtype=torch.float32).frexp()
        needed = power - int(limit_power) + (fraction > float(limit_fraction))
        exponent = torch.where(maximum > 0, torch.maximum(exponent, needed), exponent)
        some |= maximum > 0
    return torch.where(some, exponent, 0)


def _negative(regular: Tensor, fmt: SQFormat) -> Tensor | None:
    """Returns where a bank scale is to be negative first, bool[banks, 1]; None without a sign.

    The largest regular element is to take the side of -8; of two as large as each other the positive one.
    """
    if not fmt.bank_scale.signed:
        return None
    largest = regular.amax(dim=1, keepdim=True)
    return (largest >= -regular.amin(dim=1, keepdim=True)) & (largest > 0)


def _bank_scales(
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


def _power_of_two(exponent: Tensor) -> Tensor:
    """Returns 2**exponent as float32, for int32 exponents of normal numbers."""
    return ((exponent + _BIAS) << _FRACTION_BITS).view(torch.float32)


@lru_cache(maxsize=64)
def _table(name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the positive scales called `name`, float32, and their codes, uint8."""
    legal = SQFormat(scale=name).bank_scale.legal
    scales = torch.from_numpy(bank_scales(name).copy())
    return scales.to(device), torch.tensor(legal, dtype=torch.uint8, device=device)
