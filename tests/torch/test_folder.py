"""Models as they come, written for programs that load models of Transformers."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer

from sqhw import cli
from sqhw.packed.llama import read_llama
from sqhw.torch import SQLinear
from sqhw.torch.folder import write_folder
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.split import dequantize
from tests.packed.hf_folder import write_coded_folder

pytestmark = pytest.mark.torch
INDEX = "4/32 e3m2s index"


@pytest.fixture
def coded(tmp_path):
    """A folder in the codes of GPTQ, as that quantizer leaves it, and a tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_coded_folder(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "quantization_config": {"quant_method": "gptq", "bits": 4},
        "architectures": ["LlamaForCausalLM"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "a"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_a_coded_model_is_written_and_loaded(coded, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--model", coded, "--activations", INDEX, "--lm-eval", out]
    assert cli.main(["measure", "accuracy", *map(str, arguments)]) == 0
    assert capsys.readouterr().out == f"{out}: import sqhw.torch before a program loads it\n"
    loaded = AutoModelForCausalLM.from_pretrained(out)
    layers = {name: m for name, m in loaded.named_modules() if isinstance(m, SQLinear)}
    assert len(layers) == 14
    model, compared = read_llama(coded), 0
    for block in range(2):
        for ours, theirs in (("attn_v", "self_attn.v_proj"), ("ffn_down", "mlp.down_proj")):
            matrix = model.codes[f"blk.{block}.{ours}.weight"]
            wanted = dequantize(import_dense(matrix.part(slice(None)), dense_format(matrix)).tensor)
            layer = layers[f"model.layers.{block}.{theirs}"]
            found = dequantize(layer.golden_weights())
            np.testing.assert_array_equal(found, wanted)
            compared += wanted.size
    assert compared == 2 * (16 * 32 + 32 * 64)
    assert AutoTokenizer.from_pretrained(out).encode("b") == [1]
    assert torch.isfinite(loaded(torch.tensor([[1, 2, 3]])).logits).all()


def test_a_tensor_that_the_configuration_lacks_is_named(coded, tmp_path):
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(
        ValueError, match=r": model\.layers\.1\..* is not a tensor of both the model and its con"
    ):
        write_folder(coded, tmp_path / "out", INDEX, "import")
