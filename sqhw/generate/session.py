"""An answer, token by token, kept on disk so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sw_reference.files import as_json, write_text
from sw_reference.llm import KVCache, Model
from sw_reference.llm import Linear as AnyLinear

from .linear import Counts, Linear

__all__ = ["Session", "Step"]


@dataclass(frozen=True)
class Step:
    """One pass through the model.

    Parameters
    ----------
    token
        What it gave: the token of the largest score, the lowest id of equal ones.
    read
        Tokens that it read: all of the prompt, then one at a time.
    products, compared, cycles
        See :class:`~sqhw.generate.linear.Counts`.
    seconds
        How long it took.
    """

    token: int
    read: int
    products: int
    compared: int
    cycles: int
    seconds: float


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
        golden: AnyLinear,
        file: Path,
        end: int | None,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._linear = linear
        self._golden = golden
        self._file = file
        self._end = end
        self._cache = KVCache()
        self.steps = [Step(**step) for step in json.loads(file.read_text())] if file.exists() else []

    @property
    def ended(self) -> bool:
        """Whether the answer is complete."""
        return bool(self.steps) and self.steps[-1].token == self._end

    @property
    def answer(self) -> list[int]:
        """The tokens of the answer so far, without the one that ends it."""
        tokens = [step.token for step in self.steps]
        return tokens[:-1] if self.ended else tokens

    def run(self, count: int, begin: Callable[[str], None] = lambda stage: None) -> Iterator[Step]:
        """Yields steps until the answer has `count` tokens or ends; first those that were kept.

        Parameters
        ----------
        begin
            Called with the name of each pass before it begins.
        """
        yield from self.steps[:count]
        while len(self.steps) < count and not self.ended:
            yield self._step(begin)

    def _step(self, begin: Callable[[str], None]) -> Step:
        known = [*self._prompt, *(step.token for step in self.steps)]
        # What a stopped run has read is read again on the golden model, whose numbers are the same.
        kept = len(known) - 1 if self.steps else 0
        if self._cache.length < kept:
            begin("reading again")
            self._model.hidden(known[self._cache.length : kept], cache=self._cache, linear=self._golden)
        new = known[self._cache.length :]
        begin(f"token {len(self.steps) + 1}" if self.steps else f"{len(new)} tokens of the prompt")
        self._linear.counts = Counts()
        start = time.perf_counter()
        hidden = self._model.hidden(new, cache=self._cache, linear=self._linear)
        token = int(self._model.logits(hidden[-1:]).argmax())
        seconds = time.perf_counter() - start
        step = Step(token, len(new), **asdict(self._linear.counts), seconds=seconds)
        self.steps.append(step)
        write_text(self._file, as_json([asdict(step) for step in self.steps]))
        return step
