"""The SQ encoder on PyTorch tensors: the codes of ``sw_reference.quantize``, bit for bit.

It runs on the device that a tensor is on, without a copy to another. All its float32 and float64 steps are
exact or rounded once by IEEE 754, so devices agree; sums are exact in any order (``sw_reference.codes``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sw_reference.checks import check_choice
from sw_reference.codes import SCALE_CHOICES, ScaleChoice, bank_scales
from sw_reference.format import LOW_MAX, SENTINEL, SQFormat
from sw_reference.policy import LargestMagnitude, Policy, Threshold, as_policy
from sw_reference.quantize import FP16_LIMIT

from .scales import find_bank_scales

__all__ = ["Encoding", "checked", "encode"]

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
    code, bank_scale = find_bank_scales(low, high, _negative(regular, fmt), fmt, scale)
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


def _power_of_two(exponent: Tensor) -> Tensor:
    """Returns 2**exponent as float32, for int32 exponents of normal numbers."""
    return ((exponent + _BIAS) << _FRACTION_BITS).view(torch.float32)
