"""Prompts by the template of a model's file."""

import re

import pytest

from sqhw.generate.chat import prompt

KEY = "tokenizer.chat_template"


def test_the_template_makes_the_prompt():
    each = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    template = each + "{% if add_generation_prompt %}<a>{% endif %}"
    assert prompt({KEY: template}, "Why {{ 1 }}?") == "<user>Why {{ 1 }}?<a>"


def test_a_model_without_a_template_is_refused():
    message = f"Metadata {KEY} is missing: the model was not made for conversations"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prompt({}, "Why?")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "Expected an expression, got 'end of statement block'"),
        ("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe."),
    ],
)
def test_bad_templates_are_refused(template, reason):
    message = f"Metadata {KEY} must be a template of Jinja: {reason}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prompt({KEY: template}, "Why?")
