# amaranth: UnusedElaboratable=no
"""The variant with a float per bank: its format, and every sum of its hardware against Python integers."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from sqhw.config import ArrayConfig
from sqhw.layouts import dense_beats_layout, sq_beat_layout, sq_beats_layout
from sqhw.measure.bank_float import FloatArray, bank_float
from sqhw.measure.bank_float_format import FloatConfig, FloatFormat
from sqhw.measure.committed import RESULTS
from sqhw.measure.units import CONFIGS as CONFIGS_OF_UNITS
from sqhw.measure.units import unit
from sw_reference.accuracy.bank_floats import BankFloats
from sw_reference.codes import GROUP_SCALE_VALUES
from sw_reference.format import DenseFormat, SQFormat
from tests.hardware import drive_stream, simulate

SEED = 20251124


def configured(bank, scale="linear8", **shape):
    dense = DenseFormat(4, 32, scale=scale)
    return FloatConfig(FloatFormat(bank, **shape), dense, bank, 1, k_max=128)


CONFIGS = {
    "e3m7 in a bitmap, small group scales": configured(
        16, "e3m3", one_hot=True, exponent_bits=3, fraction_bits=7
    ),
    "e2m8 by index": configured(16),
    "e4m2 by index": configured(4, exponent_bits=4, fraction_bits=2),
    "e2m8 in a bitmap, small group scales": configured(4, "e3m3", one_hot=True),
}
PRODUCTS = {16: 200, 4: 1000}
"""Dot products of each configuration, by lanes."""


def group_scales(config):
    return 64 if config.small_scales else 256


def dot_products(config, count, seed):
    """Yields beats of dot products of one to three banks: random codes, and one in three the extremes of all.

    A beat is codes of both operands by field.
    """
    rng = np.random.default_rng([SEED, *map(ord, seed)])
    fmt, lanes = config.sq, config.lanes
    extremes = {
        "low": (-8, 7),
        "codes": (-8, 7),
        "scale": (0, 31, 32, 63),
        "high": (0, (1 << fmt.high_bits) - 1, (1 << fmt.high_bits - 1) - 1),
        "group_scale": (0, group_scales(config) - 1),
    }
    for number in range(count):
        beats = []
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(lanes))
            beat = {
                "low": rng.integers(-8, 8, lanes),
                "codes": rng.integers(-8, 8, lanes),
                "scale": rng.integers(64),
                "high": rng.integers(1 << fmt.high_bits),
                "group_scale": rng.integers(group_scales(config)),
            }
            if number % 3 == 0:
                beat = {name: rng.choice(extremes[name], np.shape(value)) for name, value in beat.items()}
            beat = {name: np.asarray(value).tolist() for name, value in beat.items()}
            beats.append(beat | {"place": place})
        yield beats


def sum_of(config, beats):
    """The exact sum of a dot product, by Python integers."""
    total = 0
    for beat in beats:
        x = list(beat["low"])
        x[beat["place"]] += config.sq.value(beat["high"])
        dot = sum(a * b for a, b in zip(x, beat["codes"], strict=True))
        code = beat["group_scale"]
        group_scale = int(GROUP_SCALE_VALUES[code]) if config.small_scales else code
        total += config.sq.bank_scale.units(beat["scale"]) * group_scale * dot
    return total


def fields_of(config, beat, last):
    """A beat as the two layouts have it."""
    index = 1 << beat["place"] if config.sq.one_hot else beat["place"]
    high = beat["high"] - (beat["high"] >> config.sq.high_bits - 1 << config.sq.high_bits)
    sq = {"low": beat["low"], "scale": beat["scale"], "index": [index], "high": [high], "last": last}
    return sq, {"codes": beat["codes"], "group_scale": beat["group_scale"], "last": last}


def sums_of_element(config, products):
    """Sums and errors of a processing element, whose beats have bubbles between them now and then."""
    dut = bank_float(config, None)
    got = []

    async def feed(ctx):
        for beats in products:
            for number, beat in enumerate(beats):
                sq, dense = fields_of(config, beat, number == len(beats) - 1)
                ctx.set(dut.sq, sq)
                ctx.set(dut.dense, dense)
                ctx.set(dut.valid, 1)
                await ctx.tick()
                if beat["place"] == 0:
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
        ctx.set(dut.valid, 0)

    async def watch(ctx):
        while len(got) < len(products):
            *_, valid, acc, error = await ctx.tick().sample(dut.acc_valid, dut.acc, dut.acc_error)
            if valid:
                got.append((acc, error))

    simulate(dut, feed, watch, limit=8 * len(products) + 20)
    return got


@pytest.mark.parametrize("name", CONFIGS)
def test_sums_are_exact(name):
    config = CONFIGS[name]
    products = list(dot_products(config, PRODUCTS[config.lanes], name))
    got = sums_of_element(config, products)
    assert got == [(sum_of(config, beats), 0) for beats in products]
    assert len(got) == PRODUCTS[config.lanes]


@pytest.mark.parametrize("name", [*CONFIGS][:2])
def test_all_is_largest(name):
    """The bound of the accumulator is reached by the longest dot product, and held."""
    config = CONFIGS[name]
    full = {"low": [-8] * 16, "codes": [-8] * 16, "scale": 31, "high": (1 << 11) - 1, "place": 3}
    beats = [full | {"group_scale": group_scales(config) - 1}] * (config.k_max // 16)
    want = sum_of(config, beats)
    assert want.bit_length() == config.acc_bits - 1
    turned = [beat | {"scale": 63} for beat in beats]
    assert sums_of_element(config, [beats, turned]) == [(want, 0), (-want, 0)]


def test_a_bitmap_has_one_bit_at_most():
    config = CONFIGS["e2m8 in a bitmap, small group scales"]
    dut = bank_float(config, None)
    bitmaps = range(1 << config.lanes)
    errors = []

    async def feed(ctx):
        for bitmap in bitmaps:
            ctx.set(dut.sq, {"index": [bitmap], "last": 1})
            ctx.set(dut.dense, {"last": 1})
            ctx.set(dut.valid, 1)
            await ctx.tick()
        ctx.set(dut.valid, 0)

    async def watch(ctx):
        while len(errors) < len(bitmaps):
            *_, valid, error = await ctx.tick().sample(dut.acc_valid, dut.acc_error)
            if valid:
                errors.append(error)

    simulate(dut, feed, watch, limit=40)
    assert errors == [int(bitmap.bit_count() > 1) for bitmap in bitmaps]


@pytest.mark.parametrize("name", ["e4m2 by index", "e2m8 in a bitmap, small group scales"])
def test_array(name):
    """An array of 2 x 3, stalled on both sides: every sum of 20 tiles."""
    config = ArrayConfig(CONFIGS[name], 2, 3)
    length, tiles = 2, 20
    rng = np.random.default_rng([SEED, len(name)])
    beats = [
        [beat for product in dot_products(config.pe, length * tiles, f"{name}{row}") for beat in product]
        for row in range(3)
    ]
    sq_words, dense_words, want = [], [], []
    for tile in range(tiles):
        rows = [own[tile * length :][:length] for own in beats]
        for step in range(length):
            own = [fields_of(config.pe, rows[r][step], step == length - 1)[0] for r in range(2)]
            other = [fields_of(config.pe, rows[c][step], step == length - 1)[1] for c in range(3)]
            sq_words.append(sq_beats_layout(config).const(own).as_bits())
            dense_words.append(dense_beats_layout(config).const(other).as_bits())
        for r in range(2):
            sums = [
                sum_of(
                    config.pe,
                    [
                        a | {name: b[name] for name in ("codes", "group_scale")}
                        for a, b in zip(rows[r], rows[c], strict=True)
                    ],
                )
                for c in range(3)
            ]
            bits = config.pe.acc_bits
            word = sum((total & (1 << bits) - 1) << bits * c for c, total in enumerate(sums))
            want.append(word | (r == 1) << 3 * bits + 1)
    dut = FloatArray(config)
    inputs = {"i_sq": sq_words, "i_dense": dense_words}
    received, _ = drive_stream(dut, inputs, 2 * tiles, stalls="both", seed=int(rng.integers(100)))
    assert received == want
    assert len(received) == 40


def test_floats_of_study_and_hardware_are_the_same():
    """Every code of a float: in order, as many, and of the same bits per element."""
    for exponent_bits, fraction_bits in ((3, 7), (2, 8), (4, 6)):
        for one_hot in (False, True):
            fmt = FloatFormat(16, exponent_bits=exponent_bits, fraction_bits=fraction_bits, one_hot=one_hot)
            study = BankFloats(16, exponent_bits, fraction_bits, mask="bitmap" if one_hot else "index")
            codes = np.arange(1 << fmt.high_bits)
            values = np.array([fmt.value(int(code)) for code in codes], np.float64)
            assert (study.high.round(values) == values).all()
            assert study.high.largest == fmt.high_max == values.max() == -values.min()
            signed = codes[values != 0]
            assert (study.high.codes(values)[signed] == signed).all()
            assert study.bits == fmt.bits_per_element
    assert FloatFormat(16).bits_per_element == 5.3125
    assert FloatFormat(16, one_hot=True).bits_per_element == 6.0625


def test_refusals():
    with pytest.raises(ValueError, match=r"^Outliers must be an integer from 1 to 1, not 2$"):
        FloatFormat(16, 2)
    with pytest.raises(ValueError, match=r"^Mask must be 'index', not 'bitmap'$"):
        FloatFormat(16, mask="bitmap")
    linear = DenseFormat(4, 32, scale="linear8")
    with pytest.raises(TypeError, match=r"^SQ format must be a FloatFormat, not SQFormat\("):
        FloatConfig(SQFormat(16, 1, "int8", "index", "e3m2s"), linear)
    of = "hardware with a float per bank"
    for dense, more, text in (
        (replace(linear, bits=8), {}, f"Dense bits must be 4 in {of}, not 8"),
        (replace(linear, offset=True), {}, f"Offset must be False in {of}, not True"),
        (linear, {"pipeline": "long"}, f"Pipeline must be 'short' in {of}, not 'long'"),
        (DenseFormat(4), {}, "Group must be a number of elements, not None"),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            FloatConfig(FloatFormat(16), dense, **more)


def test_what_a_beat_carries():
    beat = sq_beat_layout(CONFIGS["e3m7 in a bitmap, small group scales"])
    assert (beat["index"].width, beat["high"].width) == (16, 11)
    beat = sq_beat_layout(CONFIGS["e2m8 by index"])
    assert (beat["index"].width, beat["high"].width) == (4, 11)


def test_the_decision_has_the_gates_of_the_report():
    """The table of decision 016: gates of 8 x 8, and their ratio to the smaller form of INT4 x INT8."""
    report = json.loads((RESULTS / "area.json").read_text())
    units = {u["name"]: u for u in report["units"]}
    text = (RESULTS.parent / "decisions" / "016-high-codes-of-eight-bits.md").read_text()
    lines = re.findall(r"^\| [^|]* \| (e3m3|8 bits) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.M)
    families = ("sq", "float-e3m7", "float", "float-index", "lean")
    for family, (scales, bits, *found) in zip(families, lines, strict=True):
        own = units[unit(family, 16, (8, 8)).name]
        rival = "w4a8-pairs" if scales == "e3m3" else "w4a8-linear-pairs"
        ratio = own["gates"] / units[unit(rival, 16, (8, 8)).name]["gates"]
        assert found == [f"{own['gates_per_mac']}", f"{ratio:.2f}"]
        assert abs(CONFIGS_OF_UNITS[family](16).sq.bits_per_element - float(bits)) <= 0.005
    for family in ("lean", "fine"):
        gates = units[unit(family, 32, (8, 8)).name]["gates_per_mac"]
        assert f"bits and {gates} gates" in " ".join(text.split())


def test_the_decision_has_the_losses_of_the_report():
    """Rows of the study, which are four windows of the same text."""
    report = json.loads((RESULTS / "floats.json").read_text())
    rows = {row["scheme"].removeprefix("imported, A "): row for row in report["rows"]}
    text = (RESULTS.parent / "decisions" / "016-high-codes-of-eight-bits.md").read_text()
    assert report["command"] in " ".join(text.split())
    lines = re.findall(r"^\| [^|]* \| ([\d.]+) \| ([\d.]+ ± [\d.]+) \| ([+\d.]+ ± [\d.]+ %) \|$", text, re.M)
    formats = ("1/16 e5m3 fp16", "1/16 e3m2s float e3m7", "1/16 e3m2s float e2m8", "2/16 e3m2s index")
    formats += ("2/32 e3m2s index", "4/32 e3m2s index")
    for name, (bits, *found) in zip(formats, lines, strict=True):
        row = rows[name]
        kl = f"{row['kl_x100']:.2f} ± {row['kl_error']:.2f}"
        assert found == [kl, f"{row['delta_percent']:+.2f} ± {row['standard_error']:.2f} %"]
        assert abs(row["bits_activation"] - float(bits)) <= 0.005
        assert row["tokens"] == 4 * 1023
