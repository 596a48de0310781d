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
    return model, coded_layers(matrices, LEAN, lambda name: None)


def session(parts, file, engine=None, count=TOKENS, end=None, prompts=(PROMPT,)):
    model, layers = parts
    linear, reading = Linear(layers, LEAN.sq, engine), Linear(layers, LEAN.sq)
    return Session(model, prompts, linear, reading, file, count, end)


def run(session):
    while not session.complete:
        session.advance()
    return session.steps


def timeless(steps):
    return [replace(step, seconds=0.0, processor_seconds=0.0) for step in steps]


def test_answers_are_greedy(parts, tmp_path):
    found = session(parts, tmp_path / "a.json")
    steps = run(found)
    (answer,) = found.answers
    assert [step.tokens for step in steps] == [[token] for token in answer]
    model, layers = parts
    assert answer == generate(model, PROMPT, TOKENS, linear=Linear(layers, LEAN.sq))
    assert len(set(answer)) > 1


def test_several_texts_are_those_of_each_alone(parts, tmp_path):
    """One of them ends before the others; the run is stopped and goes on in between."""
    prompts = (PROMPT, [2], [7, 1, 8, 2, 8, 1, 8])
    apart = [session(parts, tmp_path / f"{n}.json", prompts=(prompt,)) for n, prompt in enumerate(prompts)]
    for each in apart:
        run(each)
    wholes = [each.answers[0] for each in apart]
    end = next(token for token in wholes[0][1:-1] if token not in wholes[1])
    wanted = [whole[: whole.index(end)] if end in whole else whole for whole in wholes]
    assert len({len(answer) for answer in wanted}) > 1
    file = tmp_path / "together.json"
    for count in (2, TOKENS):
        together = session(parts, file, StandIn(), count, end, prompts)
        steps = run(together)
    assert together.answers == wanted
    assert steps[0].read == sum(map(len, prompts))
    assert [step.read for step in steps[1:]] == [len(step.tokens) for step in steps[1:]]
    assert sum(len(step.tokens) for step in steps) == sum(
        len(answer) + (end in whole) for answer, whole in zip(wanted, wholes, strict=True)
    )
    assert [step.counts.compared for step in steps] == [OUTPUTS * step.read for step in steps]


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
    assert [step.tokens for step in steps] == [step.tokens for step in golden]
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


def test_an_engine_without_an_encoder_does_not_encode(parts):
    with pytest.raises(ValueError, match=r"^The engine must have an encoder to take rows of FP16$"):
        Linear(parts[1], LEAN.sq, Engine("imported"), encode=True)


def test_the_end_ends_an_answer(parts, tmp_path):
    whole = session(parts, tmp_path / "a.json")
    run(whole)
    (answer,) = whole.answers
    end = next(token for token in answer if token != answer[0])
    ended = session(parts, tmp_path / "b.json", end=end)
    steps = run(ended)
    assert ended.complete
    assert ended.answers == [answer[: answer.index(end)]]
    assert [*ended.answers[0], end] == [token for step in steps for token in step.tokens]


def test_all_numbers_are_finite(parts):
    model, layers = parts
    assert np.isfinite(model.logits(model.hidden(PROMPT, linear=Linear(layers, LEAN.sq)))).all()
