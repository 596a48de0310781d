"""Any legal input of the golden model, for hypothesis: formats, matrices, masks, operands."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sw_reference.codes import bank_scale_units
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.masks import named_elements, used_slots
from sw_reference.policy import GivenMask, LargestImportance, LargestMagnitude, Threshold
from sw_reference.tensors import DenseTensor, SQTensor
from tests import slow_model
from tests.reference.cases import exact


@st.composite
def sq_formats(draw):
    bank = draw(st.sampled_from([4, 8, 16]))
    segment = draw(st.sampled_from([size for size in (4, 8, 16) if size <= bank]))
    outliers = draw(st.integers(0, segment))
    scale = draw(st.sampled_from(["e5m3", "e5m3", "e3m2s", "e2m3s", "e1m0", "e4m1"]))
    masks = ["bitmap", "sentinel"] if scale == "e5m3" else ["bitmap", "sentinel", "index", "index"]
    mask = draw(st.sampled_from(masks))
    high = "int8" if mask == "index" else draw(st.sampled_from(["fp16", "int8"]))
    return SQFormat(bank, outliers, high, mask, scale, segment)


@st.composite
def dense_formats(draw, offsets=True):
    bank = draw(st.sampled_from([None, 4, 8, 16]))
    group = draw(st.sampled_from([None, 4, 16, 48]))
    scale = draw(st.sampled_from(["e3m3", "linear8"]))
    offset = offsets and group is not None and draw(st.booleans())
    if bank is None:
        return DenseFormat(draw(st.sampled_from([4, 8])), group, 0, None, scale, offset)
    mask = draw(st.sampled_from(["bitmap", "index"]))
    return DenseFormat(4, group, draw(st.integers(1, bank)), bank, scale, offset, mask)


def matrices(shape):
    """Numbers of every size, and small multiples of a quarter, which meet ties and equal each other."""
    any_float = st.floats(width=32, allow_nan=False, allow_infinity=False)
    quarter = st.integers(-30, 30).map(lambda n: n / 4)
    return st.one_of(arrays(np.float32, shape, elements=e) for e in (any_float, quarter))


def positive_floats(count):
    """Row scales: any normal positive float32."""
    return arrays(np.uint32, count, elements=st.integers(0x00800000, 0x7F7FFFFF)).map(
        lambda x: x.view(np.float32)
    )


@st.composite
def bitmaps(draw, fmt, rows, k):
    """bool[rows, banks, bank] within the capacity of each segment, none in the padding."""
    bitmap = np.zeros((rows, fmt.banks(k) * fmt.bank), bool)
    segment = fmt.segment_size
    for row in range(rows):
        for start in range(0, k, segment):
            inside = min(segment, k - start)
            most = min(fmt.outliers, inside)
            # Sets alone rarely fill a bank with outliers.
            marked = st.sets(st.integers(0, inside - 1), max_size=most) | st.just(set(range(most)))
            bitmap[row, [start + i for i in draw(marked)]] = True
    return bitmap.reshape(rows, -1, fmt.bank)


def high_codes(fmt):
    if fmt.high == "fp16":
        return st.integers(0, 0xFFFF).filter(lambda code: code & 0x7C00 != 0x7C00)
    return st.integers(-128, 127) if fmt.mask == "sentinel" else st.integers(-8, 7)


@st.composite
def slots(draw, fmt, rows, k):
    """High codes, bitmap and positions of any legal tensor."""
    shape = (rows, fmt.banks(k), fmt.slots)
    high = draw(arrays(np.uint16 if fmt.high == "fp16" else np.int8, shape, elements=high_codes(fmt)))
    if not fmt.has_index:
        bitmap = draw(bitmaps(fmt, rows, k))
        used = used_slots(bitmap.reshape(rows, -1, fmt.segment_size), fmt.outliers)
        high[~used.reshape(shape)] = 0
        return high, bitmap, None
    index = draw(arrays(np.uint8, shape, elements=st.integers(0, fmt.segment_size - 1)))
    starts = np.repeat(np.arange(0, fmt.banks(k) * fmt.bank, fmt.segment_size), fmt.outliers)
    high[starts.reshape(shape[1:]) + index >= k] = 0
    return high, named_elements(fmt, index, high), index


@st.composite
def sq_tensors(draw, fmt, rows, k):
    """Any legal SQ operand, whatever an encoder would write."""
    high, bitmap, index = draw(slots(fmt, rows, k))
    inside = (np.arange(bitmap[0].size) < k).reshape(1, *bitmap.shape[1:])
    low = np.where(inside, draw(arrays(np.int8, bitmap.shape, elements=st.integers(fmt.low_min, 7))), 0)
    if fmt.mask == "sentinel":
        low[bitmap] = -8
    elif fmt.high == "fp16":
        low[bitmap] = 0
    else:
        low[bitmap] = draw(arrays(np.int8, int(bitmap.sum()), elements=st.integers(-8, 7)))
    codes = [code for code, units in enumerate(bank_scale_units(fmt)) if units]
    scale = draw(arrays(np.uint8, bitmap.shape[:2], elements=st.sampled_from(codes)))
    return SQTensor(fmt, k, low.astype(np.int8), bitmap, scale, high, draw(positive_floats(rows)), index)


@st.composite
def dense_tensors(draw, fmt, rows, k):
    """Any legal dense operand."""
    codes = draw(arrays(np.int8, (rows, k), elements=st.integers(fmt.code_min, fmt.code_max)))
    shape = (rows, fmt.groups(k))
    largest = (1 << fmt.group_scale_bits) - 1
    group_scale = draw(arrays(np.uint8, shape, elements=st.integers(0, largest))) if fmt.group else None
    offset = draw(arrays(np.int8, shape, elements=st.integers(-128, 127))) if fmt.offset else None
    row_scale = draw(positive_floats(rows))
    if fmt.bank is None:
        return DenseTensor(fmt, k, codes, group_scale, row_scale, offset=offset)
    high, bitmap, index = draw(slots(fmt.outlier_format, rows, k))
    return DenseTensor(fmt, k, codes, group_scale, row_scale, bitmap, high, index, offset)


@st.composite
def pairs(draw):
    """Two operands of a product."""
    sq_format = draw(sq_formats())
    dense_format = draw(dense_formats())
    k = draw(st.integers(1, 40))
    sq = draw(sq_tensors(sq_format, draw(st.integers(1, 2)), k))
    return sq, draw(dense_tensors(dense_format, draw(st.integers(1, 2)), k))


@st.composite
def quantizations(draw, formats):
    """A matrix, a format, a policy, and the slow model's mask: bool lists [rows][banks][bank]."""
    fmt = draw(formats)
    k = draw(st.integers(1, 20))
    x = draw(matrices((draw(st.integers(1, 2)), k)))
    kind = (
        draw(st.sampled_from(["magnitude", "threshold", "importance", "mask"]))
        if fmt.outliers
        else "magnitude"
    )
    importance, limit = np.ones(k, np.float32), Fraction(0)
    if kind == "mask":
        bitmap = draw(bitmaps(fmt.outlier_format if isinstance(fmt, DenseFormat) else fmt, len(x), k))
        return x, fmt, GivenMask(bitmap.reshape(len(x), -1)[:, :k]), bitmap.tolist()
    policy = LargestMagnitude()
    if kind == "threshold":
        threshold = draw(st.floats(0, 1e39))
        policy, limit = Threshold(threshold), Fraction(threshold)
    elif kind == "importance":
        importance = draw(arrays(np.float32, k, elements=st.floats(0, 2.0**120, width=32)))
        policy = LargestImportance(importance)
    weighted = [
        [abs(v) * Fraction(float(i)) for v, i in zip(row, importance, strict=True)] for row in exact(x)
    ]
    if fmt.bank is None:
        return x, fmt, policy, [[[False] * k] for _ in weighted]
    marked = fmt.outlier_format if isinstance(fmt, DenseFormat) else fmt
    return x, fmt, policy, [slow_model.marked(row, marked, limit) for row in weighted]
