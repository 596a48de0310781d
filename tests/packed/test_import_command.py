"""``sqhw quantize --weights import``: the codes of a checkpoint, unchanged, and both errors beside them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw import preset
from sqhw.packed.packed_file import PackedFile
from sqhw.packed.sources import open_source
from sw_reference.checkpoints.gguf import GGUFFile, find_model
from sw_reference.checkpoints.gguf_blocks import BLOCKS
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize
from tests.reference.checkpoint_maker import (
    awq_layer,
    compressed_tensors_layer,
    gptq_layer,
    layer,
    values,
)
from tests.reference.gguf_maker import GGUF
from tests.reference.test_gguf_blocks import SIZES, blocks

from .models import arrays, run

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
NAME = "blk.0.a.weight"
NUMBERS = {
    "Q4_0": 2,
    "Q4_1": 3,
    "Q5_0": 6,
    "Q5_1": 7,
    "Q8_0": 8,
    "Q4_K": 12,
    "Q5_K": 13,
    "Q6_K": 14,
    "MXFP4": 39,
}
FLOATS = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)


def gguf_model(path, kind, *more):
    """A model with one matrix [6, 512 or 64] of a block type, and float matrices under other names."""
    elements, size = SIZES[kind]
    data = blocks(kind, 6, 2).reshape(6, 2, size)
    if kind == "MXFP4":
        data[..., 0] = data[..., 0] % 6 + 100
    if kind in ("Q4_1", "Q5_1", "Q4_K", "Q5_K"):  # minima within reach of the scales
        data[..., 2:4] = data[..., 0:2]
        data[..., 3] ^= 0x80 if kind in ("Q4_1", "Q5_1") else 0
    made = GGUF().tensor(NAME, (6, 2 * elements), NUMBERS[kind], data.tobytes())
    for name in more:
        made.floats(name, FLOATS)
    path.write_bytes(made.bytes())
    return path


@pytest.mark.parametrize("kind", BLOCKS)
def test_gguf_keeps_its_codes(tmp_path, capsys, kind):
    model, output = gguf_model(tmp_path / "m.gguf", kind, "embed.weight"), tmp_path / "out"
    status, text, err = run(capsys, "quantize", model, "-o", output)
    assert (status, err) == (0, "")
    file = PackedFile(output)
    read = open_source(model).coded(NAME).part(slice(None))
    t, packed = file.tensor(NAME), file.packed[NAME]
    block = BLOCKS[kind]
    offset = block.has_bias or kind in ("Q4_0", "Q5_0", "Q8_0")
    assert t.format == DenseFormat(block.bits, block.group, scale="linear8", offset=offset)
    if block.bits == 4 and not packed.origin.requantized:
        assert t.codes.tolist() == read.codes.tolist()
    w = read.values()
    assert packed.origin.type == kind
    assert packed.relative_error == pytest.approx(((dequantize(t) - w) ** 2).sum() / (w**2).sum(), abs=1e-12)
    assert packed.origin.relative_error == pytest.approx(read.expected_error() / (w**2).sum())
    numbers = f"{packed.bits_per_element:.3f} {packed.origin.relative_error:.3e} {packed.relative_error:.3e}"
    line = f"{NAME} 6 x {packed.k} {kind} {numbers}"
    assert ("quantized anew" in text) == (packed.origin.requantized > 0)
    for shown in (text, run(capsys, "inspect", output)[1]):
        assert line in [" ".join(words.split()) for words in shown.splitlines()]
    document = json.loads(run(capsys, "inspect", output, "--json")[1])
    assert document["weights"] == "import"
    assert document["packed"][NAME]["origin"] == {
        "type": kind,
        "relative_error": packed.origin.relative_error,
        "requantized": packed.origin.requantized,
    }


@pytest.mark.parametrize("make", [gptq_layer, awq_layer, compressed_tensors_layer])
def test_layers_keep_their_codes(tmp_path, capsys, make):
    codes, zeros, scales = layer(np.random.default_rng(0), 24, 256, 128)
    model, output = tmp_path / "m.safetensors", tmp_path / "out"
    parts = {f"h.0.a.{part}": value for part, value in make(codes, zeros, scales).items()}
    save_file(parts | {"h.0.b.weight": FLOATS, "h.0.a.bias": FLOATS[0]}, model)
    status, text, _ = run(capsys, "quantize", model, "-o", output)
    assert status == 0
    assert "dense operand int4 g128 linear8 offset" in text
    assert "of type F32, whose codes cannot be imported: 1 (h.0.b.weight)" in text
    file = PackedFile(output)
    t = file.tensor("h.0.a.weight")
    assert t.codes.tolist() == (codes - 8).tolist()
    assert t.offset.tolist() == (16 * (8 - zeros)).tolist()
    assert set(file.others) == {"h.0.b.weight", "h.0.a.bias"}
    for weights, want in (
        ("2/16", quantize_sq(values(codes, zeros, scales, 128), SQFormat(16, 2, "int8"))),
        ("int8 g64", quantize_dense(values(codes, zeros, scales, 128), DenseFormat(8, 64, scale="linear8"))),
    ):
        assert run(capsys, "quantize", model, "-o", output, "--weights", weights)[0] == 0
        assert arrays(PackedFile(output).tensor("h.0.a.weight")) == arrays(want)
        assert set(PackedFile(output).packed) == {"h.0.a.weight", "h.0.b.weight"}


def test_groups_are_cut_to_those_of_a_unit(tmp_path, capsys):
    """The same weights in smaller groups; groups that are no multiple are named."""
    codes, zeros, scales = layer(np.random.default_rng(0), 24, 256, 128, symmetric=True)
    model, output = tmp_path / "m", tmp_path / "out"
    save_file({f"h.0.a.{part}": v for part, v in gptq_layer(codes, zeros, scales).items()}, model)
    found = []
    for group in (32, 64, 128):
        options = ("--weights", "import", "--group", group)
        assert run(capsys, "quantize", model, "-o", output, *options)[0] == 0
        found.append(PackedFile(output).tensor("h.0.a.weight"))
        assert found[-1].format == DenseFormat(4, group, scale="linear8")
    assert (dequantize(found[0]) == dequantize(found[2])).sum() == 24 * 256
    assert dequantize(found[1]).tolist() == dequantize(found[2]).tolist()
    output.unlink()
    options = ("--weights", "import", "--group", 48)
    message = "Nothing can be packed: its groups of 128 must be a multiple of 48: 1 (h.0.a.weight)"
    assert run(capsys, "quantize", model, "-o", output, *options) == (1, "", f"Error: {message}\n")


def test_the_default_is_import_where_codes_are(tmp_path, capsys):
    """Unless a format is asked for; and never for a model of floats."""
    stored = awq_layer(*layer(np.random.default_rng(0), 24, 64, 32))
    model, output = tmp_path / "m", tmp_path / "out"
    save_file({f"blk.0.a.{part}": v for part, v in stored.items()} | {"blk.1.b.weight": FLOATS}, model)
    for options, kind in (
        ((), DenseFormat),
        (("--weights", "2/32"), SQFormat),
        (("--weights", "int4"), DenseFormat),
    ):
        assert run(capsys, "quantize", model, "-o", output, "--tensors", "0", *options)[0] == 0
        packed = PackedFile(output).packed[NAME]
        assert isinstance(packed.format, kind)
        assert (packed.origin is None) == bool(options)
    assert run(capsys, "quantize", model, "-o", output, "--tensors", "1.b")[0] == 0
    assert PackedFile(output).packed["blk.1.b.weight"].format == preset("both").dense


def test_models_without_codes_are_refused(tmp_path, capsys):
    model = tmp_path / "m"
    save_file({"h.0.a.weight": FLOATS}, model)
    status, _, err = run(capsys, "quantize", model, "-o", tmp_path / "out", "--weights", "import")
    message = "Nothing can be packed: of type F32, whose codes cannot be imported: 1 (h.0.a.weight)"
    assert (status, err) == (1, f"Error: {message}\n")


def test_groups_that_no_operand_has_are_named(tmp_path, capsys):
    model = tmp_path / "m"
    stored = compressed_tensors_layer(*layer(np.random.default_rng(0), 8, 66, 33))
    save_file({f"h.0.a.{part}": value for part, value in stored.items()}, model)
    status, _, err = run(capsys, "quantize", model, "-o", tmp_path / "out")
    message = "Nothing can be packed: its groups of 33 must be a multiple of 4: 1 (h.0.a.weight)"
    assert (status, err) == (1, f"Error: {message}\n")


def test_scales_that_are_no_number_are_named_by_the_row_of_the_matrix(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sqhw.packed.rows._ELEMENTS", 64)
    codes, zeros, scales = layer(np.random.default_rng(0), 24, 64, 32)
    scales[19, 1] = np.nan
    stored = compressed_tensors_layer(codes, zeros, scales)
    save_file({f"h.0.a.{part}": value for part, value in stored.items()}, tmp_path / "m")
    status, _, err = run(capsys, "quantize", tmp_path / "m", "-o", tmp_path / "out")
    message = "h.0.a.weight: Row 19, group 1: the scale must be finite, not nan"
    assert (status, err) == (1, f"Error: {message}\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


@pytest.mark.llm
def test_the_real_model_keeps_its_codes(tmp_path, capsys):
    """All 210 layers of SmolLM2, as docs/files.md prints them; 884,736 codes of one against its bytes."""
    output = tmp_path / "out"
    status, table, _ = run(capsys, "quantize", find_model(), "-o", output, "--only-packed")
    assert status == 0
    shown = [line.rstrip() for line in table.splitlines() if re.match("blk.0.attn_k.weight|mean over", line)]
    assert (len(shown), set(shown) - set(PAGE.read_text().splitlines())) == (2, set())
    file, source = PackedFile(output), GGUFFile(find_model())
    assert len(file.packed) == 210
    for packed in file.packed.values():
        assert packed.format == DenseFormat(4, 32, scale="linear8", offset=True)
        assert (packed.origin.type, packed.origin.requantized) == ("Q4_1", 0)
        assert packed.relative_error < packed.origin.relative_error / 100
    name = "blk.11.ffn_down.weight"
    raw = source.stored(name).reshape(576, 48, 20)[..., 4:]
    codes = np.concatenate([raw & 15, raw >> 4], axis=-1).reshape(576, 1536).astype(int) - 8
    t = file.tensor(name)
    assert (t.codes == codes).sum() == 884_736
    w = source.tensor(name).astype(np.float64)
    assert ((dequantize(t) - w) ** 2).sum() / (w**2).sum() == pytest.approx(2.97e-5, rel=0.01)
