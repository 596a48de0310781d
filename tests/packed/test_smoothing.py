"""``sqhw quantize --smooth``: weights and inputs share the range of channels, and the file says how."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed.packed_file import KEY, PackedFile
from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.compensation import compensated_dense
from sw_reference.activations import load_activations
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.policy import LargestMagnitude
from sw_reference.quantize import quantize_sq
from sw_reference.split import dequantize

from .models import arrays, run

GROUPS = "Calibration must come with a dense format in groups, such as 'int4 g32 linear8', not "

SITES = {f"h.{layer}.ffn_down.weight": load_activations().site(layer, "ffn_down") for layer in (1, 11, 28)}
"""Some channels of these inputs are far larger than the others."""
LOUD = "h.11.ffn_down.weight"
WEIGHTS = "int4 g32 linear8 6/32 index"
FORMAT = DenseFormat(4, 32, 6, 32, scale="linear8", mask="index")
INPUTS = SQFormat(32, 4, "int8", "index", scale="e3m2s")


@pytest.fixture
def quantized(tmp_path, capsys):
    """Returns a function: what the command makes of some captured matrices with some options, opened."""

    def make(names, *options, name="out"):
        save_file({n: np.array(SITES[n].weight) for n in names}, tmp_path / "m")
        save_file({n: np.array(SITES[n].x) for n in names}, tmp_path / "x")
        arguments = ("quantize", tmp_path / "m", "-o", tmp_path / name, "--weights", WEIGHTS)
        assert run(capsys, *arguments, "--activations", tmp_path / "x", *options)[0] == 0
        return PackedFile(tmp_path / name)

    return make


def inverse_hessian(x):
    h = x.astype(np.float64).T @ x / len(x)
    return np.linalg.inv(h + 0.01 * np.median(np.diag(h)) * np.eye(len(h)))


def test_products_with_divided_inputs_come_closer(quantized):
    """Of the golden model: 24 real inputs and all captured rows of three down projections."""
    plain, smooth = quantized(SITES), quantized(SITES, "--smooth", "0.6", name="smooth")
    assert (smooth.made["compensation"], smooth.made["smoothing"]) == ("GPTQ", 0.6)
    compared = 0
    for name, site in SITES.items():
        exact = site.x.astype(np.float64) @ site.weight.T
        pairs = [(site.x, plain.tensor(name)), (site.x / smooth.divisor(name), smooth.tensor(name))]
        before, after = (np.linalg.norm(multiply(quantize_sq(x, INPUTS), t).y - exact) for x, t in pairs)
        assert after < 0.9 * before, name
        compared += exact.size
    assert compared == sum(24 * len(site.weight) for site in SITES.values())


@pytest.mark.parametrize("strength", [0.5, 0.7])
def test_the_file_holds_what_the_study_computes(quantized, strength):
    file, site = quantized([LOUD], "--smooth", strength), SITES[LOUD]
    peak, unknown = np.abs(site.x).max(axis=0).astype(np.float64), np.empty(0)
    known = Site(unknown, unknown, peak, unknown, site.weight, lambda: inverse_hessian(site.x))
    divisor = known.smoothing_factor(strength).astype(np.float32)
    assert file.divisor(LOUD).tolist() == divisor.tolist()
    known = Site(1.0, 1.0, peak, unknown, site.weight, known.inverse_hessian).smoothed(divisor)
    bitmap = LargestMagnitude().mark(known.weight, FORMAT.outlier_format)
    want = compensated_dense(known.weight, FORMAT, bitmap, known.inverse_hessian())
    t = file.tensor(LOUD)
    assert arrays(t) == arrays(want)
    wide = known.weight.astype(np.float64)
    error = ((dequantize(t) - wide) ** 2).sum() / (wide**2).sum()
    assert file.packed[LOUD].relative_error == pytest.approx(error, rel=1e-12)
    assert file.others == {}


def test_a_file_that_is_not_smoothed_says_nothing_of_it(quantized):
    file = quantized([LOUD])
    assert file.divisor(LOUD) is None
    assert set(load_file(file.file.path)) == {f"{LOUD}.packed", f"{LOUD}.row_scale"}
    fields = json.loads(file.file.metadata[KEY])["tensors"][LOUD]
    assert set(fields) == {"operand", "format", "rows", "k", "relative_error", "outlier_share"}


def test_inspect_tells(quantized, capsys):
    path = quantized([LOUD], "--smooth", "0.5").file.path
    status, text, _ = run(capsys, "inspect", path)
    assert status == 0
    assert "smoothing: 0.5" in text
    assert "Matrices that are smoothed: 1. Their inputs are divided by NAME.divisor first." in text
    document = json.loads(run(capsys, "inspect", path, "--json")[1])
    assert document["packed"][LOUD]["smoothed"] is True


@pytest.mark.parametrize("number", [0.0, -1.0, np.nan, np.inf])
def test_a_damaged_divisor_is_named(quantized, capsys, number):
    file = quantized([LOUD], "--smooth", "0.5")
    path, tensors = file.file.path, load_file(file.file.path)
    tensors[f"{LOUD}.divisor"][3] = number
    save_file(tensors, path, file.file.metadata)
    message = f"{path}: {LOUD}: divisor must be positive and finite, not {number} in column 3"
    assert run(capsys, "inspect", path) == (1, "", f"Error: {message}\n")


@pytest.mark.parametrize(
    ("divisor", "found"),
    [
        (np.ones(7, np.float32), "Entry(dtype='F32', shape=(7,), size=28)"),
        (np.ones(1536), "Entry(dtype='F64', shape=(1536,), size=12288)"),
        (None, "None"),
    ],
    ids=["short", "wide", "missing"],
)
def test_a_divisor_of_another_shape_is_refused(quantized, divisor, found):
    file = quantized([LOUD], "--smooth", "0.5")
    path, tensors = file.file.path, load_file(file.file.path)
    tensors[f"{LOUD}.divisor"] = divisor
    save_file({n: v for n, v in tensors.items() if v is not None}, path, file.file.metadata)
    with pytest.raises(ValueError, match=r"damaged: h\.11\.ffn_down\.weight\.divisor must be Entry") as error:
        PackedFile(path)
    assert str(error.value).endswith(f"not {found}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (f"--weights {WEIGHTS}", "Smoothing must come with a text or activations"),
        ("--weights import", "--smooth must come with --weights FORMAT, not import"),
        ("--weights int4 --activations FILE", GROUPS + "'int4'"),
        (
            "--weights int4 g32 2/32 index --threshold 3 --activations FILE",
            "Smoothing changes magnitudes: no threshold or importance may come with it",
        ),
        *(
            (
                f"--weights int4 g32 --activations FILE --smooth {number}",
                f"Smoothing must be above 0 and below 1, not {float(number)}",
            )
            for number in ("0", "1", "-0.5", "nan")
        ),
    ],
)
def test_refusals(tmp_path, capsys, options, message):
    save_file({"h.0.a.weight": np.ones((2, 64), np.float32)}, tmp_path / "m")
    chunks = [chunk.split(" ", 1) for chunk in ("--smooth 0.5 " + options).replace(" --", "\n--").split("\n")]
    words = [str(tmp_path / "m") if word == "FILE" else word for chunk in chunks for word in chunk]
    assert run(capsys, "quantize", tmp_path / "m", "-o", tmp_path / "out", *words) == (
        2,
        "",
        f"Error: {message}\n",
    )


def test_numbers_that_cannot_be_smoothed_are_named(tmp_path, capsys):
    name = "h.0.a.weight"
    options = ("--weights", "int4 g32", "--activations", tmp_path / "x", "--smooth", "0.9")
    command = ("quantize", tmp_path / "m", "-o", tmp_path / "out", *options)
    w, x = (np.ones((2, 32), np.float32) for _ in range(2))
    for file, number, rule in ((w, np.nan, "nan"), (x, np.inf, "inf")):
        was, file[1, 5] = file[1, 5], number
        save_file({name: w}, tmp_path / "m")
        save_file({name: x}, tmp_path / "x")
        message = f"{name}: Row 1, column 5: an element must be a finite float32, not {rule}"
        assert run(capsys, *command) == (1, "", f"Error: {message}\n")
        file[1, 5] = was
