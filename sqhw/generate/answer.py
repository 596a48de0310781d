"""From a model file and a question to a session, and from its steps to a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.format import as_parameters

from ..config import EngineConfig, PEConfig
from ..console import Begin
from ..driver.engine import Engine
from ..tools import cache
from .layers import coded_head, coded_layers, head_name, load
from .linear import Linear
from .session import Session, Step

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
    prompts
        Token ids of each question.
    pe
        The formats, see :func:`~sqhw.generate.layers.coded_layers`.
    engine
        The engine that computes the linear layers; None for the golden model.
    backend
        Where the engine is, see :class:`~sqhw.driver.engine.Engine`.
    head
        Whether the output head is one of these layers.
    encode
        Whether the engine encodes activations, see :class:`~sqhw.generate.linear.Linear`.
    """

    model: GGUFFile
    prompts: tuple[tuple[int, ...], ...]
    pe: PEConfig
    engine: EngineConfig | None = None
    backend: str = "rtl"
    head: bool = False
    encode: bool = False

    @property
    def file(self) -> Path:
        """Where the answer is kept: named by the content of all that it depends on."""
        path = self.model.path
        config = as_parameters(self.engine or self.pe)
        model = [path.name, path.stat().st_size]
        how = [self.backend, self.head, self.encode]
        content = [*model, self.prompts, config, *how, cache.sources(__name__)]
        return FOLDER / f"{cache.key(content)}.json"


def prepare(setting: Setting, engine: Engine | None, count: int, begin: Begin) -> Session:
    """Loads the model; ValueError if its weights are not in codes that the formats hold.

    Parameters
    ----------
    engine
        That of the setting, opened.
    count
        The most tokens of each answer.
    """
    pe = setting.pe
    model, matrices = load(setting.model)
    layers = coded_layers(matrices, pe, begin("Importing weights", len(matrices)))
    head = head_name(setting.model) if setting.head else None
    if head is not None:
        layers[head] = coded_head(setting.model, pe.sq, pe.dense.group)
    linear, golden = (Linear(layers, pe.sq, backend, setting.encode) for backend in (engine, None))
    end = setting.model.metadata.get("tokenizer.ggml.eos_token_id")
    return Session(model, setting.prompts, linear, golden, setting.file, count, end, head)


def report(session: Session, config: EngineConfig | None) -> dict[str, Any]:
    """What the steps of answers add up to; with an engine, its cycles and bytes too.

    Prompts are read at once; then the model reads, and decodes, a token of each text at a time.
    """
    prompt, decoded = session.steps[0], session.steps[1:]
    found: dict[str, Any] = {
        "tokens": sum(map(len, session.answers)),
        "prompt_tokens": prompt.read,
        "products": sum(step.counts.products for step in session.steps),
        "compared": sum(step.counts.compared for step in session.steps),
        "mismatches": 0,
        "seconds_per_prompt_token": prompt.seconds / prompt.read,
        "seconds_per_token": _per_token(decoded, [step.seconds for step in decoded]),
        "processor_seconds_per_prompt_token": prompt.processor_seconds / prompt.read,
        "processor_seconds_per_token": _per_token(decoded, [step.processor_seconds for step in decoded]),
    }
    return found if config is None else found | _of_engine(config, prompt, decoded)


def _of_engine(config: EngineConfig, prompt: Step, decoded: list[Step]) -> dict[str, Any]:
    lanes = config.array.rows * config.array.columns * config.pe.lanes
    cycles = sum(step.counts.cycles for step in decoded)
    words = sum(step.counts.weight_bytes for step in decoded) / config.axi_bytes
    return {
        "cycles_prefill_per_token": prompt.counts.cycles / prompt.read,
        "cycles_decode_per_token": _per_token(decoded, [step.counts.cycles for step in decoded]),
        "utilization_prefill": prompt.counts.products / (prompt.counts.cycles * lanes),
        "stream_share_decode": words / cycles if cycles else None,
        "bytes_per_token": _per_token(decoded, [step.counts.moved_bytes for step in decoded]),
    }


def _per_token(steps: list[Step], numbers: list[float] | list[int]) -> float | None:
    return sum(numbers) / sum(step.read for step in steps) if steps else None
