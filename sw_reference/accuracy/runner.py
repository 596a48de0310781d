"""Runs a study: one file per scheme and window, so that it can be stopped and resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.backward import BACKWARD
from sw_reference.accuracy.calibration import Calibration, Uncalibrated
from sw_reference.accuracy.operand import Operand
from sw_reference.accuracy.scheme import CountingLinear, QuantizedLinear, Ready, Scheme, token_losses
from sw_reference.files import replacing
from sw_reference.llm import GGUFFile, Model
from sw_reference.llm.arithmetic import Float32

__all__ = ["Begin", "Encoder", "Pool", "Result", "Study", "calibrate", "gguf_model", "run", "windows"]

Pool = Callable[..., Any]


class Encoder(Protocol):
    """Turns a text into token ids."""

    def encode(self, text: str) -> list[int]: ...


Begin = Callable[[str, int], Callable[..., None]]

# What a process that evaluates schemes holds.
_WEIGHTS: dict[str, dict[str, Operand]] = {}  # of the latest weight format, by its key and by site


def gguf_model(path: Path) -> Model:
    """Reads a model in a GGUF file."""
    return Model.from_gguf(GGUFFile(path))


@dataclass(frozen=True)
class Study:
    """What schemes are measured on.

    Parameters
    ----------
    model
        The GGUF file, or what `load` takes.
    evaluation, calibration
        Windows of token ids; without calibration, schemes must need no statistics.
    cache
        Folder for what is kept between runs.
    identity
        What tells this model from others; None for the file's name and size.
    load
        Reads the model; a function of a module, so that processes can be given it.
    """

    model: Path
    evaluation: tuple[tuple[int, ...], ...]
    calibration: tuple[tuple[int, ...], ...]
    cache: Path
    identity: str | None = None
    load: Callable[[Path], Model] = gguf_model

    def calibrated(self) -> Calibration:
        """The statistics' file, which may not exist yet."""
        return Calibration(self.cache / f"calibration-{self._key(self.calibration)}.npz")

    def statistics(self) -> Calibration | Uncalibrated:
        """What is known of the layers' inputs."""
        return self.calibrated() if self.calibration else Uncalibrated()

    def result_path(self, scheme: Scheme, window: int) -> Path:
        """Where the losses of one window are kept: named by the content of all that they depend on."""
        key = self._key(self.evaluation[window], self.calibration)
        return self.cache / "losses" / f"{scheme.key}-{key}.npz"

    def reference_path(self, window: int) -> Path:
        """Where the unquantized model's last states of one window are kept."""
        return self.cache / f"states-{self._key(self.evaluation[window])}.npy"

    def _key(self, *contents: Any) -> str:
        own = [self.model.name, self.model.stat().st_size] if self.identity is None else [self.identity]
        text = json.dumps([*own, *contents])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Result:
    """What a scheme gave on all windows.

    Parameters
    ----------
    losses
        float64[tokens], negative log likelihoods.
    divergences
        float64[tokens], from the unquantized model's distributions.
    counts
        See ``QuantizedLinear``.
    seconds
        Spent on it, in all processes.
    """

    losses: NDArray[np.float64]
    divergences: NDArray[np.float64]
    counts: dict[str, int]
    seconds: float

    @classmethod
    def read(cls, study: Study, scheme: Scheme) -> Result | None:
        """Returns the result if all windows are there."""
        paths = [study.result_path(scheme, window) for window in range(len(study.evaluation))]
        if not all(path.is_file() for path in paths):
            return None
        losses, divergences, seconds = [], [], 0.0
        counts: dict[str, int] = {}
        for path in paths:
            with np.load(path) as file:
                losses.append(file["losses"])
                divergences.append(file["divergences"])
                seconds += float(file["seconds"])
                for name, count in json.loads(str(file["counts"])).items():
                    counts[name] = counts.get(name, 0) + count
        return cls(np.concatenate(losses), np.concatenate(divergences), counts, seconds)


def windows(tokenizer: Encoder, text: str, count: int, length: int, what: str) -> tuple[tuple[int, ...], ...]:
    """Returns the first `count` windows of `length` tokens; ValueError if the text is too short."""
    # Six bytes per token are more than any text needs on average; the rest need not be tokenized.
    tokens = tokenizer.encode(text[: count * length * 12])
    if len(tokens) < count * length:
        raise ValueError(f"The {what} text must have at least {count * length} tokens, not {len(tokens)}")
    return tuple(tuple(tokens[i * length : (i + 1) * length]) for i in range(count))


def calibrate(study: Study, begin: Begin) -> None:
    """Makes the statistics' file, unless it exists or there is nothing to make it of."""
    if study.calibration and not study.calibrated().path.is_file():
        done = begin("Calibration windows", len(study.calibration))
        study.calibrated().make(_model(study.load, study.model), study.calibration, done)


def run(study: Study, schemes: Sequence[Scheme], pool: Pool, begin: Begin) -> None:
    """Computes what is not there yet.

    Parameters
    ----------
    pool
        Runs jobs that are keyed by a text, in processes; calls its ``done`` with each key that is finished.
    begin
        Begins a stage of so many steps and returns what each finished step calls.
    """
    count = len(study.evaluation)
    todo = {s.name: s for s in schemes if not all(study.result_path(s, i).is_file() for i in range(count))}
    if todo:
        calibrate(study, begin)
        _model.cache_clear()
        jobs = {name: partial(_evaluate, study, scheme) for name, scheme in todo.items()}
        pool(jobs, done=begin(f"Schemes, of {count} windows each", len(todo)))


@cache
def _model(load: Callable[[Path], Model], path: Path) -> Model:
    return load(path)


def _evaluate(study: Study, scheme: Scheme) -> None:
    if scheme.weight_key not in _WEIGHTS:
        _WEIGHTS.clear()
    weights = _WEIGHTS.setdefault(scheme.weight_key, {})
    model = _model(study.load, study.model)
    if scheme.sums == "backward":
        model = Model(model.config, model.weights, model.codes, BACKWARD)
    ready = scheme.weight if isinstance(scheme.weight, Ready) else None
    linear: CountingLinear = (
        ready.linear(model, scheme.activation)
        if ready
        else QuantizedLinear(scheme, model, study.statistics(), weights)
    )
    for window, tokens in enumerate(study.evaluation):
        path = study.result_path(scheme, window)
        if path.is_file():
            continue
        linear.counts.clear()
        reference = _reference(study, window)
        start = time.perf_counter()
        losses, divergences = token_losses(model, tokens, linear, reference)
        seconds = time.perf_counter() - start
        counts = json.dumps(dict(linear.counts))
        with replacing(path) as neighbour, neighbour.open("wb") as file:
            np.savez(file, losses=losses, divergences=divergences, counts=counts, seconds=seconds)


def _reference(study: Study, window: int) -> Float32:
    """Returns the unquantized model's last states of a window, from a file that is made once."""
    path = study.reference_path(window)
    if not path.is_file():
        hidden = _model(study.load, study.model).hidden(study.evaluation[window])
        with replacing(path) as neighbour, neighbour.open("wb") as file:
            np.save(file, hidden)
    reference: Float32 = np.load(path)
    return reference
