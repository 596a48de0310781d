"""Models as they come: GGUF, safetensors, parts and folders."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed.convert import Recipe, convert
from sqhw.packed.packed_file import PackedFile
from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.format import SQFormat
from sw_reference.quantize import quantize_sq
from tests.reference.gguf_maker import F16, GGUF, I32, Q8_0, STRING, U16, U32, q8_0

from .models import arrays, run, to_packed


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


NO_GGUF = "gguf is missing: sw_reference.llm needs the optional extra `llm`: pip install 'sqhw[llm]'"


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


def test_names_are_sorted_by_their_numbers(tmp_path):
    names = [f"h.{i}.a{j}.weight" for i in (0, 2, 10) for j in (1, 11)]
    save_file({name: np.ones((1, 4), np.float32) for name in names}, tmp_path / "m")
    assert select(open_source(tmp_path / "m"), LINEAR).names == names
