"""A question as a model that was trained on conversations expects it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["prompt"]

_TEMPLATE = "tokenizer.chat_template"


def prompt(metadata: Mapping[str, Any], question: str) -> str:
    """Returns the text whose continuation is the answer, by the template in a GGUF file's metadata.

    Raises ValueError if there is no template, or it cannot be rendered.
    """
    template = metadata.get(_TEMPLATE)
    if not isinstance(template, str):
        raise ValueError(f"Metadata {_TEMPLATE} is missing: the model was not made for conversations")
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    try:
        return environment.from_string(template).render(
            messages=[{"role": "user", "content": question}], add_generation_prompt=True
        )
    except TemplateError as error:
        raise ValueError(f"Metadata {_TEMPLATE} must be a template of Jinja: {error}") from error
