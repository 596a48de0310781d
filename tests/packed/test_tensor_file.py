"""safetensors files, piece by piece."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from sqhw.packed.tensor_file import Entry, TensorFile, TensorFileWriter


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
