"""An answer, token by token, kept on disk so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sw_reference.files import as_json, write_text
from sw_reference.llm import LAYERS, KVCache, Model
from sw_reference.llm.arithmetic import Float32

from ..console import Begin
from .linear import Counts, Linear

__all__ = ["Session", "Step"]


def _silent(stage: str, total: int | None = None) -> Callable[..., None]:
    """Begins a stage that is not shown."""
    return lambda *_: None


@dataclass(frozen=True)
class Step:
    """One pass through the model.

    Parameters
    ----------
    tokens
        What it gave to each text that had not ended: the token of the largest score, the lowest id of equal
        ones.
    read
        Tokens that it read: all of the prompts, then one of each text that goes on.
    seconds, processor_seconds
        How long it took, and of that on all cores together.
    counts
        What the linear layers did.
    """

    tokens: list[int]
    read: int
    seconds: float
    processor_seconds: float
    counts: Counts


class Session:
    """Continues texts greedily, all at once: their tokens pass the linear layers together.

    A text does not depend on those beside it, by a bit.

    Parameters
    ----------
    model
        Its linear layers are not looked at.
    prompts
        Token ids of each text.
    linear
        Computes the linear layers.
    golden
        The same on the golden model: reads again what a stopped run has read.
    file
        Where steps are kept. A file that exists must be of the same model, prompts and `linear`.
    count
        The most tokens of each answer.
    end
        The token that ends an answer, if any.
    head
        The name of the layer of `linear` that gives the scores; None for those of the model.

    Members
    -------
    steps: list[Step]
    """

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Sequence[int]],
        linear: Linear,
        golden: Linear,
        file: Path,
        count: int,
        end: int | None,
        head: str | None = None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._linear = linear
        self._golden = golden
        self._file = file
        self._count = count
        self._end = end
        self._head = head
        self._caches = [KVCache() for _ in prompts]
        kept = json.loads(file.read_text()) if file.exists() else []
        self.steps = [Step(**{**step, "counts": Counts(**step["counts"])}) for step in kept[:count]]

    @property
    def complete(self) -> bool:
        """Whether all answers have ended, or have their most tokens."""
        return len(self.steps) == self._count or all(map(self._ended, self._given))

    @property
    def answers(self) -> list[list[int]]:
        """The tokens of each answer so far, without the one that ends it."""
        return [answer[:-1] if self._ended(answer) else answer for answer in self._given]

    @property
    def _given(self) -> list[list[int]]:
        """The tokens of each answer so far."""
        answers: list[list[int]] = [[] for _ in self._prompts]
        for step in self.steps:
            going = [answer for answer in answers if not self._ended(answer)]
            for answer, token in zip(going, step.tokens, strict=True):
                answer.append(token)
        return answers

    def _ended(self, answer: list[int]) -> bool:
        return bool(answer) and answer[-1] == self._end

    def advance(self, begin: Begin = _silent) -> Step:
        """Computes the next step, keeps it and returns it.

        Parameters
        ----------
        begin
            Begins a stage of so many layers, as :func:`sqhw.console.progress` gives it. It shows each layer
            with what an engine did so far.
        """
        going = [
            ([*prompt, *answer], cache)
            for prompt, answer, cache in zip(self._prompts, self._given, self._caches, strict=True)
            if not self._ended(answer)
        ]
        # What a stopped run has read is read again on the golden model, whose numbers are the same.
        behind = [(text[:-1], cache) for text, cache in going if self.steps and cache.length < len(text) - 1]
        layers = len(LAYERS) * self._model.config.blocks
        if behind:
            self._read(behind, self._golden, begin("Reading again", layers))
        read = sum(len(text) - cache.length for text, cache in going)
        stage = f"Token {len(self.steps) + 1}" if self.steps else f"Prompt of {read} tokens"
        self._linear.counts = Counts()
        start = time.perf_counter(), time.process_time()
        hidden = self._read(going, self._linear, begin(stage, layers))
        tokens = self._scores(hidden).argmax(axis=1).tolist()
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        step = Step(tokens, read, *seconds, self._linear.counts)
        self.steps.append(step)
        write_text(self._file, as_json([asdict(step) for step in self.steps]))
        return step

    def _read(
        self, texts: Sequence[tuple[list[int], KVCache]], linear: Linear, done: Callable[..., None]
    ) -> Float32:
        """Reads what the caches lack of their texts; returns the last token's numbers of each."""

        def counted(name: str, x: Float32, weight: Float32) -> Float32:
            y = linear(name, x, weight)
            done(f"{name.removesuffix('.weight')}{linear.counts}")
            return y

        new = [text[cache.length :] for text, cache in texts]
        hidden = self._model.hidden_together(new, [cache for _, cache in texts], linear=counted)
        return hidden[np.cumsum([len(tokens) for tokens in new]) - 1]

    def _scores(self, hidden: Float32) -> Float32:
        return self._model.logits(hidden) if self._head is None else self._linear(self._head, hidden)
