"""Answers, token by token: stopped, resumed, on an engine that errs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sqhw.driver.engine import Engine
from sqhw.generate.layers import coded_layers, load
from sqhw.generate.linear import Linear, MismatchError
from sqhw.generate.session import Session
from sqhw.presets import PRESETS
from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.llm import generate
from tests.generate.models import CONFIG, tiny_gguf

PROMPT = [3, 1, 4, 1, 5]
TOKENS = 6
LEAN = PRESETS["lean"]
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)
"""Sums of a token."""


class StandIn(Engine):
    """An engine that is the golden model, and that errs in one sum of its `wrong`th product."""

    def __init__(self, wrong=None):
        super().__init__("imported")
        self.jobs, self._wrong = 0, wrong

    def matmul(self, x, w, output):
        self.jobs += 1
        y = super().matmul(x, w, output)
        if self.jobs == self._wrong:
            y[1, 67] += 1
        return y


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    file = GGUFFile(tiny_gguf(tmp_path_factory.mktemp("model") / "model.gguf"))
    model, matrices = load(file)
    return model, coded_layers(matrices, LEAN.sq, LEAN.dense.group, lambda name: None)


def session(parts, file, engine=None, count=TOKENS, end=None):
    model, layers = parts
    linear, reading = Linear(layers, LEAN.sq, engine), Linear(layers, LEAN.sq)
    return Session(model, PROMPT, linear, reading, file, count, end)


def run(session):
    while not session.complete:
        session.advance()
    return session.steps


def timeless(steps):
    return [replace(step, seconds=0.0, processor_seconds=0.0) for step in steps]


def test_answers_are_greedy(parts, tmp_path):
    found = session(parts, tmp_path / "a.json")
    assert [step.token for step in run(found)] == found.answer
    model, layers = parts
    assert found.answer == generate(model, PROMPT, TOKENS, linear=Linear(layers, LEAN.sq))
    assert len(set(found.answer)) > 1


def test_a_stopped_run_goes_on_where_it_was(parts, tmp_path):
    whole = run(session(parts, tmp_path / "whole.json", StandIn()))
    file = tmp_path / "stopped.json"
    for count in (1, 3, TOKENS):
        engine = StandIn()
        stopped = session(parts, file, engine, count)
        before = len(stopped.steps)
        steps = run(stopped)
        assert engine.jobs == 4 * CONFIG.blocks * (count - before)
    assert timeless(steps) == timeless(whole)


def test_every_sum_of_an_engine_is_compared(parts, tmp_path):
    steps = run(session(parts, tmp_path / "a.json", StandIn()))
    assert [step.read for step in steps] == [len(PROMPT)] + [1] * (TOKENS - 1)
    assert [step.counts.compared for step in steps] == [OUTPUTS * step.read for step in steps]
    golden = run(session(parts, tmp_path / "b.json"))
    assert [step.token for step in steps] == [step.token for step in golden]
    assert [step.counts.products for step in steps] == [step.counts.products for step in golden]
    assert all(step.counts.moved_bytes > step.counts.weight_bytes > 0 for step in steps)


def test_the_first_sum_that_differs_stops_the_run(parts, tmp_path):
    wrong = session(parts, tmp_path / "a.json", StandIn(5))
    pattern = (
        r"blk\.1\.attn_k\.weight: 1 of 640 sums differ; first that of token 1, output 3: (-?\d+), not (-?\d+)"
    )
    with pytest.raises(MismatchError) as raised:
        run(wrong)
    found = re.fullmatch(pattern, str(raised.value))
    assert found is not None
    assert int(found[1]) == int(found[2]) + 1
    assert wrong.steps == []


def test_an_engine_of_other_formats_is_refused(parts):
    need = "The engine must take weights 'int4 g32 linear8 offset', not 'int4 g32 linear8'"
    with pytest.raises(ValueError, match=f"^{need}$"):
        Linear(parts[1], LEAN.sq, Engine("decode"))


def test_the_end_ends_an_answer(parts, tmp_path):
    whole = session(parts, tmp_path / "a.json")
    run(whole)
    end = next(token for token in whole.answer if token != whole.answer[0])
    ended = session(parts, tmp_path / "b.json", end=end)
    steps = run(ended)
    assert ended.complete
    assert ended.answer == whole.answer[: whole.answer.index(end)]
    assert [*ended.answer, end] == [step.token for step in steps]


def test_all_numbers_are_finite(parts):
    model, layers = parts
    assert np.isfinite(model.logits(model.hidden(PROMPT, linear=Linear(layers, LEAN.sq)))).all()
