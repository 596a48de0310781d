# amaranth: UnusedElaboratable=no
"""Blocks of a dense operand with outliers: decoder, gather of whole codes, lanes."""

import itertools

import numpy as np
import pytest

from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.layouts import dense_beat_layout, dense_step_layout
from sqhw.pe.decoder import DenseDecoder
from sqhw.pe.gather import SplitGather
from sw_reference.format import DenseFormat, SQFormat
from tests.hardware import drive_pipeline, drive_stream


@pytest.mark.parametrize("slots", [1, 3])
def test_split_gather(slots):
    """Every selection, and every placement of dense outliers in order."""
    lanes = 4
    rng = np.random.default_rng(SEED)
    stimuli, expected = [], []
    for places in itertools.combinations([*range(lanes), *[None] * slots], slots):
        for at in (None, *range(lanes)):
            codes = rng.integers(-8, 8, lanes).tolist()
            high = rng.choice([-8, 7, 3], slots).tolist()
            one_hot = [0 if place is None else 1 << place for place in places]
            select = 0 if at is None else 1 << at
            stimuli.append({"codes": codes, "select": select, "dense_select": one_hot, "dense_high": high})
            hi = sum(h for h, place in zip(high, places, strict=True) if place == at is not None)
            expected.append(0 if at is None else 16 * hi + codes[at])
    got = drive_pipeline(SplitGather(lanes, slots), stimuli, ["o"])
    assert [output["o"] for output in got] == expected
    assert len(got) >= 25


@pytest.mark.parametrize(
    "fmt", [DenseFormat(4, 8, 2, 8), DenseFormat(4, None, 1, 4)], ids=["half a bank", "a bank"]
)
@pytest.mark.parametrize("stalls", ["none", "both"])
def test_dense_decoder(fmt, stalls):
    """Every bitmap of 4 lanes with every count, in both halves of a bank that spans two beats."""
    config = PEConfig(SQFormat(4, 1, "fp16"), fmt, 4, 1, 64)
    if fmt.group:
        config = PEConfig(SQFormat(8, 1, "fp16"), fmt, 4, 1, 64)
    layout, slots = dense_beat_layout(config), config.dense_slots
    rng = np.random.default_rng(SEED)
    words, expected = [], []
    for bitmaps in itertools.product(range(16), repeat=fmt.bank // 4):
        total = 0
        for index, bitmap in enumerate(bitmaps):
            places = [lane for lane in range(4) if bitmap >> lane & 1]
            count = min(len(places), slots) if rng.random() < 0.7 else int(rng.integers(slots + 1))
            total += len(places)
            fields = {
                "codes": rng.integers(-8, 8, 4).tolist(),
                "high": rng.integers(-8, 8, slots).tolist(),
                "last": rng.random() < 0.1 and index == fmt.bank // 4 - 1,
            }
            fields |= {"group_scale": int(rng.integers(64))} if fmt.group else {}
            words.append(layout.const(fields | {"bitmap": bitmap, "high_count": count}).as_value().value)
            select = [1 << lane for lane in places[:slots]] + [0] * (slots - len(places))
            error = total > fmt.outliers or count != len(places)
            # With a single lane what is selected in a faulty beat does not matter.
            expected.append(fields | {"error": error} | ({} if error else {"select": select}))
    payloads, _ = drive_stream(DenseDecoder(config), {"i": words}, len(words), stalls=stalls, seed=SEED)
    for payload, fields in zip(payloads, expected, strict=True):
        step = dense_step_layout(config).from_bits(payload)
        got = {name: getattr(step, name) for name in fields}
        listed = ("codes", "high", "select")
        assert {n: list(v) if n in listed else v for n, v in got.items()} == fields
    assert len(payloads) == len(words) >= 16


def test_dense_decoder_needs_outliers():
    with pytest.raises(ValueError) as caught:
        DenseDecoder(PEConfig())
    assert str(caught.value) == "Dense outliers of a dense decoder must be an integer from 1 to 128, not 0"


@pytest.mark.parametrize(
    ("dense", "lanes", "slots"),
    [
        (DenseFormat(4, 64), 16, 0),
        (DenseFormat(4, 64, 1, 16), 16, 1),
        (DenseFormat(4, 64, 3, 16), 2, 2),
        (DenseFormat(4, 64, 2, 8), 16, 4),
        (DenseFormat(4, 64, 5, 64), 16, 5),
    ],
)
def test_lanes_for_dense_outliers(dense, lanes, slots):
    assert PEConfig(SQFormat(), dense, lanes).dense_slots == slots
