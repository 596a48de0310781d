"""The host arithmetic of the language model that has the same bits everywhere."""

import hashlib
import math
from decimal import Decimal, localcontext

import numpy as np

from sw_reference.llm import KVCache, Model
from sw_reference.llm.reproducible import REPRODUCIBLE, cosine_sine, exponential, ordered_sum
from tests.reference.test_llm import TEXT, TINY, plain_logits, tiny_weights

DIGEST = "7d90d2828f8277fececeb1d5b67006705e8bf2717c6b0b202ae2281ff75b81cf"


def model():
    return Model(TINY, tiny_weights(), arithmetic=REPRODUCIBLE)


def by_definition(numbers):
    """The order of `ordered_sum`, number by number."""
    while len(numbers) > 1:
        half = max(1 << i for i in range(12) if 1 << i < len(numbers))
        numbers = [a + b for a, b in zip(numbers[:half], numbers[half:] + [0.0] * half, strict=False)]
    return numbers[0]


def test_sums_are_added_in_the_order_that_is_promised():
    rng = np.random.default_rng(1)
    for count in (*range(1, 40), 576, 1536):
        a = rng.normal(size=(3, count, 2))
        expected = [[by_definition(a[i, :, j].tolist()) for j in range(2)] for i in range(3)]
        padded = np.concatenate([a, np.zeros((3, 5, 2))], axis=1)
        np.testing.assert_array_equal(ordered_sum(a.copy(), 1), expected)
        np.testing.assert_array_equal(ordered_sum(padded, 1), expected)


def test_a_sum_of_zeros_is_plus_zero():
    assert not np.signbit(ordered_sum(np.array([-0.0]), 0))


def test_exponentials_keep_their_bound():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-700, 700, 2000), rng.normal(size=1000), [0, -700, 700]])
    with localcontext() as context:
        context.prec = 60
        wanted = [Decimal(number).exp() for number in x.tolist()]
        errors = [abs(Decimal(e) / w - 1) for e, w in zip(exponential(x).tolist(), wanted, strict=True)]
    assert max(errors) < Decimal(2) ** -50
    assert exponential(np.zeros(1)) == 1


def test_cosines_and_sines_keep_their_bound():
    x = np.random.default_rng(1).uniform(0, 2**19, 20000)
    x[:3] = 0, 1, math.pi / 4
    cosine, sine = cosine_sine(x)
    # The library's own functions are right to 2**-52.
    assert np.abs(cosine - np.cos(x)).max() < 2**-45
    assert np.abs(sine - np.sin(x)).max() < 2**-45


def test_scores_are_those_of_plain_formulas():
    reproducible = model()
    found = reproducible.logits(reproducible.hidden(TEXT))
    np.testing.assert_allclose(found, plain_logits(reproducible.weights, TEXT), rtol=1e-4, atol=1e-5)


def test_a_token_does_not_depend_on_its_company():
    reproducible, cache = model(), KVCache()
    at_once = reproducible.logits(reproducible.hidden(TEXT, linear=exact))
    for position, token in enumerate(TEXT):
        alone = reproducible.logits(reproducible.hidden([token], cache=cache, linear=exact))
        np.testing.assert_array_equal(alone[0].view(np.uint32), at_once[position].view(np.uint32))


def exact(name, x, weight):
    """A linear layer whose every number is rounded once, whatever BLAS does: of few bits."""
    x, weight = (np.rint(a * 64).astype(np.float64) for a in (x, weight))
    return ((x @ weight.T) / 4096).astype(np.float32)


def test_the_bits_are_the_same_on_every_machine():
    reproducible = model()
    scores = reproducible.logits(reproducible.hidden(TEXT, linear=exact))
    assert hashlib.sha256(scores.astype("<f4").tobytes()).hexdigest() == DIGEST
