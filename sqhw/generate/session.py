"""An answer, token by token, kept on disk so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

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
    token
        What it gave: the token of the largest score, the lowest id of equal ones.
    read
        Tokens that it read: all of the prompt, then one at a time.
    seconds, processor_seconds
        How long it took, and of that on all cores together.
    counts
        What the linear layers did.
    """

    token: int
    read: int
    seconds: float
    processor_seconds: float
    counts: Counts


class Session:
    """Continues a text greedily.

    Parameters
    ----------
    model
        Its linear layers are not looked at.
    prompt
        Token ids of the text.
    linear
        Computes the linear layers.
    golden
        The same on the golden model: reads again what a stopped run has read.
    file
        Where steps are kept. A file that exists must be of the same model, prompt and `linear`.
    count
        The most tokens of the answer.
    end
        The token that ends the answer, if any.

    Members
    -------
    steps: list[Step]
    """

    def __init__(
        self,
        model: Model,
        prompt: list[int],
        linear: Linear,
        golden: Linear,
        file: Path,
        count: int,
        end: int | None,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._linear = linear
        self._golden = golden
        self._file = file
        self._count = count
        self._end = end
        self._cache = KVCache()
        kept = json.loads(file.read_text()) if file.exists() else []
        self.steps = [Step(**{**step, "counts": Counts(**step["counts"])}) for step in kept[:count]]

    @property
    def complete(self) -> bool:
        """Whether the answer has ended, or has its most tokens."""
        return self._ended or len(self.steps) == self._count

    @property
    def answer(self) -> list[int]:
        """The tokens of the answer so far, without the one that ends it."""
        tokens = [step.token for step in self.steps]
        return tokens[:-1] if self._ended else tokens

    @property
    def _ended(self) -> bool:
        return bool(self.steps) and self.steps[-1].token == self._end

    def advance(self, begin: Begin = _silent) -> Step:
        """Computes the next step, keeps it and returns it.

        Parameters
        ----------
        begin
            Begins a stage of so many layers, as :func:`sqhw.console.progress` gives it.
        """
        known = [*self._prompt, *(step.token for step in self.steps)]
        # What a stopped run has read is read again on the golden model, whose numbers are the same.
        kept = len(known) - 1 if self.steps else 0
        if self._cache.length < kept:
            self._read(known[self._cache.length : kept], self._golden, begin("Reading again"))
        new = known[self._cache.length :]
        stage = f"Token {len(self.steps) + 1}" if self.steps else f"Prompt of {len(new)} tokens"
        self._linear.counts = Counts()
        start = time.perf_counter(), time.process_time()
        hidden = self._read(new, self._linear, begin(stage, len(LAYERS) * self._model.config.blocks))
        token = int(self._model.logits(hidden[-1:]).argmax())
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        step = Step(token, len(new), *seconds, self._linear.counts)
        self.steps.append(step)
        write_text(self._file, as_json([asdict(step) for step in self.steps]))
        return step

    def _read(self, tokens: list[int], linear: Linear, done: Callable[..., None]) -> Float32:
        def counted(name: str, x: Float32, weight: Float32) -> Float32:
            y = linear(name, x, weight)
            done(name)
            return y

        return self._model.hidden(tokens, cache=self._cache, linear=counted)
