# amaranth: UnusedElaboratable=no
"""The encoder agrees with the golden model in every bit, whatever comes and whoever waits."""

import re

import numpy as np
import pytest
from amaranth.hdl import Shape

from sqhw.encoder.config import ENCODERS, EncoderConfig, encoded_layout, encoder_preset, row_word_layout
from sqhw.encoder.encoder import Encoder
from sqhw.encoder.payloads import encoded_row, row_words
from sw_reference.activations import load_activations
from sw_reference.format import SQFormat
from tests.encoder.rows import edge_rows, random_rows
from tests.hardware import STALLS, drive_stream

LEAN, FINE = (ENCODERS[name].sq for name in ("lean", "fine"))
CONFIGS = {
    "lean": EncoderConfig(LEAN, 8, 256),
    "fine": EncoderConfig(FINE, 8, 256),
    "one element": EncoderConfig(LEAN, 1, 96),
    "two elements": EncoderConfig(FINE, 2, 96),
    "a bank per cycle": EncoderConfig(SQFormat(16, 2, "int8", "index", "e3m2s"), 16, 128),
    "two segments": EncoderConfig(SQFormat(32, 2, "int8", "index", "e3m2s", 16), 8, 96),
    "long banks": EncoderConfig(SQFormat(64, 4, "int8", "index", "e4m2s", 32), 16, 256),
    "three outliers": EncoderConfig(SQFormat(16, 3, "int8", "index", "e2m3s"), 4, 64),
    "all outliers": EncoderConfig(SQFormat(8, 8, "int8", "index", "e1m0s"), 4, 64),
    "coarse": EncoderConfig(SQFormat(8, 1, "int8", "index", "e4m0s"), 8, 64),
    "fraction": EncoderConfig(SQFormat(16, 2, "int8", "index", "e4m3s"), 4, 64),
}


def encode(config, rows, **options):
    """Returns what comes out for rows, and the cycles; compares nothing."""
    words = [word for row in rows for word in row_words(config, row)]
    count = sum(config.sq.banks(len(row)) for row in rows)
    limit = 40 * (len(words) + count * config.words) + 200
    return drive_stream(Encoder(config), {"i": words}, count, limit=limit, **options)


def compare(config, rows, **options):
    """Returns how many banks agree with the golden model; all must."""
    got, _ = encode(config, rows, **options)
    want = [beat for row in rows for beat in encoded_row(config, row)]
    assert got == want
    return len(want)


@pytest.mark.parametrize("name", CONFIGS)
def test_random_and_edge_rows(name):
    config = CONFIGS[name]
    rows = [*random_rows(config.k_max, 4), *edge_rows(64).values()]
    assert compare(config, rows) == sum(len(row) for row in rows) // config.sq.bank


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name", ["lean", "a bank per cycle", "two segments"])
def test_rows_of_any_length_with_stalls(name, stalls):
    config = CONFIGS[name]
    rng = np.random.default_rng(1)
    lengths = [1, config.elements, config.sq.bank, config.sq.bank + 1, config.k_max, 3, 2 * config.sq.bank]
    rows = [rng.standard_normal(length).astype(np.float16) for length in 2 * lengths]
    compared = compare(config, rows, stalls=stalls)
    assert compared == sum(config.sq.banks(len(row)) for row in rows)


@pytest.mark.parametrize("name", ["lean", "fine"])
def test_real_activations(name):
    config = EncoderConfig(encoder_preset(name).sq, 8, 1536)
    rows = [site.x[0].astype(np.float16) for site in load_activations().sites]
    assert compare(config, rows) == sum(len(row) for row in rows) // 32 > 250


def test_a_massive_activation_is_among_the_real_ones():
    assert max(float(np.abs(site.x[0]).max()) for site in load_activations().sites) > 1000


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_and_throughput(name):
    config = CONFIGS[name]
    row = random_rows(config.k_max, 1)[0][: config.k_max // config.sq.bank * config.sq.bank]
    count = 3
    _, when = encode(config, [row] * count)
    words = len(row) // config.elements
    # The last word of the first row is taken in cycle words - 1.
    assert when[0] == words - 1 + Encoder(config).latency
    assert when[-1] - when[0] == count * words - config.words


@pytest.mark.parametrize(("name", "banks"), [("lean", 1), ("two segments", 1), ("a bank per cycle", 3)])
def test_short_rows_follow_each_other_without_a_gap(name, banks):
    config = CONFIGS[name]
    rows = random_rows(banks * config.sq.bank, 12)
    _, when = encode(config, rows)
    assert when[-1] - when[0] == (12 * banks - 1) * config.words


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_row_with_nan_or_inf_is_flagged_and_the_next_one_not(special):
    config = CONFIGS["lean"]
    rows = random_rows(64, 5)
    for row, column in ((1, 0), (3, 63)):
        rows[row][column] = special
    got, _ = encode(config, rows)
    layout = encoded_layout(config)
    assert [layout.from_bits(beat).error for beat in got] == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
    for row in (0, 2, 4):
        assert got[2 * row : 2 * row + 2] == encoded_row(config, rows[row])
    assert [layout.from_bits(beat).beat.last for beat in got] == 5 * [0, 1]


def test_a_row_that_is_too_long_is_cut_and_flagged():
    config = EncoderConfig(LEAN, 8, 64)
    rows = random_rows(64, 3)
    top = 1 << 16 * config.elements
    words = [row_words(config, row) for row in rows]
    long = [*(word & ~top for word in words[1]), *words[1][:5], words[1][6] | top]
    stream = [*words[0], *long, *words[2]]
    got, _ = drive_stream(Encoder(config), {"i": stream}, 6, stalls="both")
    layout = encoded_layout(config)
    assert [layout.from_bits(beat).error for beat in got] == [0, 0, 1, 1, 0, 0]
    assert [layout.from_bits(beat).beat.last for beat in got] == 3 * [0, 1]
    assert [*got[:2], *got[4:]] == [beat for row in (rows[0], rows[2]) for beat in encoded_row(config, row)]


def test_layouts_of_lean():
    config = ENCODERS["lean"]
    assert Shape.cast(row_word_layout(config)).width == 8 * 16 + 1
    # Low codes, scale, positions, high nibbles, last; exponent of the row scale; error.
    assert Shape.cast(encoded_layout(config)).width == 32 * 4 + 6 + 2 * 5 + 2 * 4 + 1 + 8 + 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("e3m2s",), TypeError, "SQ format must be an SQFormat, not 'e3m2s'"),
        (
            (SQFormat(32, 2, "int8", "bitmap", "e3m2s"),),
            ValueError,
            "Mask must be 'index' in an encoder, not 'bitmap'",
        ),
        (
            (SQFormat(32, 2, "int8", "index", "e3m2"),),
            ValueError,
            "Sign of the bank scale must be True in an encoder, not False",
        ),
        (
            (SQFormat(32, 0, "int8", "index", "e3m2s"),),
            ValueError,
            "Outliers must be an integer from 1 to 32, not 0",
        ),
        ((LEAN, 64), ValueError, "Elements must be a power of two from 1 to 32, not 64"),
        ((LEAN, 8, 16), ValueError, "K_max must be an integer from 32 to 1048576, not 16"),
    ],
)
def test_bad_parameters_are_refused(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        EncoderConfig(*arguments)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (np.zeros(4, np.float32), TypeError, "Row must be an array float16[k], not float32(4,)"),
        (np.zeros((2, 4), np.float16), TypeError, "Row must be an array float16[k], not float16(2, 4)"),
        ([1.0], TypeError, "Row must be an array float16[k], not list"),
        (np.zeros(97, np.float16), ValueError, "Row must have at most 96 elements, not 97"),
    ],
)
def test_bad_rows_are_refused(row, error, message):
    for function in (row_words, encoded_row):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            function(EncoderConfig(LEAN, 8, 96), row)


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"^Encoder must be one of lean, fine, not 'wide'$"):
        encoder_preset("wide")


@pytest.mark.parametrize("name", ["lean", "two segments"])
def test_any_bits_in_rows_of_any_length(name):
    """Every word and end that there is, rows that are too long among them: nothing hangs, nothing is lost."""
    config = CONFIGS[name]
    rng = np.random.default_rng(2)
    longest = config.banks_max * config.sq.bank // config.elements
    words, expected, layout = [], [], encoded_layout(config)
    for length in [*rng.integers(1, longest + 1, 12), longest + 1, 2 * longest, 1]:
        codes = rng.integers(0, 1 << 16, length * config.elements).astype(np.uint16)
        if length % 3:
            codes &= 0xBFFF  # without the highest exponents: finite
        row = codes.view(np.float16)
        words += [
            int.from_bytes(codes[place : place + config.elements].astype("<u2").tobytes(), "little")
            for place in range(0, len(codes), config.elements)
        ]
        words[-1] |= 1 << 16 * config.elements
        if length > longest or not np.isfinite(row).all():
            expected += [None] * config.sq.banks(min(length, longest) * config.elements)
        else:
            expected += encoded_row(config, row)
    got, _ = drive_stream(Encoder(config), {"i": words}, len(expected), stalls="both", limit=40 * len(words))
    flagged = [layout.from_bits(beat).error for beat in got]
    assert flagged == [beat is None for beat in expected]
    assert [beat for beat, error in zip(got, flagged, strict=True) if not error] == [
        beat for beat in expected if beat is not None
    ]
    assert 2 * config.banks_max < sum(flagged) < len(got)
