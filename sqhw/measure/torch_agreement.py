"""A model of Transformers, converted, beside the accuracy study's own forward pass.

Tokens, weights and the encoder are the same; only float32 sums between the exact products differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from sw_reference.accuracy.backward import BACKWARD
from sw_reference.accuracy.calibration import Uncalibrated
from sw_reference.accuracy.formats import SQ, Imported
from sw_reference.accuracy.scheme import QuantizedLinear, Scheme, token_losses
from sw_reference.accuracy.selection import Largest
from sw_reference.format import SQFormat
from sw_reference.llm import GGUFFile, Model
from sw_reference.notation import format_text

from ..console import Begin
from ..torch import convert
from .speed import versions

__all__ = ["ERRORS", "measure"]

ERRORS = 3
"""Agreement: paired differences are within so many of their standard errors."""

_RULE = "saturating"  # how bank scales are chosen
_Losses = tuple[NDArray[np.float64], NDArray[np.float64]]


def measure(
    file: GGUFFile, tokens: Sequence[int], activations: SQFormat, text: str, *, begin: Begin, command: str
) -> dict[str, Any]:
    """Compares losses of each token, and divergences from the float model.

    The study runs once more with its sums in reverse order: how far it is from itself is its summation noise.

    Parameters
    ----------
    file
        The model, with weights in codes of Q4_1.
    tokens
        Token ids.
    activations
        Their format; weights are imported.
    text
        What the tokens are of, for the report.
    """
    done, found = begin("Forward passes", 5), {}
    model = Model.from_gguf(file)
    reference = model.hidden(tokens)
    done("study, float")
    scheme = Scheme("", _format(activations), Imported())
    weights: dict[str, Any] = {}
    for name, own in (
        ("study", model),
        ("study, sums reversed", Model(model.config, model.weights, model.codes, BACKWARD)),
    ):
        linear = QuantizedLinear(scheme, own, Uncalibrated(), weights)
        found[name] = token_losses(own, tokens, linear, reference)
        done(name)
    found["PyTorch, exact"] = _converted(file, tokens, activations, done)
    compared = [_row(name, losses, found["study"]) for name, losses in found.items()]
    return {
        "command": command,
        "versions": versions() | {"torch": torch.__version__},
        "model": file.path.name,
        "text": text,
        "tokens": len(tokens),
        "activations": format_text(activations),
        "weights": "import",
        "scale": _RULE,
        "agree": all(row["agrees"] for row in compared),
        "rows": compared,
    }


def _format(fmt: SQFormat) -> SQ:
    return SQ(fmt.bank, fmt.outliers, Largest(), fmt.high, fmt.mask, "saturating", fmt.scale, fmt.segment)


def _converted(file: GGUFFile, tokens: Sequence[int], activations: SQFormat, done: Any) -> _Losses:
    """Losses and divergences of the model in Transformers."""
    path = file.path
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    ids = torch.tensor([list(tokens)])
    with torch.inference_mode():
        wanted = model(ids).logits[0].log_softmax(dim=1)
        done("PyTorch, float")
        convert(model, activations, "import", checkpoint=path, mode="exact", scale="saturating")
        found = model(ids).logits[0].log_softmax(dim=1)
        done("PyTorch, exact")
        losses = -found[:-1].gather(1, ids[0, 1:, None])[:, 0]
        divergences = (wanted.exp() * (wanted - found))[:-1].double().sum(dim=1)
    return losses.double().numpy(), divergences.numpy()


def _row(name: str, found: _Losses, study: _Losses) -> dict[str, Any]:
    """A row of the report; differences to the study are paired by token."""
    (losses, divergences), changes = found, [f - s for f, s in zip(found, study, strict=True)]
    means = [float(change.mean()) for change in changes]
    errors = [float(change.std(ddof=1) / np.sqrt(len(change))) for change in changes]
    return {
        "run": name,
        "perplexity": float(np.exp(losses.mean())),
        "kl_x100": 100 * float(divergences.mean()),
        "perplexity_change_percent": 100 * means[0],
        "perplexity_change_error": 100 * errors[0],
        "kl_change_x100": 100 * means[1],
        "kl_change_error": 100 * errors[1],
        "agrees": all(abs(mean) <= ERRORS * error for mean, error in zip(means, errors, strict=True)),
    }
