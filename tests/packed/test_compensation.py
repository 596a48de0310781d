"""``sqhw quantize --activations``: rounding that is compensated for the inputs of each matrix."""

from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed import rows as rows_module
from sqhw.packed.packed_file import PackedFile
from sw_reference.accuracy.compensation import compensated_dense
from sw_reference.format import DenseFormat
from sw_reference.policy import LargestMagnitude
from sw_reference.quantize import quantize_dense
from sw_reference.split import dequantize

from .models import arrays, run

GROUPS = "Calibration must come with a dense format in groups, such as 'int4 g32 linear8', not "

NAMES = ["h.0.a.weight", "h.1.a.weight"]
FORMATS = [
    ("int4 g32", DenseFormat(4, 32, scale="linear8")),
    ("int8 g64 e3m3", DenseFormat(8, 64)),
    ("int4 g64 2/32 index", DenseFormat(4, 64, 2, 32, scale="linear8", mask="index")),
]


@pytest.fixture
def files(tmp_path):
    """A model of two matrices, and 300 inputs of each whose channels depend on each other."""
    rng = np.random.default_rng(0)
    w = {
        name: rng.standard_normal((rows, 128)).astype(np.float32)
        for name, rows in zip(NAMES, (24, 9), strict=True)
    }
    mixed = rng.standard_normal((128, 128)) / 8 + np.eye(128)
    x = {name: (rng.standard_normal((300, 128)) @ mixed).astype(np.float32) for name in NAMES}
    save_file(w, tmp_path / "m")
    save_file(x, tmp_path / "x")
    return tmp_path, w, x


def inverse_hessian(x):
    h = x.astype(np.float64).T @ x / len(x)
    return np.linalg.inv(h + 0.01 * np.median(np.diag(h)) * np.eye(len(h)))


@pytest.mark.parametrize(("text", "fmt"), FORMATS, ids=str)
def test_products_come_closer(files, capsys, text, fmt):
    folder, w, x = files
    arguments = ("quantize", folder / "m", "-o", folder / "out", "--weights", text)
    assert run(capsys, *arguments, "--activations", folder / "x")[0] == 0
    file = PackedFile(folder / "out")
    assert file.made["compensation"] == "GPTQ"
    for name in NAMES:
        bitmap = LargestMagnitude().mark(w[name], fmt.outlier_format) if fmt.bank else None
        t = file.tensor(name)
        assert arrays(t) == arrays(compensated_dense(w[name], fmt, bitmap, inverse_hessian(x[name])))
        wide, exact = x[name].astype(np.float64), x[name].astype(np.float64) @ w[name].T
        error, plain = (
            np.linalg.norm(wide @ dequantize(made).T - exact) for made in (t, quantize_dense(w[name], fmt))
        )
        assert error < 0.9 * plain


def test_parts_are_made_whole(files, capsys, monkeypatch):
    """Rows that are read again are made with all rows of their part; a matrix is inverted once each time."""
    monkeypatch.setattr(rows_module, "_ELEMENTS", 128 * 5)
    folder, w, x = files
    options = ("--weights", "int4 g32", "--activations", folder / "x")
    with monkeypatch.context() as counting:
        inverted = Mock(side_effect=np.linalg.inv)
        counting.setattr(np.linalg, "inv", inverted)
        assert run(capsys, "quantize", folder / "m", "-o", folder / "out", *options)[0] == 0
    assert inverted.call_count == 2 * len(NAMES)  # written, and read again
    t = PackedFile(folder / "out").tensor(NAMES[0])
    for start in range(0, 24, 5):
        part = slice(start, start + 5)
        want = compensated_dense(w[NAMES[0]][part], t.format, None, inverse_hessian(x[NAMES[0]]))
        assert t.codes[part].tolist() == want.codes.tolist()
        assert t.row_scale[part].tolist() == want.row_scale.tolist()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("--weights 2/16", 2, GROUPS + "'2/16 e5m3'"),
        ("--weights int4", 2, GROUPS + "'int4'"),
        (
            "--weights g32_int4 --scale absmax",
            2,
            "Scale must be 'least_squares' with calibration, not 'absmax'",
        ),
    ],
)
def test_refusals(files, capsys, options, status, message):
    folder, _, _ = files
    arguments = (
        "quantize",
        folder / "m",
        "-o",
        folder / "out",
        *(option.replace("_", " ") for option in options.split()),
        "--activations",
        folder / "x",
    )
    assert run(capsys, *arguments) == (status, "", f"Error: {message}\n")


def test_inputs_that_lack_are_named(files, capsys):
    folder, _, x = files
    save_file({NAMES[0]: x[NAMES[0]], NAMES[1]: x[NAMES[1]][:, :64].copy()}, folder / "x")
    options = ("--weights", "int4 g64", "--activations", folder / "x")
    message = f"{folder / 'x'}: {NAMES[1]} must be F32 [tokens, 128], not F32 [300, 64]"
    assert run(capsys, "quantize", folder / "m", "-o", folder / "out", *options) == (
        1,
        "",
        f"Error: {message}\n",
    )
    message = f"Output must be another file than what is read, not {folder / 'x'}"
    assert run(capsys, "quantize", folder / "m", "-o", folder / "x", *options)[2] == f"Error: {message}\n"
