"""From a model file and a question to a session, and from its steps to a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.format import as_parameters

from .. import __version__
from ..console import Begin
from ..presets import preset
from ..tools import cache
from .layers import coded_layers, load
from .linear import Linear
from .session import Session

__all__ = ["FOLDER", "Setting", "prepare", "report"]

FOLDER = Path("build/generate")
"""Where answers are kept, below the current folder."""


@dataclass(frozen=True)
class Setting:
    """All that an answer depends on.

    Parameters
    ----------
    model
        The model's file.
    prompt
        Token ids.
    preset
        The formats, by the name of a processing element.
    """

    model: GGUFFile
    prompt: tuple[int, ...]
    preset: str

    @property
    def file(self) -> Path:
        """Where the answer is kept: named by the content of all that it depends on."""
        path = self.model.path
        content = [path.name, path.stat().st_size, self.prompt, as_parameters(preset(self.preset))]
        return FOLDER / f"{cache.key([*content, cache.sources(__name__)])}.json"


def prepare(setting: Setting, begin: Begin) -> Session:
    """Loads the model; ValueError if its weights are not in codes that the formats hold."""
    pe = preset(setting.preset)
    model, matrices = load(setting.model)
    layers = coded_layers(matrices, pe.sq, pe.dense, begin("Importing weights", len(matrices)))
    golden = Linear(layers, pe.sq)
    end = setting.model.metadata.get("tokenizer.ggml.eos_token_id")
    return Session(model, list(setting.prompt), golden, Linear(layers, pe.sq), setting.file, end)


def report(setting: Setting, session: Session) -> dict[str, Any]:
    """What the steps add up to."""
    first, later = session.steps[0], session.steps[1:]
    seconds = sum(step.seconds for step in later) / len(later) if later else None
    return {
        "preset": setting.preset,
        "tokens": len(session.answer),
        "prompt_tokens": first.read,
        "products": sum(step.products for step in session.steps),
        "compared": sum(step.compared for step in session.steps),
        "mismatches": 0,
        "seconds_per_token": seconds,
        "seconds_per_prompt_token": first.seconds / first.read,
        "versions": {"sqhw": __version__, "numpy": np.__version__},
    }
