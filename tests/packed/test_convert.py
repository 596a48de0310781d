"""Model files become packed tensors that come back exactly."""

import re

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed import convert as convert_module
from sqhw.packed import rows as rows_module
from sqhw.packed.convert import convert
from sqhw.packed.packed_file import PackedFile
from sqhw.packed.recipe import Recipe
from sqhw.packed.sources import open_source
from sqhw.packed.tensor_file import Entry, TensorFile, TensorFileWriter
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import LargestImportance, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize
from tests.reference.gguf_maker import GGUF

from .models import FORMATS, NAMES, arrays, quantized, run, to_packed, weights


@pytest.mark.parametrize("scale", ["least_squares", "absmax"])
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_round_trip_is_exact(model, fmt, scale, monkeypatch):
    monkeypatch.setattr(rows_module, "_ELEMENTS", 100)  # a few rows at a time
    recipe = Recipe(fmt, scale)
    counted = []
    file = PackedFile(to_packed(model, recipe, lambda name, count: counted.append((name, count))))
    assert list(file.packed) == NAMES
    compared = 0
    for name in NAMES:
        w = weights()[name]
        want = quantized(w, recipe)
        assert arrays(file.tensor(name)) == arrays(want)
        error = (dequantize(want) - w) ** 2
        assert file.packed[name].relative_error == pytest.approx(error.sum() / (w.astype(float) ** 2).sum())
        assert sum(count for n, count in counted if n == name) == w.size
        compared += w.size
    assert compared == 24 * 40 + 5 * 33 + 70
    assert file.made == {"policy": "largest magnitude", "scale": scale, "source": "x"}


def test_other_tensors_are_unchanged(model):
    output = to_packed(model, Recipe(SQFormat()))
    before, after = load_file(model), load_file(output)
    others = [name for name in before if name not in NAMES]
    for name in others:
        assert after[name].dtype == before[name].dtype
        assert after[name].tolist() == before[name].tolist()
    packed = [f"{name}.{part}" for name in NAMES for part in ("packed", "row_scale")]
    assert sorted(after) == sorted(others + packed)
    assert TensorFile(output).metadata["format"] == "np"
    assert [path.name for path in sorted(model.parent.iterdir())] == ["model.safetensors", "out.safetensors"]


def test_size_is_what_is_reported(model):
    file = PackedFile(to_packed(model, Recipe(SQFormat())))
    for name, packed in file.packed.items():
        size = sum(file.file.entries[f"{name}.{part}"].size for part in ("packed", "row_scale"))
        assert packed.bits_per_element == 8 * size / (packed.rows * packed.k)


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (1e-46, "0 or at least float32's smallest, 1.4e-45"),
        (-5e-324, "0 or at least float32's smallest, 1.4e-45"),
        (1e39, "a finite float32"),
        (np.nan, "a finite float32"),
    ],
)
@pytest.mark.parametrize("fmt", [SQFormat(), DenseFormat()], ids=str)
def test_a_weight_beyond_float32_is_named_by_its_place(tmp_path, monkeypatch, number, rule, fmt):
    """Wherever the parts begin that are worked on."""
    monkeypatch.setattr(rows_module, "_ELEMENTS", 100)
    w = np.ones((40, 32))
    w[29, 7] = number
    save_file({NAMES[0]: w}, tmp_path / "wide.safetensors")
    message = f"{NAMES[0]}: Row 29, column 7: an element must be {rule}, not {number}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        to_packed(tmp_path / "wide.safetensors", Recipe(fmt))
    assert [path.name for path in tmp_path.iterdir()] == ["wide.safetensors"]
    w[29, 7] = 1e-44
    save_file({NAMES[0]: w}, tmp_path / "wide.safetensors")
    assert list(PackedFile(to_packed(tmp_path / "wide.safetensors", Recipe(fmt))).packed) == NAMES[:1]


def test_threshold_counts_in_root_mean_squares(model):
    file = PackedFile(to_packed(model, Recipe(SQFormat(32, 2, "fp16"), threshold=2.0)))
    marked = 0
    for name in NAMES:
        w = weights()[name]
        limit = 2.0 * float(np.sqrt((w.astype(np.float64) ** 2).sum() / w.size))
        want = quantize_sq(w, SQFormat(32, 2, "fp16"), Threshold(limit))
        assert arrays(file.tensor(name)) == arrays(want)
        assert file.packed[name].outlier_share == want.bitmap.sum() / w.size
        marked += want.bitmap.sum()
    assert (
        0 < marked < sum(2 * np.ceil(weights()[name].shape[1] / 32) * len(weights()[name]) for name in NAMES)
    )
    assert file.made["policy"] == "above 2 times the root mean square"


def test_importance_comes_from_a_file(model):
    rng = np.random.default_rng(1)
    path = model.parent / "importance.safetensors"
    importance = {name: rng.random(weights()[name].shape[1]).astype(np.float32) for name in NAMES}
    save_file(importance, path)
    fmt = DenseFormat(4, 32, 2, 16)
    file = PackedFile(to_packed(model, Recipe(fmt, importance=TensorFile(path))))
    for name in NAMES:
        want = quantize_dense(weights()[name], fmt, policy=LargestImportance(importance[name]))
        assert arrays(file.tensor(name)) == arrays(want)
    assert file.made["policy"] == "largest importance"
    save_file({name: importance[name] for name in NAMES[:2]}, path)
    message = f"{path}: h.1.q.weight must be F32 [70], not nothing"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        to_packed(model, Recipe(fmt, importance=TensorFile(path)))


def test_bfloat16_weights_are_quantized_and_others_pass(tmp_path):
    w = np.random.default_rng(0).standard_normal((9, 40)).astype(ml_dtypes.bfloat16)
    entries = {"h.0.a.weight": Entry("BF16", w.shape, w.nbytes), "b": Entry("F8_E4M3", (3,), 3)}
    path = tmp_path / "model.safetensors"
    with TensorFileWriter(path, entries, {}) as writer:
        writer.write("b", np.array([1, 2, 255], np.uint8))
        writer.write("h.0.a.weight", w.view(np.uint16))
        writer.finish({})
    file = PackedFile(to_packed(path, Recipe(SQFormat())))
    assert arrays(file.tensor("h.0.a.weight")) == arrays(quantize_sq(w.astype(np.float32), SQFormat()))
    assert file.others == {"b": Entry("F8_E4M3", (3,), 3)}
    assert file.file.raw("b").tolist() == [1, 2, 255]


def test_packed_files_are_not_packed_again(model, capsys):
    output = to_packed(model, Recipe(SQFormat()))
    status, _, err = run(capsys, "quantize", output, "-o", model.parent / "x", "--tensors", ".")
    message = "The model holds packed tensors already: quantize what it was made from"
    assert (status, err) == (1, f"Error: {message}\n")


def test_names_must_not_meet(model, capsys):
    save_file(weights() | {"h.0.q.weight.packed": np.zeros(1, np.float32)}, model)
    status, _, err = run(capsys, "quantize", model, "-o", model.parent / "out")
    assert (status, err) == (1, "Error: Two tensors would be called h.0.q.weight.packed\n")


def test_bad_weights_are_named_and_leave_what_was_there(model, capsys):
    bad = weights()
    bad["h.0.k.weight"][3, 2] = np.nan
    save_file(bad, model)
    output = model.parent / "out.safetensors"
    output.write_bytes(b"before")
    status, out, err = run(capsys, "quantize", model, "-o", output)
    message = "h.0.k.weight: Row 3, column 2: an element must be a finite float32, not nan"
    assert (status, out, err) == (1, "", f"Error: {message}\n")
    assert output.read_bytes() == b"before"
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.safetensors", "out.safetensors"]


def test_interruption_leaves_nothing(model, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_module, "pack_sq", interrupted)
    command = ("quantize", model, "-o", model.parent / "out", "--weights", "2/16 e5m3")
    assert run(capsys, *command) == (130, "", "\nInterrupted\n")
    assert list(model.parent.iterdir()) == [model]


def converted(model, recipe, **options):
    source = open_source(model)
    output = model.parent / "out.safetensors"
    return convert(source, NAMES, output, recipe, made={}, done=lambda *_: None, **options), output


def test_only_packed_leaves_all_others_out(model):
    packed, output = converted(model, Recipe(SQFormat()))
    whole = PackedFile(output)
    alone, output = converted(model, Recipe(SQFormat()), only_packed=True)
    file = PackedFile(output)
    assert (alone, file.packed, file.others) == (packed, whole.packed, {})
    assert sorted(file.file.entries) == sorted(
        f"{name}.{p}" for name in NAMES for p in ("packed", "row_scale")
    )
    assert file.file.metadata["format"] == "np"
    for name in NAMES:
        assert arrays(file.tensor(name)) == arrays(whole.tensor(name))


def test_names_of_what_is_left_out_may_meet_those_of_parts(model):
    extra = np.arange(3, dtype=np.float32)
    save_file(weights() | {"h.0.q.weight.packed": extra}, model)
    with pytest.raises(ValueError, match=r"^Two tensors would be called h\.0\.q\.weight\.packed$"):
        converted(model, Recipe(SQFormat()))
    _, output = converted(model, Recipe(SQFormat()), only_packed=True)
    want = quantize_sq(weights()["h.0.q.weight"], SQFormat())
    assert arrays(PackedFile(output).tensor("h.0.q.weight")) == arrays(want)


def test_tensors_that_cannot_be_passed_on_are_named(tmp_path):
    """GGUF tensors of a type without numbers hinder only a file that would hold them."""
    w = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    path = tmp_path / "a.gguf"
    path.write_bytes(GGUF().floats("blk.0.a.weight", w).tensor("x", (64,), 42, bytes(99)).bytes())
    message = "x is of type number 42, which cannot be passed on: --only-packed leaves it out"
    output = tmp_path / "out"
    for options in ({}, {"only_packed": True}):
        arguments = (open_source(path), ["blk.0.a.weight"], output, Recipe(SQFormat()))
        if options:
            convert(*arguments, made={}, done=lambda *_: None, **options)
        else:
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                convert(*arguments, made={}, done=lambda *_: None)
            assert list(tmp_path.iterdir()) == [path]
    assert arrays(PackedFile(output).tensor("blk.0.a.weight")) == arrays(quantize_sq(w, SQFormat()))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_errors_are_those_of_the_bytes(model, fmt):
    """What the summary says follows from the file and the source alone, not from what an encoder meant."""
    packed, output = converted(model, Recipe(fmt))
    file = PackedFile(output)
    compared = 0
    for name in NAMES:
        w, t = weights()[name].astype(np.float64), file.tensor(name)
        error = ((dequantize(t) - w) ** 2).sum() / (w**2).sum()
        assert packed[name].relative_error == pytest.approx(error, rel=1e-12)
        assert packed[name].outlier_share == (0 if t.bitmap is None else t.bitmap.sum() / w.size)
        compared += w.size
    assert compared == 24 * 40 + 5 * 33 + 70


def test_wrong_bytes_show_in_the_error_or_are_refused(model, monkeypatch):
    """A writer that loses bits: illegal ones are named, legal ones are found in the sample of rows."""
    right = converted(model, Recipe(SQFormat()))[0]
    write = TensorFileWriter.write

    def spoil(change):
        def spoiled(self, name, data, offset=0):
            write(self, name, change(data) if name == "h.0.q.weight.row_scale" else data, offset)

        monkeypatch.setattr(TensorFileWriter, "write", spoiled)

    before = (model.parent / "out.safetensors").read_bytes()
    spoil(lambda data: 2 * data)
    with pytest.raises(ValueError, match=r"^h\.0\.q\.weight: row 0 of the file is not the model's: "):
        converted(model, Recipe(SQFormat()))
    monkeypatch.setattr(convert_module, "_CHECKED", 0)
    monkeypatch.setattr(convert_module, "_check", lambda *_: None)
    wrong = converted(model, Recipe(SQFormat()))[0]
    assert wrong["h.0.q.weight"].relative_error > 100 * right["h.0.q.weight"].relative_error
    (model.parent / "out.safetensors").write_bytes(before)
    spoil(lambda data: data * np.nan)
    with pytest.raises(ValueError, match="row scale"):
        converted(model, Recipe(SQFormat()))
    assert (model.parent / "out.safetensors").read_bytes() == before


def test_a_model_that_changes_meanwhile_is_refused(model):
    """Rows are read again at the end: the first, the last, and some between."""
    source = open_source(model)
    part = source.part
    read = []

    def changing(name, rows):
        read.append((name, rows.start, rows.stop))
        w = part(name, rows)
        return w if rows.stop - rows.start > 1 or name != "h.0.q.weight" else w[:, ::-1].copy()

    source.part = changing
    output = model.parent / "out"
    with pytest.raises(ValueError, match=r"^h\.0\.q\.weight: row 0 of the file is not the model's: "):
        convert(source, NAMES, output, Recipe(SQFormat()), made={}, done=lambda *_: None)
    assert list(model.parent.iterdir()) == [model]
    read.clear()
    source.part = lambda name, rows: read.append((name, rows.start, rows.stop)) or part(name, rows)
    convert(source, NAMES, output, Recipe(SQFormat()), made={}, done=lambda *_: None)
    checked = [start for name, start, stop in read if name == "h.0.q.weight" and stop - start == 1]
    assert checked == [0, 3, 6, 9, 13, 16, 19, 23]
