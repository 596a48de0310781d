# amaranth: UnusedElaboratable=no
"""Ends that do not agree and scales that come late: what is right stays right, in every kind of PE."""

from dataclasses import replace
from itertools import chain, product

import numpy as np
import pytest

from sim.traffic.faults import ENDS, with_lasts
from sim.traffic.operands import random_dense, random_sq
from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.packing import dot_products, with_length
from sqhw.pe.pe import ProcessingElement
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply, round_result
from tests.hardware import STALLS, drive_stream
from tests.pe.test_one_step import CONFIGS as ONE_STEP
from tests.pe.test_one_step import random_operands

ERROR = 1 << 32 | 0x7FC00000
KINDS = {
    "no outliers": PEConfig(SQFormat(8, 0), DenseFormat(4), 4, 0, 64),
    "int8": PEConfig(SQFormat(8, 2, "int8"), DenseFormat(4, 16), 4, 1, 64),
    "fp16": PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16), 8, 1, 64),
    "shared": PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(4, 16), 4, 1, 64),
    "outliers on both sides": PEConfig(SQFormat(8, 2, "int8"), DenseFormat(4, None, 1, 8), 4, 2, 64),
    "outliers by index": ONE_STEP["a bank in two beats"],
}


def split(scales):
    """Both row scales of a word, an array of one each."""
    return tuple(np.array([scales >> at & 0xFFFFFFFF], np.uint32).view(np.float32) for at in (0, 32))


def right(config, rng):
    """A right dot product of one to three banks, and its result."""
    k = config.sq.bank * int(rng.integers(1, 4))
    if config.sq.mask == "index":
        sq, dense = random_operands(config, rng, 1, 1, k)
    else:
        sq, dense = random_sq(rng, config.sq, 1, k), random_dense(rng, config.dense, 1, k)
    (beats,) = dot_products(config, sq, dense)
    return beats, int(multiply(sq, dense).y.view(np.uint32)[0, 0])


def both_cut(config, left, right):
    """A length of one beat, where that is inside a bank and so no legal end; both streams say the same."""
    if config.beats_per_bank == 1 or config.sq.mask == "index":
        return None
    sq, dense = sq_beat_layout(config), dense_beat_layout(config)
    return with_length(config, with_lasts(sq, left[:1], [0])), with_lasts(dense, right[:1], [0])


def traffic(config, faults, seed):
    """Returns the streams of right and wrong dot products in turns and their results."""
    rng = np.random.default_rng(seed)
    sent = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    for fault in faults:
        beats, y = right(config, rng)
        other, _ = right(config, rng)
        wrong = fault(config, other.sq, other.dense)
        for left, dense, scales, result in (
            (beats.sq, beats.dense, beats.scales, y),
            *([(*wrong, other.scales, ERROR)] if wrong else []),
        ):
            sent["i_sq"] += left
            sent["i_dense"] += dense
            sent["i_scales"].append(scales)
            expected.append(result)
    return sent, expected


VARIANTS = [
    pytest.param(kind, pipeline, output, stalls, marks=() if index % 4 == number % 4 else pytest.mark.slow)
    for number, (kind, pipeline, output) in enumerate(
        product(KINDS, ("short", "long"), ("pipelined", "serial"))
    )
    for index, stalls in enumerate(STALLS)
]
"""One pattern of stalls for each hardware in the quick tests."""


@pytest.mark.parametrize(("kind", "pipeline", "output", "stalls"), VARIANTS)
def test_ends_that_do_not_agree_cost_one_result(kind, pipeline, output, stalls):
    config = replace(KINDS[kind], pipeline=pipeline, output=output)
    sent, expected = traffic(config, [*ENDS.values(), both_cut], [SEED, len(kind), len(stalls)])
    got, _ = drive_stream(ProcessingElement(config), sent, len(expected), stalls=stalls, seed=SEED)
    assert got == expected
    assert expected.count(ERROR) >= 6
    assert len(got) >= 18


@pytest.mark.parametrize("output", ["pipelined", "serial"])
@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("kind", ["no outliers", "int8"])
def test_scales_that_answer_the_result_before(kind, stalls, output):
    """The master sends the scales of a dot product only once it has all results before."""
    config = replace(KINDS[kind], output=output)
    sent, expected = traffic(config, list(ENDS.values())[::2], [SEED, len(kind), len(stalls)])
    got, _ = drive_stream(
        ProcessingElement(config), sent, len(expected), stalls=stalls, seed=SEED, answers="i_scales"
    )
    assert got == expected
    assert len(got) >= 8


def test_a_bank_that_is_cut_takes_no_turn_of_the_one_before():
    """Two banks with an outlier each, one behind the other: one whole, one cut behind its first beat."""
    config = KINDS["shared"]
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 60, 8, extreme=True), random_dense(rng, config.dense, 60, 8)
    sent, expected = {"i_sq": [], "i_dense": [], "i_scales": []}, []
    whole = multiply(sq, dense).y.view(np.uint32)
    for number, beats in enumerate(dot_products(config, sq, dense, [(row, row) for row in range(60)])):
        streams = (beats.sq, beats.dense) if number % 3 == 0 else both_cut(config, beats.sq, beats.dense)
        sent["i_sq"] += streams[0]
        sent["i_dense"] += streams[1]
        sent["i_scales"].append(beats.scales)
        expected.append(ERROR if number % 3 else int(whole[number, number]))
    got, _ = drive_stream(ProcessingElement(config), sent, 60, seed=SEED)
    assert got == expected


def numbered(count, banks):
    """Dot products of so many banks each, and their results."""
    config, rng = KINDS["int8"], np.random.default_rng(SEED)
    k = config.sq.bank * banks
    sq, dense = random_sq(rng, config.sq, count, k), random_dense(rng, config.dense, count, k)
    y = multiply(sq, dense).y.view(np.uint32).diagonal().tolist()
    return config, dot_products(config, sq, dense, [(row, row) for row in range(count)]), y


def joined(products):
    """The streams of dot products one behind the other."""
    names = ("i_sq", "i_dense", "i_scales")
    columns = zip(*((one.sq, one.dense, [one.scales]) for one in products), strict=True)
    return {name: [*chain(*words)] for name, words in zip(names, columns, strict=True)}


@pytest.mark.parametrize("stream", ["i_sq", "i_dense"])
@pytest.mark.parametrize("change", ["lost", "added"])
def test_one_last_moves_nothing(stream, change):
    """The results behind it are those of their own operands and scales."""
    config, products, y = numbered(6, 2)
    layout = (sq_beat_layout if stream == "i_sq" else dense_beat_layout)(config)
    sent = joined(products)
    sent[stream][4:8] = with_lasts(layout, sent[stream][4:8], [] if change == "lost" else [1, 3])
    got, _ = drive_stream(ProcessingElement(config), sent, 6)
    assert got == [y[0], ERROR, *y[2:]]


@pytest.mark.parametrize("stream", ["i_sq", "i_dense"])
@pytest.mark.parametrize("change", ["lost", "doubled"])
@pytest.mark.parametrize("at", range(4))
def test_a_beat_too_few_or_too_many_is_never_forgotten(stream, change, at):
    """From the first result that it moves every one is flagged."""
    config, products, y = numbered(6, 2)
    sent = joined(products)
    word = sent[stream].pop(4 + at)
    if change == "doubled":
        sent[stream][4 + at : 4 + at] = [word, word]
    meet = min(len(sent["i_sq"]), len(sent["i_dense"]))
    sent |= {name: sent[name][:meet] for name in ("i_sq", "i_dense")}
    got, _ = drive_stream(ProcessingElement(config), sent, 5)
    right = 2 if (change, at) == ("doubled", 3) else 1  # a dot product and one beat too many behind it
    assert got == [*y[:right], *[ERROR] * (5 - right)]


def test_a_beat_lost_among_dot_products_of_one_beat_each():
    """Every beat says ``last``: no end is wrong, and nothing on the wire tells that one is missing."""
    config = PEConfig(SQFormat(4, 0), DenseFormat(4), 4, 0, 64)
    rng = np.random.default_rng(SEED)
    sq, dense = random_sq(rng, config.sq, 4, 4), random_dense(rng, config.dense, 4, 4)
    sent = joined(dot_products(config, sq, dense, [(row, row) for row in range(4)]))
    del sent["i_dense"][1]
    got, _ = drive_stream(ProcessingElement(config), sent, 3)
    acc = multiply(sq, dense).acc
    scales = [split(word) for word in sent["i_scales"]]
    met = [
        round_result(acc[row : row + 1, at : at + 1], *scales[row], config.unit)
        for row, at in ((0, 0), (1, 2), (2, 3))
    ]
    assert got == [int(y.view(np.uint32)[0, 0]) for y in met]
