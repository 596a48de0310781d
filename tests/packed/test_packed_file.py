"""Packed tensors are read back; damage is named."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed import convert as convert_module
from sqhw.packed import packed_file
from sqhw.packed.packed_file import KEY, Packed, PackedFile
from sqhw.packed.recipe import Recipe
from sqhw.packed.sources import open_source
from sqhw.packed.tensor_file import TensorFile, TensorFileWriter
from sw_reference.format import SQFormat
from tests.reference.cases import random_dense, random_sq

from .models import FORMATS, arrays, run, to_packed


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_any_codes_come_back(tmp_path, fmt):
    """Not only what an encoder writes."""
    rng = np.random.default_rng(0)
    t = (random_sq if isinstance(fmt, SQFormat) else random_dense)(rng, fmt, 5, 77)
    packed = Packed(fmt, 5, 77, 0.0, 0.0)
    entries = packed_file.packed_entries("a", packed)
    metadata = {KEY: packed_file.description({"a": packed})}
    pack = convert_module.pack_sq if isinstance(fmt, SQFormat) else convert_module.pack_dense
    with TensorFileWriter(tmp_path / "a", entries, metadata) as writer:
        writer.write("a.packed", pack(t))
        writer.write("a.row_scale", t.row_scale)
        writer.finish(metadata)
    assert arrays(PackedFile(tmp_path / "a").tensor("a")) == arrays(t)


def test_inspect_finds_damage(model, capsys):
    output = to_packed(model, Recipe(SQFormat()))
    data = bytearray(output.read_bytes())
    start = PackedFile(output).file._starts["h.0.q.weight.packed"]
    data[start] = 3  # a reserved bank scale
    output.write_bytes(data)
    rule = "Row 0, bank 0: the bank scale must be a legal code, not a reserved one"
    assert run(capsys, "inspect", output) == (1, "", f"Error: {output}: h.0.q.weight: {rule}\n")


def changed(description, error):
    """The description with another error of one tensor."""
    description["tensors"]["h.0.q.weight"]["relative_error"] = error
    return description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: "[1", "Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (lambda d: d | {"version": 2}, "Version must be 1, not 2"),
        (lambda d: {"version": 1}, "'tensors'"),
        (lambda d: d | {"tensors": {"x": d["tensors"]["h.0.q.weight"]}}, "x.packed must be "),
        (lambda d: d | {"tensors": {"x": {}}}, "'operand'"),
        (lambda d: [], ""),
        (lambda d: d | {"scale": float("nan")}, "Out of range float values are not JSON compliant"),
        (lambda d: "[" * 100_000, "maximum recursion depth exceeded"),
        *(
            (lambda d, v=v: changed(d, v), f"relative_error must be a number, not {v!r}")
            for v in (None, "1", [], True)
        ),
    ],
)
def test_a_damaged_description_is_refused(model, change, message):
    output = to_packed(model, Recipe(SQFormat()))
    metadata = TensorFile(output).metadata
    new = change(json.loads(metadata[KEY]))
    text = new if isinstance(new, str) else json.dumps(new)
    save_file(load_file(output), output, {KEY: text})
    want = re.escape(f"{output}: the description of its packed tensors is damaged: {message}")
    with pytest.raises(ValueError, match=f"^{want}"):
        PackedFile(output)


def test_paths_may_be_strings(model):
    output = to_packed(model, Recipe(SQFormat()))
    assert list(PackedFile(str(output)).packed) == list(PackedFile(output).packed)
    assert list(open_source(str(model)).entries) == list(open_source(model).entries)


def test_files_without_packed_tensors_are_refused(model):
    message = f"{model} holds no packed tensors: its metadata has no entry sqhw"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PackedFile(model)
