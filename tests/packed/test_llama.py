"""Models of the Llama architecture from Hugging Face folders, and what is refused."""

import json
import sys
from importlib import import_module

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed.llama import model_hash, read_llama, read_tokenizer
from sw_reference.llm import Model
from tests.packed.hf_folder import config, names, write_coded_folder, write_folder
from tests.reference.gguf_maker import GGUF, STRING
from tests.reference.test_llm import TEXT, TINY, tiny_weights


def test_a_folder_is_the_model_that_it_was_made_of(tmp_path):
    weights = tiny_weights()
    write_folder(tmp_path, weights)
    found = read_llama(tmp_path)
    assert found.config == TINY
    assert found.weights.keys() == weights.keys()
    compared = 0
    for name, weight in weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)
        compared += weight.size
    assert compared == sum(weight.size for weight in weights.values())
    np.testing.assert_array_equal(found.hidden(TEXT), Model(TINY, weights).hidden(TEXT))


def test_an_output_layer_of_its_own(tmp_path):
    weights = tiny_weights() | {"output.weight": tiny_weights(1)["token_embd.weight"]}
    write_folder(tmp_path, weights, tie_word_embeddings=False)
    found = read_llama(tmp_path)
    np.testing.assert_array_equal(found.weights["output.weight"], weights["output.weight"])


def test_tied_embeddings_hide_an_output_layer(tmp_path):
    write_folder(tmp_path, tiny_weights() | {"output.weight": tiny_weights(1)["token_embd.weight"]})
    assert "output.weight" not in read_llama(tmp_path).weights


def test_codes_have_their_rows_in_the_order_of_the_weights(tmp_path):
    write_coded_folder(tmp_path)
    found = read_llama(tmp_path)
    assert len(found.codes) == 14
    for name, matrix in found.codes.items():
        np.testing.assert_array_equal(
            matrix.part(slice(None)).values().astype(np.float32), found.weights[name]
        )
        np.testing.assert_array_equal(
            matrix.part(slice(3, 5)).values().astype(np.float32), found.weights[name][3:5]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2"}, "model_type of {config} must be 'llama', not 'qwen2'"),
        ({"attention_bias": True}, "attention_bias of {config} must be False, not True"),
        ({"hidden_act": "gelu"}, "hidden_act of {config} must be 'silu', not 'gelu'"),
        ({"head_dim": 8}, "head_dim of {config} must be 4, not 8"),
        (
            {"rope_scaling": {"rope_type": "llama3"}},
            "The rotation of {config} must be 'default', not 'llama3'",
        ),
        ({"tie_word_embeddings": False}, "Tensor lm_head.weight is missing, and the embeddings are not tied"),
    ],
)
def test_refused_configurations(tmp_path, change, message):
    write_folder(tmp_path, tiny_weights(), **change)
    with pytest.raises(ValueError) as error:
        read_llama(tmp_path)
    assert str(error.value) == f"Cannot use {tmp_path}: " + message.format(config=tmp_path / "config.json")


def test_what_is_missing_is_named(tmp_path):
    file = tmp_path / "config.json"
    write_folder(tmp_path, tiny_weights())
    file.write_text(json.dumps({name: value for name, value in config().items() if name != "rms_norm_eps"}))
    with pytest.raises(ValueError) as error:
        read_llama(tmp_path)
    assert str(error.value) == f"Cannot use {tmp_path}: {file} must have rms_norm_eps"
    file.write_text("[]")
    with pytest.raises(ValueError) as error:
        read_llama(tmp_path)
    assert str(error.value) == f"Cannot use {tmp_path}: {file} must hold a JSON object"
    file.unlink()
    with pytest.raises(ValueError) as error:
        read_llama(tmp_path)
    text = f"{file} is missing: a model is a .gguf file, or a folder with config.json"
    assert str(error.value) == f"Cannot use {tmp_path}: {text}"


def test_a_foreign_tensor_is_refused(tmp_path):
    write_folder(tmp_path, tiny_weights())
    bias = {"model.layers.0.self_attn.q_proj.bias": np.zeros(24, np.float32)}
    save_file(names(tiny_weights()) | bias, tmp_path / "model.safetensors")
    with pytest.raises(ValueError) as error:
        read_llama(tmp_path)
    text = "Tensor model.layers.0.self_attn.q_proj.bias is not part of a plain Llama model"
    assert str(error.value) == f"Cannot use {tmp_path}: {text}"


def test_a_model_is_known_by_its_content(tmp_path):
    write_folder(tmp_path, tiny_weights())
    first = model_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("no part of the model")
    assert model_hash(tmp_path) == first
    write_folder(tmp_path, tiny_weights(1))
    assert model_hash(tmp_path) != first


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError) as error:
        read_tokenizer(tmp_path)
    assert "which reads tokenizer.json: run `" in str(error.value)


def test_a_tokenizer_that_gguf_describes_and_is_not_known(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(GGUF().pair("tokenizer.ggml.model", STRING, "llama").bytes())
    with pytest.raises(ValueError) as error:
        read_tokenizer(path)
    text = "Metadata tokenizer.ggml.model must be 'gpt2', not 'llama'"
    assert str(error.value) == f"{path}: {text}; --tokenizer FILE names its tokenizer.json instead"


@pytest.mark.llm
def test_a_tokenizer_of_hugging_face(tmp_path):
    library = import_module("tokenizers")
    words = {"it": 0, "was": 1, "times": 2, "[B]": 3}
    made = library.Tokenizer(library.models.WordLevel(words, unk_token="[B]"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    made.post_processor = library.processors.TemplateProcessing("[B] $A", special_tokens=[("[B]", 3)])
    made.save(str(tmp_path / "tokenizer.json"))
    assert made.encode("was it times").ids == [3, 1, 0, 2]
    for other in (None, tmp_path / "tokenizer.json"):
        assert read_tokenizer(tmp_path, other).encode("was it times") == [1, 0, 2]  # nothing is added
    with pytest.raises(ValueError) as error:
        read_tokenizer(tmp_path / "none", tmp_path / "none.json")
    text = "none.json is missing: --tokenizer FILE names another tokenizer.json"
    assert str(error.value) == f"{tmp_path}/{text}"
