"""Runs a study: two processes, one file per scheme and window, so that it can be stopped and resumed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sw_reference.accuracy.calibration import Calibration
from sw_reference.accuracy.operand import Operand
from sw_reference.accuracy.scheme import QuantizedLinear, Scheme, token_losses
from sw_reference.files import replacing
from sw_reference.llm import GGUFFile, Model, Tokenizer

__all__ = ["Result", "Study", "run", "windows"]

# What a process that evaluates schemes holds.
_MODEL: Model | None = None
_STOP: Any = None
_WEIGHTS: dict[str, dict[str, Operand]] = {}  # of the latest weight format, by its key and by site


@dataclass(frozen=True)
class Study:
    """What schemes are measured on.

    Parameters
    ----------
    model
        The GGUF file.
    evaluation, calibration
        Windows of token ids.
    cache
        Folder for what is kept between runs.
    """

    model: Path
    evaluation: tuple[tuple[int, ...], ...]
    calibration: tuple[tuple[int, ...], ...]
    cache: Path

    def calibrated(self) -> Calibration:
        """The statistics' file, which may not exist yet."""
        return Calibration(self.cache / f"calibration-{self._key(self.calibration)}.npz")

    def result_path(self, scheme: Scheme, window: int) -> Path:
        """Where the losses of one window are kept: named by the content of all that they depend on."""
        key = self._key(self.evaluation[window], self.calibration)
        return self.cache / "losses" / f"{scheme.key}-{key}.npz"

    def _key(self, *contents: Any) -> str:
        text = json.dumps([self.model.name, self.model.stat().st_size, *contents])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Result:
    """What a scheme gave on all windows.

    Parameters
    ----------
    losses
        float64[tokens], negative log likelihoods.
    counts
        See ``QuantizedLinear``.
    seconds
        Spent on it, in all processes.
    """

    losses: NDArray[np.float64]
    counts: dict[str, int]
    seconds: float

    @classmethod
    def read(cls, study: Study, scheme: Scheme) -> Result | None:
        """Returns the result if all windows are there."""
        paths = [study.result_path(scheme, window) for window in range(len(study.evaluation))]
        if not all(path.is_file() for path in paths):
            return None
        losses, seconds = [], 0.0
        counts: dict[str, int] = {}
        for path in paths:
            with np.load(path) as file:
                losses.append(file["losses"])
                seconds += float(file["seconds"])
                for name, count in json.loads(str(file["counts"])).items():
                    counts[name] = counts.get(name, 0) + count
        return cls(np.concatenate(losses), counts, seconds)


def windows(
    tokenizer: Tokenizer, text: str, count: int, length: int, what: str
) -> tuple[tuple[int, ...], ...]:
    """Returns the first `count` windows of `length` tokens; ValueError if the text is too short."""
    # Six bytes per token are more than any text needs on average; the rest need not be tokenized.
    tokens = tokenizer.encode(text[: count * length * 12])
    if len(tokens) < count * length:
        raise ValueError(f"The {what} text must have at least {count * length} tokens, not {len(tokens)}")
    return tuple(tuple(tokens[i * length : (i + 1) * length]) for i in range(count))


def run(study: Study, schemes: Sequence[Scheme], jobs: int, console: Console) -> None:
    """Computes what is not there yet."""
    missing = [
        (scheme, window)
        for scheme in schemes
        for window in range(len(study.evaluation))
        if not study.result_path(scheme, window).is_file()
    ]
    todo = list(dict.fromkeys(scheme for scheme, _ in missing))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        if todo and not study.calibrated().path.is_file():
            bar = progress.add_task("Calibration windows", total=len(study.calibration))
            model = Model.from_gguf(GGUFFile(study.model))
            study.calibrated().make(model, study.calibration, lambda: progress.advance(bar))
            del model
        if todo:
            paths = {study.result_path(scheme, window) for scheme, window in missing}
            bar = progress.add_task(f"Windows of {len(todo)} schemes", total=len(paths))
            _in_processes(study, todo, jobs, lambda: progress.update(bar, completed=_existing(paths)))


def _existing(paths: set[Path]) -> int:
    return sum(path.is_file() for path in paths)


def _in_processes(study: Study, schemes: Sequence[Scheme], jobs: int, tick: Any) -> None:
    # Fresh processes, because BLAS reads the number of its threads when it is loaded.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(jobs, len(schemes)), context, initializer=_load, initargs=(study.model, stop)
    )
    try:
        waiting: list[Future[None]] = [pool.submit(_evaluate, study, scheme) for scheme in schemes]
        while waiting:
            time.sleep(0.5)
            tick()
            for future in [future for future in waiting if future.done()]:
                future.result()
                waiting.remove(future)
        tick()
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _load(path: Path, stop: Any) -> None:
    global _MODEL, _STOP
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and sets `stop`
    _STOP = stop
    _MODEL = Model.from_gguf(GGUFFile(path))


def _stopped() -> bool:
    parent = multiprocessing.parent_process()
    orphan = parent is not None and not parent.is_alive()
    return orphan or (_STOP is not None and _STOP.is_set())


def _evaluate(study: Study, scheme: Scheme) -> None:
    assert _MODEL is not None
    if scheme.weight_key not in _WEIGHTS:
        _WEIGHTS.clear()
    weights = _WEIGHTS.setdefault(scheme.weight_key, {})
    linear = QuantizedLinear(scheme, _MODEL, study.calibrated(), weights)
    for window, tokens in enumerate(study.evaluation):
        path = study.result_path(scheme, window)
        if path.is_file():
            continue
        if _stopped():
            return
        linear.counts.clear()
        start = time.perf_counter()
        losses = token_losses(_MODEL, tokens, linear)
        seconds = time.perf_counter() - start
        counts = json.dumps(dict(linear.counts))
        with replacing(path) as neighbour, neighbour.open("wb") as file:
            np.savez(file, losses=losses, counts=counts, seconds=seconds)
