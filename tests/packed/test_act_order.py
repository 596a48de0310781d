"""Checkpoints whose groups have columns in many places (act-order): codes, order and products."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.driver.engine import Engine
from sqhw.packed.packed_file import PackedFile
from sqhw.packed.sources import open_source
from sqhw.presets import engine_preset
from sw_reference.format import SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_sq
from sw_reference.split import dequantize
from tests.reference.checkpoint_maker import compressed_tensors_layer, gptq_layer, layer, values_by

from .models import arrays, run

NAME = "h.0.a.weight"
G_IDX = np.random.default_rng(1).permutation(128).astype(np.int32) // np.int32(32)
CODES, ZEROS, SCALES = layer(np.random.default_rng(0), 24, 128, 32)
MADE = {
    "GPTQ": gptq_layer(CODES, ZEROS, SCALES) | {"g_idx": G_IDX},
    "compressed-tensors": compressed_tensors_layer(CODES, ZEROS, SCALES) | {"weight_g_idx": G_IDX},
}
WANT = values_by(CODES, ZEROS, SCALES, G_IDX)


@pytest.fixture(params=MADE)
def packed(request, tmp_path, capsys):
    """A model in act-order, and the file that the command made of it."""
    save_file({f"h.0.a.{part}": value for part, value in MADE[request.param].items()}, tmp_path / "m")
    assert run(capsys, "quantize", tmp_path / "m", "-o", tmp_path / "out")[0] == 0
    return tmp_path / "m", tmp_path / "out"


def test_codes_stay_and_the_order_is_stored(packed, capsys):
    file = PackedFile(packed[1])
    order, t = file.order(NAME), file.tensor(NAME)
    assert sorted(order.tolist()) == list(range(128))
    assert G_IDX[order].tolist() == sorted(G_IDX.tolist())
    assert t.codes.tolist() == (CODES - 8)[:, order].tolist()
    assert t.offset.tolist() == (16 * (8 - ZEROS)).tolist()
    assert (load_file(packed[1])[f"{NAME}.order"] == order).sum() == 128
    assert file.others == {}
    assert file.packed[NAME].relative_error < 1e-4
    status, text, _ = run(capsys, "inspect", packed[1])
    assert (status, "1 packed tensors checked: every code is legal." in text) == (0, True)


def test_products_with_inputs_in_that_order(packed):
    """Of the golden model and of an engine: what the checkpoint's own weights give, but for rounding."""
    file, config = PackedFile(packed[1]), engine_preset("imported")
    order, t = file.order(NAME), file.tensor(NAME)
    x = np.random.default_rng(2).standard_normal((5, 128)).astype(np.float32)
    sq = quantize_sq(x[:, order], config.pe.sq)
    product = multiply(sq, t)
    inputs = np.empty((5, 128))
    inputs[:, order] = dequantize(sq)
    exact = inputs @ WANT.T
    assert np.linalg.norm(product.y - exact) < 0.01 * np.linalg.norm(exact)
    with Engine(config, "golden") as engine:
        assert (engine.matmul(sq, engine.pack(t)) == product.y).sum() == 5 * 24


def test_weights_that_are_made_anew_are_in_order(packed, capsys):
    source = open_source(packed[0])
    assert source.part(NAME, slice(None)).tolist() == WANT.tolist()
    assert run(capsys, "quantize", packed[0], "-o", packed[1], "--weights", "2/16")[0] == 0
    file = PackedFile(packed[1])
    assert file.order(NAME) is None
    assert arrays(file.tensor(NAME)) == arrays(quantize_sq(WANT, SQFormat(16, 2, "int8")))


def test_a_damaged_order_is_named(packed, capsys):
    tensors = load_file(packed[1])
    tensors[f"{NAME}.order"][3] = tensors[f"{NAME}.order"][4]
    save_file(tensors, packed[1], PackedFile(packed[1]).file.metadata)
    message = f"{packed[1]}: {NAME}: order must hold each of 128 columns once"
    assert run(capsys, "inspect", packed[1]) == (1, "", f"Error: {message}\n")
