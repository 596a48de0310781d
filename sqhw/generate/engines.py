"""Engines for a language model's linear layers: which one takes what, and what it must take."""

from __future__ import annotations

from dataclasses import replace

from sw_reference.llm import ModelConfig

from ..config import EngineConfig
from ..console import Begin
from ..driver.engine import Engine
from .answer import Setting
from .layers import formats
from .linear import check_engine

__all__ = ["check", "compiled", "with_encoder"]


def with_encoder(config: EngineConfig) -> EngineConfig:
    """Returns an engine with an encoder: its own, or one that keeps up with the stream."""
    elements = min(config.pe.sq.segment_size, config.numbers_per_word)
    return replace(config, encoder=config.encoder or elements)


def compiled(config: EngineConfig, begin: Begin) -> Engine:
    """Returns the emitted Verilog of an engine, compiled once; raises as :class:`Engine`."""
    done = begin("Compiling", 1)
    engine = Engine(config, "rtl", note=lambda text: done(text, 0))
    done()
    return engine


def check(setting: Setting, count: int) -> None:
    """Raises ValueError if answers of `count` tokens could not be computed; reads no weights.

    The engine must take the setting's formats, and the tokens of all prompts at once. A prompt and its
    answer must fit the model's context.
    """
    model, engine = setting.model, setting.engine
    lengths = [len(prompt) for prompt in setting.prompts]
    context = ModelConfig.from_metadata(model.metadata).context
    if max(lengths) + count > context:
        found = f"{max(lengths)} and {count}"
        raise ValueError(f"Prompt and answer must have at most {context} tokens together, not {found}")
    if engine is not None:
        if sum(lengths) > engine.m_max:
            limit = engine.m_max
            raise ValueError(f"Prompts must have at most {limit} tokens altogether, not {sum(lengths)}")
        wanted = formats(model, setting.pe.dense, setting.head)
        check_engine(engine, setting.pe.sq, wanted, setting.encode)
