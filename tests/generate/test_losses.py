"""The losses of tokens."""

import numpy as np

from sqhw.generate.layers import coded_layers, load
from sqhw.generate.linear import Linear
from sqhw.generate.losses import losses
from sqhw.presets import PRESETS
from sw_reference.checkpoints.gguf import GGUFFile
from tests.generate.models import CONFIG, SEED, tiny_gguf


def test_losses_are_negative_log_likelihoods(tmp_path):
    model, matrices = load(GGUFFile(tiny_gguf(tmp_path / "model.gguf")))
    lean = PRESETS["lean"]
    linear = Linear(coded_layers(matrices, lean, lambda name: None), lean.sq)
    tokens = np.random.default_rng(SEED).integers(0, CONFIG.vocabulary, 70).tolist()
    read = []
    found = losses(model, tokens, linear, lambda _, count: read.append(count))
    scores = model.logits(model.hidden(tokens, linear=linear)).astype(np.float64)[:-1]
    likelihoods = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, -np.log(likelihoods[np.arange(69), tokens[1:]]), rtol=1e-12, atol=1e-12)
    assert read == [32, 32, 6]
