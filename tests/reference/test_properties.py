"""Properties of the golden model on any legal input; hypothesis shrinks what fails.

Quantize, pack, unpack and multiply agree with the slow model and with each other.
"""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sw_reference.format import unit_exponent
from sw_reference.multiply import multiply
from sw_reference.pack import (
    dense_bytes_per_row,
    pack_dense,
    pack_sq,
    sq_bytes_per_row,
    unpack_dense,
    unpack_sq,
)
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dense_codes, dense_integers, dequantize, split
from sw_reference.tensors import DenseTensor, SQTensor
from tests import slow_dense, slow_model, slow_pack
from tests.reference.cases import exact, slow_packed, slow_rows, slow_units, slow_weights
from tests.reference.strategies import (
    dense_formats,
    dense_tensors,
    matrices,
    pairs,
    quantizations,
    sq_formats,
    sq_tensors,
)

SCALES = st.sampled_from(["least_squares", "absmax", "two_candidates", "saturating"])


def examples(count):
    """Settings of a test: as many examples."""
    return settings(max_examples=count)


# ---- quantize -------------------------------------------------------------------------------------


@given(quantizations(sq_formats()), SCALES)
@examples(250)
def test_quantize_sq_agrees_with_the_slow_model(case, scale):
    x, fmt, policy, flags = case
    zeros = [set(np.flatnonzero(np.signbit(row))) for row in x]
    want = [
        slow_model.quantize_row(r, m, fmt, scale, z) for r, m, z in zip(exact(x), flags, zeros, strict=True)
    ]
    assert slow_rows(quantize_sq(x, fmt, policy, scale)) == want


@given(quantizations(dense_formats(offsets=False)), st.sampled_from(["least_squares", "absmax"]))
@examples(200)
def test_quantize_dense_agrees_with_the_slow_model(case, scale):
    x, fmt, policy, flags = case
    t = quantize_dense(x, fmt, scale, policy)
    group_scale = t.group_scale.tolist() if t.group_scale is not None else [[]] * len(x)
    got = list(zip(dense_codes(t).tolist(), group_scale, t.row_scale.view(np.uint32).tolist(), strict=True))
    flat = [[mark for bank in row for mark in bank][: t.k] for row in flags]
    assert got == [
        slow_dense.quantize_dense_row(r, fmt, scale, m) for r, m in zip(exact(x), flat, strict=True)
    ]
    if fmt.bank and fmt.mask == "bitmap":
        assert t.bitmap.tolist() == flags


@given(st.data())
@examples(60)
def test_quantize_takes_each_row_for_itself(data):
    x = data.draw(matrices((3, data.draw(st.integers(1, 20)))))
    fmt, dense = data.draw(sq_formats()), data.draw(dense_formats(offsets=False))
    assert slow_rows(quantize_sq(x, fmt)) == [slow_rows(quantize_sq(x[i : i + 1], fmt))[0] for i in range(3)]
    whole, parts = (
        dequantize(quantize_dense(x, dense)),
        [quantize_dense(x[i : i + 1], dense) for i in range(3)],
    )
    assert whole.tolist() == [dequantize(part)[0].tolist() for part in parts]


@given(st.data())
@examples(60)
def test_quantize_commutes_with_signs_and_powers_of_two(data):
    """Where codes reach further below 0 than above, a sign may change them."""
    x = data.draw(arrays(np.float32, (2, 17), elements=st.floats(-1e4, 1e4, width=16)))
    factor = data.draw(st.sampled_from([-1.0, 2.0**-9, -(2.0**11)]))
    fmt, dense = data.draw(sq_formats()), data.draw(dense_formats(offsets=False))
    as_far = fmt.low_min == -7, dense.mask != "index" and not (dense.group and dense.scale == "linear8")
    quantizers = (lambda v: quantize_sq(v, fmt), lambda v: quantize_dense(v, dense))
    for quantize, symmetric in zip(quantizers, as_far, strict=True):
        times = factor if symmetric else abs(factor)
        scaled = dequantize(quantize(x * np.float32(times)))
        assert scaled.tolist() == (dequantize(quantize(x)) * times).tolist()


@given(st.data())
@examples(60)
def test_absmax_is_off_by_half_a_step_at_most(data):
    fmt = data.draw(sq_formats())
    x = data.draw(arrays(np.float32, (1, 16), elements=st.floats(-60000, 60000, width=16)))
    t = quantize_sq(x, fmt, scale="absmax")
    steps = [abs(slow_model.bank_scale(code, fmt.scale)) for code in t.scale[0].tolist()]
    row_scale = Fraction(float(t.row_scale[0]))
    for i, (value, got) in enumerate(zip(exact(x)[0], dequantize(t)[0].tolist(), strict=True)):
        if t.bitmap.reshape(-1)[i] and fmt.high == "fp16":
            error = abs(Fraction(got) - value) / row_scale
            assert error <= max(abs(value) / row_scale / 2048, Fraction(1, 2**25))
        else:
            assert abs(Fraction(got) - value) <= row_scale * steps[i // fmt.bank] / 2


# ---- pack and unpack ------------------------------------------------------------------------------


@given(st.data())
@examples(100)
def test_packed_sq_banks_are_the_slow_models_and_come_back(data):
    fmt = data.draw(sq_formats())
    k = data.draw(st.integers(1, 40))
    t = data.draw(sq_tensors(fmt, data.draw(st.integers(1, 2)), k))
    packed = pack_sq(t)
    assert [row.tobytes() for row in packed] == [slow_pack.pack_sq_row(row, fmt) for row in slow_rows(t)]
    assert slow_rows(unpack_sq(packed, fmt, k, t.row_scale)) == slow_rows(t)


@given(st.data())
@examples(100)
def test_packed_dense_groups_are_the_slow_models_and_come_back(data):
    fmt = data.draw(dense_formats())
    k = data.draw(st.integers(1, 40))
    t = data.draw(dense_tensors(fmt, data.draw(st.integers(1, 2)), k))
    packed = pack_dense(t)
    assert [row.tobytes() for row in packed] == slow_packed(t)
    back = unpack_dense(packed, fmt, k, t.row_scale)
    for name in ("codes", "group_scale", "row_scale", "bitmap", "high", "index", "offset"):
        before, after = getattr(t, name), getattr(back, name)
        assert after is before is None or after.tolist() == before.tolist()


@given(st.data())
@examples(200)
def test_any_bytes_unpack_to_themselves_or_are_refused(data):
    """A legal row with some of its bytes replaced by any others."""
    sq = data.draw(st.booleans())
    fmt = data.draw(sq_formats() if sq else dense_formats())
    k = data.draw(st.integers(1, 20))
    one = np.ones(1, np.float32)
    size = sq_bytes_per_row(fmt, k) if sq else dense_bytes_per_row(fmt, k)
    t = data.draw((sq_tensors if sq else dense_tensors)(fmt, 1, k))
    packed = (pack_sq if sq else pack_dense)(t)
    changes = st.dictionaries(st.integers(0, size - 1), st.integers(0, 255), max_size=3)
    for place, byte in data.draw(changes).items():
        packed[0, place] = byte
    try:
        back = (unpack_sq if sq else unpack_dense)(packed, fmt, k, one)
    except ValueError as error:
        message = str(error)
    else:
        assert (pack_sq if sq else pack_dense)(back).tobytes() == packed.tobytes()
        return
    assert message.startswith("Row 0")


# ---- multiply -------------------------------------------------------------------------------------


def kinds(sq, dense):
    """Returns which of the cases worth reaching a product is."""
    both = dense.bitmap is not None and np.any(flat(sq)[:, None] & flat(dense)).item()
    short = dense.format.group is not None and dense.k % dense.format.group > 0
    full = sq.format.outliers > 0 and sq.bitmap.all(axis=-1).any().item()
    cases = {"outlier times outlier": both, "short group": short, "bank of outliers": full}
    return {name for name, reached in cases.items() if reached}


def flat(t):
    return t.bitmap.reshape(t.rows, -1)[:, : t.k]


def test_multiply_agrees_with_the_slow_model():
    reached = set()

    @given(pairs())
    @examples(400)
    def agrees(pair):
        sq, dense = pair
        product = multiply(sq, dense)
        lows, highs = slow_units(sq)
        elements = [
            [a + b for a, b in zip(*row, strict=True)][: sq.k] for row in zip(lows, highs, strict=True)
        ]
        acc = [[slow_model.dot(x, w) for w in slow_weights(dense)] for x in elements]
        assert product.acc.tolist() == acc
        row_scales, column_scales = (t.row_scale.view(np.uint32).tolist() for t in (sq, dense))
        want = [
            [
                slow_model.round_result(v, row_scale, column_scale, unit_exponent(sq.format, dense.format))
                for v, column_scale in zip(row, column_scales, strict=True)
            ]
            for row, row_scale in zip(acc, row_scales, strict=True)
        ]
        assert product.y.view(np.uint32).tolist() == want
        reached.update(kinds(sq, dense))

    agrees()
    assert reached == {"outlier times outlier", "short group", "bank of outliers"}


@given(pairs())
@examples(100)
def test_multiply_is_the_product_of_what_is_dequantized(pair):
    """In fractions, from the numbers that the two operands stand for."""
    sq, dense = pair
    parts = split(sq)
    row_scale = [Fraction(float(s)) * Fraction(2) ** sq.format.unit_exponent for s in sq.row_scale]
    column_scale = [Fraction(float(s)) * Fraction(2) ** dense.format.unit_exponent for s in dense.row_scale]
    x = [
        [e * int(v) for v in row[: sq.k]]
        for e, row in zip(row_scale, parts.low.astype(object) + parts.high, strict=True)
    ]
    w = [[r * int(v) for v in row] for r, row in zip(column_scale, dense_integers(dense), strict=True)]
    acc = multiply(sq, dense).acc.tolist()
    for m, a in enumerate(x):
        for n, b in enumerate(w):
            assert acc[m][n] * row_scale[m] * column_scale[n] == sum(p * q for p, q in zip(a, b, strict=True))


@given(st.data())
@examples(60)
def test_multiply_does_not_care_where_the_sum_is_cut(data):
    """The first banks and the rest, each multiplied for itself, add up to the whole."""
    sq_format = data.draw(sq_formats())
    dense_format = data.draw(dense_formats())
    block = max(sq_format.bank, dense_format.bank or 4, dense_format.group or 4)
    k = block + data.draw(st.integers(1, 20))
    sq, dense = data.draw(sq_tensors(sq_format, 1, k)), data.draw(dense_tensors(dense_format, 1, k))

    def cut(start, end):
        banks = slice(start // sq_format.bank, -(-end // sq_format.bank))
        high = None if dense.high is None else slice(start // dense_format.bank, -(-end // dense_format.bank))
        group = None
        if dense_format.group:
            group = slice(start // dense_format.group, -(-end // dense_format.group))
        part = SQTensor(
            sq_format,
            end - start,
            sq.low[:, banks],
            sq.bitmap[:, banks],
            sq.scale[:, banks],
            sq.high[:, banks],
            sq.row_scale,
            None if sq.index is None else sq.index[:, banks],
        )
        other = DenseTensor(
            dense_format,
            end - start,
            dense.codes[:, start:end],
            None if group is None else dense.group_scale[:, group],
            dense.row_scale,
            None if high is None else dense.bitmap[:, high],
            None if high is None else dense.high[:, high],
            None if dense.index is None else dense.index[:, high],
            None if dense.offset is None else dense.offset[:, group],
        )
        return multiply(part, other).acc.tolist()[0][0]

    assert multiply(sq, dense).acc.tolist()[0][0] == cut(0, block) + cut(block, k)
