"""Models as they come: GGUF, safetensors, parts and folders."""

import json
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed.convert import convert
from sqhw.packed.packed_file import PackedFile
from sqhw.packed.recipe import Recipe
from sqhw.packed.sources import open_source
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.format import SQFormat
from sw_reference.quantize import quantize_sq
from tests.reference.gguf_maker import F16, GGUF, I32, IQ4_NL, Q8_0, STRING, U16, U32, q8_0

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


INSTALL = f"run `{sys.executable} -m pip install gguf==0.19.0`"
NO_GGUF = f"gguf is missing, which some block types of GGUF need: {INSTALL}"


def test_gguf_without_the_extra(tmp_path, capsys, monkeypatch):
    """Only some block types need it."""

    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(gguf_file, "import_module", missing)
    gguf_file._dequantized.cache_clear()
    path, output = tmp_path / "a.gguf", tmp_path / "out"
    w = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    data, values = q8_0(w)
    whole = {"floats": GGUF().floats("blk.0.a.weight", w), "blocks": GGUF()}
    whole["blocks"].tensor("blk.0.a.weight", w.shape, Q8_0, data)
    for kind, numbers in (("floats", w), ("blocks", values)):
        path.write_bytes(whole[kind].bytes())
        assert run(capsys, "quantize", path, "-o", output, "--weights", "2/16")[0] == 0
        assert arrays(PackedFile(output).tensor("blk.0.a.weight")) == arrays(
            quantize_sq(numbers, SQFormat(16, 2, "int8"))
        )
    output.unlink()
    path.write_bytes(GGUF().tensor("blk.0.a.weight", w.shape, IQ4_NL, bytes(4 * 36)).bytes())
    status, _, err = run(capsys, "quantize", path, "-o", output)
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
    convert(
        source, ["blk.0.b.weight"], output, Recipe(SQFormat(16, 2, "int8")), made={}, done=lambda *_: None
    )
    file = PackedFile(output)
    assert arrays(file.tensor("blk.0.b.weight")) == arrays(quantize_sq(w, SQFormat(16, 2, "int8")))
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
    file = PackedFile(to_packed(path, Recipe(SQFormat(16, 2, "int8"))))
    assert arrays(file.tensor("blk.0.a.weight")) == arrays(quantize_sq(values, SQFormat(16, 2, "int8")))
    assert file.others["embed.weight"].dtype == (kind if kind in ("F32", "F16", "BF16") else "F32")
    assert file.file.part("embed.weight", slice(None)).tolist() == values.tolist()
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="is not a GGUF file, or not a whole one"):
        open_source(path)


def sharded(folder, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    """A model in two files with an index, as Hugging Face writes them; returns its tensors."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    w = {f"model.layers.{i}.q.weight": rng.standard_normal((3, 40)).astype(np.float32) for i in range(4)}
    keys = list(w)
    homes = {key: names[i // 2] for i, key in enumerate(keys)}
    for name in names:
        save_file({key: w[key] for key in keys if homes[key] == name}, folder / name, {"format": "pt"})
    index = {"metadata": {"total_size": 1920}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return w


def same(path, w):
    """Compares what a source gives with a model's tensors; returns how many numbers."""
    source = open_source(path)
    assert set(source.entries) == set(w)
    for name, values in w.items():
        assert source.part(name, slice(None)).tolist() == values.tolist()
        assert source.raw(name).tobytes() == values.tobytes()
    return sum(values.size for values in w.values())


@pytest.mark.parametrize("place", ["", "model.safetensors.index.json", "model-00002-of-00002.safetensors"])
def test_parts_of_safetensors_are_one_model(tmp_path, place):
    w = sharded(tmp_path / "hf")
    assert same(tmp_path / "hf" / place, w) == 4 * 3 * 40
    assert open_source(tmp_path / "hf").metadata == {"format": "pt"}


def test_parts_of_any_name_are_found_by_their_index(tmp_path):
    w = sharded(tmp_path, ("first.safetensors", "second.safetensors"))
    assert same(tmp_path / "second.safetensors", w) == 4 * 3 * 40


def test_parts_without_an_index_are_found_by_their_names(tmp_path):
    w = sharded(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    assert same(tmp_path / "model-00001-of-00002.safetensors", w) == 4 * 3 * 40
    assert same(tmp_path, w) == 4 * 3 * 40


def test_links_of_a_snapshot_are_followed(tmp_path):
    """Hugging Face's cache: a folder of links to files whose names say nothing."""
    w = sharded(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for i, path in enumerate(sorted((tmp_path / "blobs").iterdir())):
        blob = path.rename(path.with_name(f"{i}" * 40))
        (tmp_path / "snapshot" / path.name).symlink_to(blob)
    assert same(tmp_path / "snapshot", w) == 4 * 3 * 40


def refused(path):
    with pytest.raises(ValueError) as caught:
        open_source(path)
    return str(caught.value)


def test_missing_parts_are_named(tmp_path):
    sharded(tmp_path)
    first, second = (tmp_path / f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    index = tmp_path / "model.safetensors.index.json"
    second.unlink()
    for path in (tmp_path, index, first):
        assert refused(path) == f"{index} names {second.name}, which is missing"
    index.unlink()
    for path in (tmp_path, first):
        assert refused(path) == f"{first} is part 1 of 2 of a model, and {second.name} is missing"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("{}", ": 'weight_map'"),
        ("[]", ": list indices must be integers or slices, not str"),
        ('{"weight_map": {"a": "../b"}}', ": Invalid name '../b'"),
        ('{"weight_map": {"a": 1}}', None),
        ("[" * 100_000, None),
        ("{", ": Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, text, end):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    message = refused(index)
    assert message.startswith(f"{index} must be an index of safetensors files with a weight_map")
    assert end is None or message.endswith(end)


def test_an_index_must_name_tensors_that_are_there(tmp_path):
    w = sharded(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    assert refused(index) == f"{index} must name a tensor at least"
    homes = dict.fromkeys(w, "model-00001-of-00002.safetensors")
    index.write_text(json.dumps({"weight_map": homes}))
    file = tmp_path / "model-00001-of-00002.safetensors"
    assert refused(tmp_path) == f"{file} must hold model.layers.2.q.weight, as the index says"


def test_a_tensor_in_two_parts_is_refused(tmp_path):
    names = [tmp_path / f"m-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name in names:
        save_file({"a": np.ones((2, 2), np.float32)}, name)
    assert refused(names[0]) == f"{names[1]}: a is in {names[0]} too"


def test_folders_hold_one_model(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    must = f"{folder} must hold one model in .safetensors or .gguf files, not"
    assert refused(folder) == f"{must} none"
    (folder / "pytorch_model.bin").touch()
    assert refused(folder) == f"{must} pytorch_model.bin"
    w = {"h.0.a.weight": np.ones((2, 4), np.float32)}
    save_file(w, folder / "b.safetensors")
    assert same(folder, w) == 8
    save_file(w, folder / "c.safetensors")
    assert refused(folder) == f"{must} b.safetensors, c.safetensors"
    save_file({"x": np.zeros((3, 3), np.float32)}, folder / "model.safetensors")
    assert same(folder, {"x": np.zeros((3, 3), np.float32)}) == 9


def split(folder, count=3, tensors=None):
    """A GGUF model in parts; returns its tensors."""
    w = {f"blk.{i}.a.weight": np.full((2, 32), i, np.float32) for i in range(count)}
    for i, (name, values) in enumerate(w.items()):
        made = GGUF().pair("split.no", U16, i).pair("split.count", U16, count)
        made.pair("split.tensors.count", U32, count if tensors is None else tensors)
        if i == 0:
            made.pair("general.name", STRING, "x")
        path = folder / f"x-{i + 1:05}-of-{count:05}.gguf"
        path.write_bytes(made.floats(name, values).bytes())
    return w


def test_parts_of_gguf_are_one_model(tmp_path):
    w = split(tmp_path)
    for place in ("", "x-00001-of-00003.gguf", "x-00003-of-00003.gguf"):
        assert same(tmp_path / place, w) == 3 * 64
    assert json.loads(open_source(tmp_path).metadata["gguf"]) == {"general.name": "x"}


def test_parts_of_gguf_that_do_not_fit_are_named(tmp_path):
    split(tmp_path, tensors=9)
    first, second, third = sorted(tmp_path.iterdir())
    assert refused(first) == f"{first} must hold 9 tensors, as its metadata say, not 3"
    moved = second.rename(tmp_path / "part2.gguf")
    must = "its name must end in -00002-of-00003.gguf, beside the other parts"
    assert refused(moved) == f"{moved} is part 2 of 3 of a model, as its metadata say: {must}"
    assert refused(third) == f"{third} is part 3 of 3 of a model, and {second.name} is missing"
    second.write_bytes(third.read_bytes())
    assert refused(first).startswith(f"{second} is part 3 of 3 of a model, as its metadata say: ")


def test_pointers_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n")
    message = f"{path} is a Git LFS pointer: git lfs pull fetches the file itself"
    assert refused(path) == message
