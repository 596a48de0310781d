# amaranth: UnusedElaboratable=no
"""Encoders of BF16 and of float32: all codes of BF16, rows of every size of float32."""

import re

import ml_dtypes
import numpy as np
import pytest

from sqhw.console import SEED
from sqhw.encoder.config import ENCODERS, EncoderConfig, encoded_layout
from sqhw.encoder.encoder import Encoder
from sqhw.encoder.payloads import encoded_row, row_codes, row_words
from sw_reference.activations import load_activations
from tests.encoder.rows import edge_rows
from tests.hardware import drive_stream

LEAN = ENCODERS["lean"].sq
CONFIGS = {name: EncoderConfig(LEAN, 8, 256, name) for name in ("bf16", "float32")}
SMALLEST = 2.0**-126


def as_input(name, rows):
    """Rows as an encoder takes them: of BF16 the float32 numbers that it holds."""
    rows = np.asarray(rows, np.float32)
    return rows if name == "float32" else rows.astype(ml_dtypes.bfloat16).astype(np.float32)


def compare(config, rows, **options):
    """Returns how many banks agree with the golden model; all must."""
    words = [word for row in rows for word in row_words(config, row)]
    want = [beat for row in rows for beat in encoded_row(config, row)]
    got, _ = drive_stream(Encoder(config), {"i": words}, len(want), limit=40 * len(words) + 400, **options)
    assert got == want
    return len(want)


def test_every_code_of_bf16_in_rows_of_its_kind():
    """All finite codes, in order of magnitude: each meets scales that are near it."""
    codes = np.arange(0x7F80, dtype=np.uint32)
    signs = np.random.default_rng(SEED).permutation(2 * len(codes)) % 2
    both = np.repeat(codes, 2) | (signs.astype(np.uint32) << 15)
    other = np.repeat(codes, 2) | ((1 - signs).astype(np.uint32) << 15)
    rows = np.concatenate([both[::2], other[::2]]).astype(np.uint32) << 16
    compared = compare(CONFIGS["bf16"], list(rows.view(np.float32).reshape(-1, 64)))
    assert len(np.unique(rows)) == 2 * 0x7F80
    assert compared == 2 * 0x7F80 // 32


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_of_every_size(name):
    """Heavy tails from the smallest subnormal numbers to the largest; row scales end at 2**-126."""
    rng = np.random.default_rng(SEED)
    scales = 10.0 ** np.append(rng.uniform(-46, 37, 50), np.linspace(-46, -35, 14))
    wide = rng.standard_t(2, (len(scales), 64)) * scales[:, None]
    largest = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    rows = as_input(name, np.clip(wide, -largest, largest))
    exponents = [
        beat >> encoded_layout(CONFIGS[name])["row_exponent"].offset & 255
        for row in rows
        for beat in encoded_row(CONFIGS[name], row)
    ]
    assert min(exponents) == 1
    assert compare(CONFIGS[name], list(rows), stalls="both") == 2 * len(scales)


@pytest.mark.parametrize("name", CONFIGS)
def test_edge_rows_and_real_activations(name):
    config = EncoderConfig(LEAN, 8, 1536, name)
    rows = [np.float32(row) for row in edge_rows(64).values()]
    rows += [np.float32(row) * np.float32(SMALLEST) for row in edge_rows(64).values()]
    rows += [np.float32(row) * np.float32(2.0**110) for row in edge_rows(64).values()]
    rows += [site.x[0] for site in load_activations().sites[:4]]
    rows = [as_input(name, row) for row in rows]
    assert compare(config, rows) == sum(config.sq.banks(len(row)) for row in rows) > 200


def test_float32_rounds_by_its_last_bit():
    """Elements beside a tie, by one bit of 24: a code to this side of it, a code to that."""
    rng = np.random.default_rng(SEED)
    scale = np.float32(2.0**-3) * rng.choice([4, 5, 6, 7], 8).astype(np.float32)
    rows = []
    for step in scale:
        ties = (rng.integers(-7, 7, 64) + np.float32(0.5)) * step
        sides = np.stack(
            [np.nextafter(ties, np.float32(np.inf)), ties, np.nextafter(ties, -np.float32(np.inf))]
        )
        row = sides[rng.integers(0, 3, 64), np.arange(64)]
        row[[0, 20, 40, 60]] = 119 * step, -50 * step, -8.5 * step, 9 * step
        rows.append(row.astype(np.float32))
    assert compare(CONFIGS["float32"], rows) == 16


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_row_with_nan_or_inf_is_flagged_and_the_next_one_not(name, special):
    config, layout = CONFIGS[name], encoded_layout(CONFIGS[name])
    rows = as_input(name, np.random.default_rng(SEED).standard_normal((3, 64)))
    wanted = [beat for row in (rows[0], rows[2]) for beat in encoded_row(config, row)]
    rows[1, 40] = special
    words = [word for row in rows for word in row_words(config, row)]
    got, _ = drive_stream(Encoder(config), {"i": words}, 6)
    assert [layout.from_bits(beat).error for beat in got] == [0, 0, 1, 1, 0, 0]
    assert [*got[:2], *got[4:]] == wanted


def test_codes_of_bf16_are_those_of_ml_dtypes():
    codes = np.arange(1 << 16, dtype=np.uint16)
    single = codes.view(ml_dtypes.bfloat16).astype(np.float32)
    nan = np.isnan(single)
    assert (row_codes(single, "bf16") == codes)[~nan].all()
    assert (~nan).sum() == 2 * (255 * 128 + 1)


@pytest.mark.parametrize(
    ("name", "row", "error", "message"),
    [
        ("bf16", np.zeros(4, np.float16), TypeError, "Row must be an array float32[k], not float16(4,)"),
        ("float32", np.zeros(4, np.float64), TypeError, "Row must be an array float32[k], not float64(4,)"),
        ("bf16", np.float32([1 + 2**-8]), ValueError, "Row must hold numbers of BF16 alone"),
    ],
)
def test_bad_rows_are_refused(name, row, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        row_words(CONFIGS[name], row)


def test_unknown_input_is_refused():
    with pytest.raises(ValueError, match=r"^Input must be 'fp16', 'bf16' or 'float32', not 'fp8'$"):
        EncoderConfig(LEAN, input="fp8")
