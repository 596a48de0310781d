"""Layers in codes of GPTQ, AWQ and compressed-tensors are matrices like all others."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed.packed_file import PackedFile
from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sw_reference.format import SQFormat
from sw_reference.quantize import quantize_sq
from tests.reference.checkpoint_maker import (
    awq_layer,
    compressed_tensors_layer,
    gptq_layer,
    layer,
    values,
)

from .models import arrays, run

NAME = "model.layers.0.q_proj"
MADE = layer(np.random.default_rng(0), 24, 96, 32)
WANT = values(*MADE, 32)
MAKERS = {"GPTQ": gptq_layer, "AWQ": awq_layer, "compressed-tensors": compressed_tensors_layer}


def named(stored, name=NAME):
    return {f"{name}.{part}": value for part, value in stored.items()}


@pytest.mark.parametrize("quantizer", MAKERS)
def test_layers_are_matrices(tmp_path, quantizer):
    stored = named(MAKERS[quantizer](*MADE))
    extra = {f"{NAME}.bias": np.ones(24, np.float16), "embed.weight": np.ones((3, 96), np.float16)}
    save_file(stored | extra, tmp_path / "m")
    source = open_source(tmp_path / "m")
    assert set(source.entries) == {*extra, f"{NAME}.weight"}
    entry = source.entries[f"{NAME}.weight"]
    size = sum(value.nbytes for value in stored.values())
    assert (entry.dtype, entry.shape, entry.size) == (f"{quantizer} INT4", (24, 96), size)
    assert source.readable(f"{NAME}.weight")
    assert source.part(f"{NAME}.weight", slice(None)).tolist() == WANT.tolist()
    assert source.part(f"{NAME}.weight", slice(5, 9)).tolist() == WANT[5:9].tolist()
    assert source.raw(f"{NAME}.weight").tolist() == WANT.astype(np.float32).tolist()
    assert source.passed_on(f"{NAME}.weight").dtype == "F32"
    assert source.coded(f"{NAME}.weight").part(slice(None)).codes.tolist() == (MADE[0] - 8).tolist()
    assert source.coded("embed.weight") is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_scales_of_any_float(tmp_path, dtype):
    codes, zeros, scales = MADE
    stored = named(compressed_tensors_layer(codes, zeros, scales.astype(dtype)))
    save_file(stored, tmp_path / "m")
    got = open_source(tmp_path / "m").part(f"{NAME}.weight", slice(None))
    assert got.tolist() == values(codes, zeros, scales.astype(dtype), 32).tolist()


def test_a_layer_may_lie_in_two_files(tmp_path):
    stored = named(gptq_layer(*MADE))
    homes = {}
    for i, names in enumerate((list(stored)[:1], list(stored)[1:])):
        save_file({name: stored[name] for name in names}, tmp_path / f"{i}.safetensors")
        homes |= dict.fromkeys(names, f"{i}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": homes}))
    source = open_source(tmp_path)
    assert list(source.entries) == [f"{NAME}.weight"]
    assert source.part(f"{NAME}.weight", slice(None)).tolist() == WANT.tolist()


def test_layers_that_cannot_be_read_keep_their_tensors(tmp_path):
    """Groups of unequal sizes, a type of codes that is not known, a part that is missing, a second weight."""
    g_idx = np.arange(96, dtype=np.int32) % 2
    stored = named(gptq_layer(*MADE) | {"g_idx": g_idx}, "h.0.a")
    stored |= named(compressed_tensors_layer(*MADE) | {"weight_packed": np.ones((24, 48), np.uint8)}, "h.0.b")
    stored |= {name: v for name, v in named(awq_layer(*MADE), "h.0.c").items() if "scales" not in name}
    stored |= named(awq_layer(*MADE), "h.0.d") | {"h.0.d.weight": np.ones((2, 8), np.float32)}
    save_file(stored, tmp_path / "m")
    source = open_source(tmp_path / "m")
    assert set(source.entries) == set(stored)
    selection = select(source, LINEAR)
    assert selection.names == ["h.0.d.weight"]
    reasons = {
        why: sorted({name.rpartition(".")[0] for name in names}) for why, names in selection.others.items()
    }
    codes = "in codes of GPTQ or AWQ"
    assert reasons == {
        f"{codes}: g_idx must put 96 columns in 3 groups of equal size (act-order)": ["h.0.a"],
        "in codes of compressed-tensors: weight_packed is of type U8": ["h.0.b"],
        f"{codes}: it lacks scales": ["h.0.c"],
        f"{codes}: it has h.0.d.weight too": ["h.0.d"],
    }  # fmt: skip


@pytest.mark.parametrize("quantizer", MAKERS)
def test_layers_are_packed_and_inspected(tmp_path, capsys, quantizer):
    """As SQ operands, of the weights that their codes stand for."""
    model, output = tmp_path / "m", tmp_path / "out"
    save_file(named(MAKERS[quantizer](*MADE)), model)
    assert f"{quantizer} INT4" in run(capsys, "inspect", model)[1]
    assert run(capsys, "quantize", model, "-o", output, "--weights", "2/16")[0] == 0
    assert arrays(PackedFile(output).tensor(f"{NAME}.weight")) == arrays(
        quantize_sq(WANT, SQFormat(16, 2, "int8"))
    )
