"""Linear layers in the codes of a checkpoint, against the golden model's own product."""

import re

import numpy as np
import pytest

from sqhw.generate.layers import Elements, Layer, coded_head, coded_layers, head_name, load
from sqhw.generate.linear import RULE, Linear
from sqhw.presets import PRESETS
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.format import SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.generate.models import CONFIG, Q4_0, Q4_1, Q8_0, SEED, tiny_gguf


def matrices(tmp_path, kind):
    return load(GGUFFile(tiny_gguf(tmp_path / "model.gguf", kind)))[1]


@pytest.mark.parametrize("kind", [Q4_0, Q4_1])
@pytest.mark.parametrize("name", ["lean", "fine", "both"])
def test_sums_and_results_are_the_golden_models(tmp_path, name, kind):
    pe, compared = PRESETS[name], 0
    found = matrices(tmp_path, kind)
    layers = coded_layers(found, pe, lambda name: None)
    assert (len(layers), len(set(layers.values()))) == (7 * CONFIG.blocks, 4 * CONFIG.blocks)
    rng = np.random.default_rng(SEED)
    for each, layer in layers.items():
        part = found[each].part(slice(None))
        weights = import_dense(part, dense_format(found[each], 32)).tensor
        if name == "both":
            weights = quantize_dense(part.values(), pe.dense)
        x = rng.standard_t(3, (5, weights.k)).astype(np.float32)
        sq = quantize_sq(x, pe.sq, scale="two_candidates")
        elements, product = Elements(sq), multiply(sq, weights)
        sums, part = layer.sums(elements), layer.parts[each]
        np.testing.assert_array_equal(sums[0][:, part], product.acc)
        results = layer.results(elements, sums)[:, part].copy()
        np.testing.assert_array_equal(results.view(np.uint32), product.y.view(np.uint32))
        compared += product.acc.size
    assert compared == 5 * CONFIG.blocks * (3 * 64 + 64 + 2 * 96)


@pytest.mark.parametrize("encode", [False, True])
def test_activations_are_encoded_as_the_engine_or_the_host_does(tmp_path, encode):
    found = matrices(tmp_path, Q4_1)
    lean, name = PRESETS["lean"], "blk.1.ffn_down.weight"
    weights = import_dense(found[name].part(slice(None)), dense_format(found[name], 32)).tensor
    linear = Linear({name: Layer({name: [weights]}, lean.sq)}, lean.sq, encode=encode)
    x = np.random.default_rng(SEED).standard_t(3, (5, weights.k)).astype(np.float32)
    sq = quantize_sq(x, lean.sq, scale=RULE)
    if encode:
        sq = quantize_sq(x.astype(np.float16), lean.sq, scale="saturating")
    wanted = multiply(sq, weights).y
    np.testing.assert_array_equal(linear(name, x).view(np.uint32), wanted.view(np.uint32))


def test_wide_sums_are_refused(tmp_path):
    found = matrices(tmp_path, Q4_1)["blk.0.attn_q.weight"]
    tensor = import_dense(found.part(slice(None)), dense_format(found, 32)).tensor
    message = "Sums must fit 54 bits, not 59: format 2/32 e5m3"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Layer({"": [tensor]}, SQFormat(32, 2, "int8"))


@pytest.mark.parametrize("kind", [Q4_0, Q4_1, Q8_0])
def test_a_head_gives_the_sums_of_its_codes(tmp_path, kind):
    """Codes of 8 bits through operands of 4 bits: the same results, to the last bit, as in one operand."""
    file = GGUFFile(tiny_gguf(tmp_path / "model.gguf", head=kind))
    name, sq = head_name(file), PRESETS["lean"].sq
    assert name == "output.weight"
    layer, matrix = coded_head(file, sq, 32), file.coded(name)
    weights = import_dense(matrix.part(slice(None)), dense_format(matrix, 32)).tensor
    assert {operand.format.bits for operand in layer.operands} == {4}
    assert len(layer.operands) == (2 if kind == Q8_0 else 1)
    if kind == Q8_0:
        assert set(weights.codes.ravel()) == set(range(-128, 128))
    x = np.random.default_rng(SEED).standard_t(3, (5, weights.k)).astype(np.float32)
    tensor = quantize_sq(x, sq, scale="two_candidates")
    elements = Elements(tensor)
    sums = layer.sums(elements)
    for found, operand in zip(sums, layer.operands, strict=True):
        np.testing.assert_array_equal(found, multiply(tensor, operand).acc)
    results = layer.results(elements, sums)
    np.testing.assert_array_equal(results.view(np.uint32), multiply(tensor, weights).y.view(np.uint32))
    assert results.size == 5 * CONFIG.vocabulary


def test_a_head_without_codes_is_refused(tmp_path):
    file = GGUFFile(tiny_gguf(tmp_path / "model.gguf"))
    message = "token_embd.weight is of type F32, whose codes cannot be imported as a head"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        coded_head(file, PRESETS["lean"].sq, 32)


def test_numbers_of_coded_layers_are_not_a_number(tmp_path):
    model, codes = load(GGUFFile(tiny_gguf(tmp_path / "model.gguf")))
    assert all(np.isnan(model.weights[name]).all() for name in codes)
