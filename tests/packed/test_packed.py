"""Model files become packed tensors that come back exactly; damage is named and leaves nothing behind."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw import cli
from sqhw.packed import convert as convert_module
from sqhw.packed import packed_file
from sqhw.packed.convert import Recipe, convert
from sqhw.packed.packed_file import KEY, PackedFile
from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sqhw.packed.tensor_file import Entry, TensorFile, TensorFileWriter
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import LargestImportance, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize
from tests.reference.cases import random_dense, random_sq
from tests.reference.gguf_maker import F16, GGUF, I32, Q8_0, STRING, U16, U32, q8_0

ROOT = Path(__file__).parents[2]
FORMATS = [
    SQFormat(),
    SQFormat(16, 4, "int8", "sentinel"),
    SQFormat(32, 2, "int8"),
    SQFormat(8, 0),
    DenseFormat(4, 64),
    DenseFormat(8),
    DenseFormat(4, 32, 2, 16),
]
NAMES = ["h.0.k.weight", "h.0.q.weight", "h.1.q.weight"]


def weights():
    rng = np.random.default_rng(0)
    return {
        "embed.weight": rng.standard_normal((7, 40)).astype(np.float32),
        "h.0.q.weight": rng.standard_t(3, (24, 40)).astype(np.float32),
        "h.0.k.weight": rng.standard_t(3, (5, 33)).astype(np.float16),
        "h.0.norm.weight": rng.standard_normal(40).astype(np.float16),
        "h.1.q.weight": rng.standard_t(3, (1, 70)),
        "steps": np.arange(3, dtype=np.int64),
        "flag": np.array(True),
        "empty": np.zeros((0, 4), np.float32),
    }


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(weights(), path, {"format": "np"})
    return path


def to_packed(model, recipe, done=lambda name, count: None):
    output = model.parent / "out.safetensors"
    source = open_source(model)
    convert(source, select(source, LINEAR).names, output, recipe, made={"source": "x"}, done=done)
    return output


def arrays(t):
    """A tensor as lists, to be compared with ==."""
    fields = {name: getattr(t, name) for name in vars(t)}
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in fields.items()}


def quantized(w, recipe, policy=None):
    policy = {} if policy is None else {"policy": policy}
    quantize = quantize_sq if isinstance(recipe.format, SQFormat) else quantize_dense
    return quantize(w, recipe.format, scale=recipe.scale, **policy)


@pytest.mark.parametrize("scale", ["least_squares", "absmax"])
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_round_trip_is_exact(model, fmt, scale, monkeypatch):
    monkeypatch.setattr(convert_module, "_ELEMENTS", 100)  # a few rows at a time
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


def test_bfloat16_against_another_library(tmp_path):
    codes = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / "a.safetensors"
    with TensorFileWriter(path, {"a": Entry("BF16", (256, 256), codes.nbytes)}, {}) as writer:
        writer.write("a", codes)
        writer.finish({})
    got = TensorFile(path).part("a", slice(10, 250))
    want = codes[10:250].view(ml_dtypes.bfloat16).astype(np.float32)
    assert got.dtype == np.float32
    assert got.view(np.uint32).tolist() == want.view(np.uint32).tolist()


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


def test_writer_aligns_pads_and_agrees_with_the_library(tmp_path):
    path = tmp_path / "a.safetensors"
    content = {
        "a": np.array([1, 2, 3], np.uint8),
        "b": np.array([[1.5, 2.5]], np.float32),
        "c": np.array([7], np.float16),
        "d": np.array(3.25),
        "e": np.zeros((2, 0), np.float32),
    }
    kinds = {"a": "U8", "b": "F32", "c": "F16", "d": "F64", "e": "F32"}
    entries = {name: Entry(kinds[name], v.shape, v.nbytes) for name, v in content.items()}
    with TensorFileWriter(path, entries, {"x": "long " * 30}) as writer:
        writer.write("b", content["b"][:, 1:], offset=4)
        writer.write("b", content["b"][:, :1])
        for name in "acde":
            writer.write(name, content[name])
        writer.finish({"x": "short"})
    got = load_file(path)
    assert {name: (v.dtype, v.tolist()) for name, v in got.items()} == {
        name: (v.dtype, v.tolist()) for name, v in content.items()
    }
    file = TensorFile(path)
    assert file.metadata == {"x": "short"}
    assert file.entries == entries
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header % 8 == 0
    for name, entry in entries.items():
        assert (file._starts[name] - 8 - header) % entry.alignment == 0


def test_unfinished_files_are_refused(tmp_path):
    entries = {"a": Entry("U8", (3,), 3)}
    message = "^A tensor is not complete, or the metadata is longer than announced$"
    with TensorFileWriter(tmp_path / "a", entries, {}) as writer:
        writer.write("a", np.array([1, 2], np.uint8))
        with pytest.raises(RuntimeError, match=message):
            writer.finish({})
        writer.write("a", np.array([3], np.uint8), offset=2)
        with pytest.raises(RuntimeError, match=message):
            writer.finish({"more": "than was announced"})
        writer.finish({})
    assert load_file(tmp_path / "a")["a"].tolist() == [1, 2, 3]


def run(capsys, *arguments):
    """Returns the exit code and what went to standard output and standard error."""
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_truncated_files_leave_nothing(model, capsys):
    whole = model.read_bytes()
    cut = model.parent / "cut.safetensors"
    tried = 0
    for length in (0, 3, 8, 60, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        before = set(model.parent.iterdir())
        for command in (["quantize", cut, "-o", model.parent / "out.safetensors"], ["inspect", cut]):
            status, out, err = run(capsys, *command)
            assert (status, out) == (1, "")
            assert err.startswith(f"Error: {cut} is not a safetensors file, or not a whole one: ")
            assert err.count("\n") == 1
            assert set(model.parent.iterdir()) == before
            tried += 1
    assert tried == 12


@pytest.mark.parametrize("content", [b"PK\x03\x04 something else", b"x" * 100, b"{}"])
def test_foreign_files_are_refused(tmp_path, capsys, content):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    status, _, err = run(capsys, "quantize", path, "-o", tmp_path / "out")
    assert status == 1
    assert err.startswith(f"Error: {path} is not a safetensors file, or not a whole one: ")
    assert list(tmp_path.iterdir()) == [path]


def test_gguf_without_the_extra(tmp_path, capsys, monkeypatch):
    """Only block types need it."""

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(gguf_file, "import_module", missing)
    gguf_file._dequantized.cache_clear()
    path = tmp_path / "a.gguf"
    w = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    path.write_bytes(GGUF().floats("blk.0.a.weight", w).bytes())
    assert run(capsys, "quantize", path, "-o", tmp_path / "out")[0] == 0
    assert arrays(PackedFile(tmp_path / "out").tensor("blk.0.a.weight")) == arrays(quantize_sq(w, SQFormat()))
    (tmp_path / "out").unlink()
    path.write_bytes(GGUF().tensor("blk.0.a.weight", w.shape, Q8_0, q8_0(w)[0]).bytes())
    status, _, err = run(capsys, "quantize", path, "-o", tmp_path / "out")
    assert (status, err) == (1, f"Error: {NO_GGUF}\n")
    assert list(tmp_path.iterdir()) == [path]


NO_GGUF = "gguf is missing: sw_reference.llm needs the optional extra `llm`: pip install 'sqhw[llm]'"


def test_gguf_tensors_and_metadata_pass(tmp_path):
    w = np.random.default_rng(0).standard_normal((6, 40)).astype(np.float32)
    path = tmp_path / "a.gguf"
    made = GGUF().pair("general.architecture", STRING, "llama").pair("llama.block_count", U32, 1)
    made.pair("split.count", U16, 1).array("tokens", STRING, 1, made.text("a"))
    made.floats("blk.0.b.weight", w).tensor("blk.0.a.weight", w.shape, F16, w.astype(np.float16).tobytes())
    made.tensor("steps", (2,), I32, np.array([1, -2], np.int32).tobytes())
    path.write_bytes(made.bytes())
    source = open_source(path)
    assert json.loads(source.metadata["gguf"]) == {"general.architecture": "llama", "llama.block_count": 1}
    output = tmp_path / "out.safetensors"
    convert(source, ["blk.0.b.weight"], output, Recipe(SQFormat()), made={}, done=lambda *_: None)
    file = PackedFile(output)
    assert arrays(file.tensor("blk.0.b.weight")) == arrays(quantize_sq(w, SQFormat()))
    others = load_file(output)
    assert others["blk.0.a.weight"].tolist() == w.astype(np.float16).tolist()
    assert others["steps"].tolist() == [1, -2]
    assert file.file.metadata["gguf"] == source.metadata["gguf"]


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
    assert run(capsys, "quantize", model, "-o", model.parent / "out") == (130, "", "\nInterrupted\n")
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("--bank 12", 2, "Bank must be a power of two from 4 to 128, not 12"),
        ("--high fp8", 2, "High must be 'fp16' or 'int8', not 'fp8'"),
        ("--group 64", 2, "--group must stand with --operand dense, not sq"),
        ("--operand dense --mask sentinel", 2, "--mask must stand with --operand sq, not dense"),
        ("--operand dense --outliers 1", 2, "Dense bank must be a power of two from 4 to 128, not None"),
        (
            "--operand dense --threshold 3",
            2,
            "Threshold and importance must stand with a format that has outliers",
        ),
        ("--threshold -1", 2, "Limit must be zero or positive, not -1.0"),
        ("--threshold 3 --importance {model}", 2, "Threshold must stand without importance"),
        ("--tensors xyz", 1, "Nothing can be packed: {reasons}"),
        (
            "--tensors (",
            1,
            "Tensors must be a regular expression, not (: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_refusals(model, capsys, options, status, message):
    output = model.parent / "out"
    arguments = options.format(model=model).split()
    message = message.format(
        reasons="vectors or scalars: 3 (steps, h.0.norm.weight, flag); not matched by --tensors 'xyz': "
        "4 (h.1.q.weight, embed.weight, h.0.q.weight, ...); without elements: 1 (empty)"
    )
    assert run(capsys, "quantize", model, "-o", output, *arguments) == (status, "", f"Error: {message}\n")
    assert list(model.parent.iterdir()) == [model]


def test_the_model_is_not_overwritten(model, capsys):
    before = model.read_bytes()
    message = f"Error: Output must be another file than what is read, not {model}\n"
    assert run(capsys, "quantize", model, "-o", model) == (2, "", message)
    assert model.read_bytes() == before


def test_packed_files_are_not_packed_again(model, capsys):
    output = to_packed(model, Recipe(SQFormat()))
    status, _, err = run(capsys, "quantize", output, "-o", model.parent / "x", "--tensors", ".")
    message = "The model holds packed tensors already: quantize what it was made from"
    assert (status, err) == (1, f"Error: {message}\n")


def test_names_must_not_meet(model, capsys):
    save_file(weights() | {"h.0.q.weight.packed": np.zeros(1, np.float32)}, model)
    status, _, err = run(capsys, "quantize", model, "-o", model.parent / "out")
    assert (status, err) == (1, "Error: Two tensors would be called h.0.q.weight.packed\n")


def test_quantize_and_inspect_tell_the_same(model, capsys):
    output = model.parent / "out.safetensors"
    status, table, err = run(capsys, "quantize", model, "-o", output, "--bank", 32, "--outliers", 2)
    assert (status, err) == (0, "")
    assert table.endswith(f"{output}: {output.stat().st_size:,} bytes\n")
    status, shown, err = run(capsys, "inspect", output)
    assert (status, err) == (0, "")
    lines = [line.strip() for line in table.splitlines()]
    end = lines.index("Not packed but passed on as they are:")
    assert all(line in shown for line in lines[:end])
    assert lines[end + 1 :] == [
        "vectors or scalars: 3 (steps, h.0.norm.weight, flag)",
        r"not matched by --tensors '\.\d+\..*weight$': 1 (embed.weight)",
        "without elements: 1 (empty)",
        f"{output}: {output.stat().st_size:,} bytes",
    ]
    assert sum(line.startswith("h.") for line in lines) == 3
    assert "SQ operand: bank 32, outliers 2, int8, bitmap" in lines[0]
    assert "embed.weight" in shown
    assert shown.endswith("3 packed tensors checked: every code is legal.\n")
    status, text, _ = run(capsys, "inspect", output, "--json")
    document = json.loads(text)
    assert status == 0
    assert document["command"] == f"sqhw quantize {model} -o {output} --bank 32 --outliers 2"
    assert document["packed"]["h.0.q.weight"]["format"] == {
        "bank": 32,
        "outliers": 2,
        "high": "int8",
        "mask": "bitmap",
    }
    assert document["others"]["steps"] == {"dtype": "I64", "shape": [3]}
    assert run(capsys, "inspect", model)[1].count("\n") > len(weights())


def test_inspect_finds_damage(model, capsys):
    output = to_packed(model, Recipe(SQFormat()))
    data = bytearray(output.read_bytes())
    start = PackedFile(output).file._starts["h.0.q.weight.packed"]
    data[start] = 3  # a reserved bank scale
    output.write_bytes(data)
    rule = "Row 0, bank 0: the bank scale must be a legal code, not a reserved one"
    assert run(capsys, "inspect", output) == (1, "", f"Error: {output}: h.0.q.weight: {rule}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: "[1", "Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (lambda d: d | {"version": 2}, "Version must be 1, not 2"),
        (lambda d: {"version": 1}, "'tensors'"),
        (lambda d: d | {"tensors": {"x": d["tensors"]["h.0.q.weight"]}}, "x.packed must be "),
        (lambda d: d | {"tensors": {"x": {}}}, "'operand'"),
        (lambda d: [], ""),
    ],
)
def test_a_damaged_description_is_refused(model, change, message):
    output = to_packed(model, Recipe(SQFormat()))
    metadata = TensorFile(output).metadata
    changed = change(json.loads(metadata[KEY]))
    text = changed if isinstance(changed, str) else json.dumps(changed)
    save_file(load_file(output), output, {KEY: text})
    want = re.escape(f"{output}: the description of its packed tensors is damaged: {message}")
    with pytest.raises(ValueError, match=f"^{want}"):
        PackedFile(output)


def test_files_without_packed_tensors_are_refused(model):
    message = f"{model} holds no packed tensors: its metadata has no entry sqhw"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PackedFile(model)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_any_codes_come_back(tmp_path, fmt):
    """Not only what an encoder writes."""
    rng = np.random.default_rng(0)
    t = (random_sq if isinstance(fmt, SQFormat) else random_dense)(rng, fmt, 5, 77)
    entries = packed_file.packed_entries("a", fmt, 5, 77)
    packed = packed_file.Packed(fmt, 5, 77, 0.0, 0.0)
    metadata = {KEY: packed_file.description({"a": packed})}
    pack = convert_module.pack_sq if isinstance(fmt, SQFormat) else convert_module.pack_dense
    with TensorFileWriter(tmp_path / "a", entries, metadata) as writer:
        writer.write("a.packed", pack(t))
        writer.write("a.row_scale", t.row_scale)
        writer.finish(metadata)
    assert arrays(PackedFile(tmp_path / "a").tensor("a")) == arrays(t)


def test_names_are_sorted_by_their_numbers(tmp_path):
    names = [f"h.{i}.a{j}.weight" for i in (0, 2, 10) for j in (1, 11)]
    save_file({name: np.ones((1, 4), np.float32) for name in names}, tmp_path / "m")
    assert select(open_source(tmp_path / "m"), LINEAR).names == names


@pytest.mark.llm
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1"])
def test_small_gguf_files(tmp_path, kind):
    """Every type passes its values on, and packs what the library says they are."""
    import gguf

    w = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    quantization = gguf.GGMLQuantizationType[kind]
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name in ("blk.0.a.weight", "embed.weight"):
        writer.add_tensor(name, gguf.quantize(w, quantization), raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    values = gguf.dequantize(gguf.quantize(w, quantization), quantization)
    file = PackedFile(to_packed(path, Recipe(SQFormat())))
    assert arrays(file.tensor("blk.0.a.weight")) == arrays(quantize_sq(values, SQFormat()))
    assert file.others["embed.weight"].dtype == (kind if kind in ("F32", "F16", "BF16") else "F32")
    assert file.file.part("embed.weight", slice(None)).tolist() == values.tolist()
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="is not a GGUF file, or not a whole one"):
        open_source(path)


def started(tmp_path, *before):
    """A command in the middle of its work, and the model that it reads."""
    model = tmp_path / "m.safetensors"
    w = np.random.default_rng(0).standard_normal((4000, 4096)).astype(np.float32)
    save_file({"h.0.a.weight": w}, model)
    command = [*before, sys.executable, "-m", "sqhw", "quantize", str(model), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.iterdir())) == 1 and process.poll() is None:
        time.sleep(0.01)
    return process, model


@pytest.mark.parametrize("names", ["INT", "TERM", "HUP", "QUIT", "XCPU", "USR1", "HUP TERM QUIT"])
def test_signals_leave_nothing(tmp_path, names):
    """In the middle of the work: as a terminal that closes, a batch system, or both at once send them."""
    process, model = started(tmp_path)
    for name in names.split():
        process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted")
    assert list(tmp_path.iterdir()) == [model]


def test_signals_that_are_ignored_stay_ignored(tmp_path):
    process, model = started(tmp_path, "nohup")
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "mean over elements" in out
    assert sorted(tmp_path.iterdir()) == [model, tmp_path / "out"]


@pytest.mark.llm
def test_the_page(tmp_path, capsys, monkeypatch):
    """The Python of docs/files.md runs as it stands and prints what the page says."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "quantize.md").read_text()
    importance, use = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(importance, {})
    model = gguf_file.find_model()
    options = ("--operand", "dense", "--tensors", "blk.11.ffn_down")
    status, table, _ = run(capsys, "quantize", model, "-o", "dense.safetensors", *options)
    assert status == 0
    assert re.search(r"blk.11.ffn_down.weight +576 x 1536 +4\.", table)
    exec(use, {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in page
    options = ("--bank", 32, "--outliers", 2, "--importance", "importance.safetensors")
    status, table, _ = run(capsys, "quantize", model, "-o", "weighted.safetensors", *options)
    assert status == 0
    assert re.search(r"mean over elements .* 5\.140e-03", table)


@pytest.mark.llm
def test_the_real_model(tmp_path, capsys):
    path = gguf_file.find_model()
    output = tmp_path / "out.safetensors"
    assert run(capsys, "quantize", path, "-o", output)[0] == 0
    file, source = PackedFile(output), gguf_file.GGUFFile(path)
    assert len(file.packed) == 210
    for name in list(file.packed)[::30]:
        assert arrays(file.tensor(name)) == arrays(quantize_sq(source.tensor(name), SQFormat()))
    assert min(t.relative_error for t in file.packed.values()) > 0.002
    assert max(t.relative_error for t in file.packed.values()) < 0.004
    assert (
        file.file.part("token_embd.weight", slice(0, 9)).tolist()
        == source.tensor("token_embd.weight")[:9].tolist()
    )
    assert run(capsys, "inspect", output)[0] == 0
