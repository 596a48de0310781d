"""What is known of the inputs of matrices: from a file of them, or from a text that the model reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import FIRST, site_of
from sw_reference.accuracy.runner import Begin, windows
from sw_reference.accuracy.text import read_text
from sw_reference.codes import checked_matrix
from sw_reference.llm import LAYERS, KVCache, product
from sw_reference.llm.arithmetic import Float32

from .llama import gguf_name, read_llama, read_tokenizer
from .sources import is_gguf
from .tensor_file import TensorFile

__all__ = ["TOKENS", "Inputs", "InputsFile", "TextInputs"]

TOKENS = 4096
"""How many tokens of a text are read unless said otherwise."""

_WINDOW = 1024
"""Tokens that are read together, as in the accuracy study; fewer in a model of shorter texts."""

Float64 = NDArray[np.float64]


class InputsFile:
    """A file with inputs of matrices, F32 [tokens, k], under their names.

    Its methods raise ValueError if inputs are not finite.
    """

    described: Mapping[str, str | int] = {}

    def __init__(self, file: TensorFile) -> None:
        self._file = file

    def check(self, name: str, k: int) -> None:
        """Raises ValueError unless the file has inputs of k elements for the matrix `name`."""
        entry = self._file.entries.get(name)
        if entry is None or entry.dtype != "F32" or len(entry.shape) != 2 or entry.shape[1] != k:
            found = "nothing" if entry is None else f"{entry.dtype} {list(entry.shape)}"
            raise ValueError(f"{self._file.path}: {name} must be F32 [tokens, {k}], not {found}")

    def peak(self, name: str) -> Float64:
        """Returns the largest magnitude of each channel, float64[k]."""
        return _peak(self._read(name))

    def hessian(self, name: str) -> Float64:
        """Returns the mean of x x^T, float64[k, k]."""
        return _hessian(self._read(name), ())

    def _read(self, name: str) -> Float32:
        return checked_matrix(self._file.part(name, slice(None)))


class TextInputs:
    """The inputs of a model's linear layers while it reads a text, as float32 NumPy computes them.

    The text is cut into windows of 1,024 tokens. The first token of each counts ``FIRST`` times in Hessians,
    as in the accuracy study. Of each input only the Hessian and the largest magnitudes are kept, the former
    in a file without a name: 8 k**2 bytes.

    Parameters
    ----------
    path
        The text, in UTF-8.
    tokens
        How many of its tokens are read.
    tokenizer
        A ``tokenizer.json``; None: the model's own.

    Raises
    ------
    ValueError
        If the text is not in UTF-8.
    """

    def __init__(self, path: Path, tokens: int = TOKENS, tokenizer: Path | None = None) -> None:
        self._text = read_text(path)
        self._tokens, self._tokenizer = tokens, tokenizer
        self._site: dict[str, str] = {}
        self._peaks: dict[str, Float64] = {}
        self._hessians: dict[str, Float64] = {}

    @property
    def described(self) -> Mapping[str, str | int]:
        """The text's name and hash, and how many of its tokens were read."""
        return {"text": self._text.source, "text_sha256": self._text.sha256, "text_tokens": self._tokens}

    def read(self, model: Path, names: Collection[str], folder: Path, begin: Begin) -> None:
        """Runs the model on the text.

        Parameters
        ----------
        model
            A GGUF file or a folder with ``config.json``, of the Llama architecture.
        names
            The matrices whose inputs are asked for later, by their names in these files.
        folder
            Where the file without a name is made.
        begin
            Begins a stage of so many steps and returns what each finished step calls.

        Raises
        ------
        ValueError
            If the model or its tokenizer cannot be read, if the text has fewer tokens, or if a matrix is no
            linear layer of a block; the message says what is wrong.
        """
        if model.is_file() and not is_gguf(model):
            raise ValueError(f"{model} must be a GGUF file or a folder with config.json: it reads --text")
        llama = read_llama(model)
        layers = [f"blk.{i}.{layer}.weight" for i in range(llama.config.blocks) for layer in LAYERS]
        for name in names:
            own = gguf_name(name)
            if own not in layers:
                raise ValueError(f"{name} is no linear layer of a block: --text gives no inputs of it")
            self._site[name] = site_of(own)
        tokenizer = read_tokenizer(model, self._tokenizer)
        ids = windows(tokenizer, self._text.text, 1, self._tokens, "calibration")[0]
        length = min(_WINDOW, llama.config.context)
        starts = range(0, len(ids), length)
        wanted, done = set(self._site.values()), begin("Calibrating", len(layers))

        def watch(name: str, x: Float32, weight: Float32) -> Float32:
            site = site_of(name)
            if site in wanted and site not in self._peaks:
                x = _finite(name, x)
                self._peaks[site] = _peak(x)
                file.write(_hessian(x, starts).data)
            y = product(name, x, weight)
            done(name)
            return y

        texts = [ids[start : start + length] for start in starts]
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file, np.errstate(over="ignore", invalid="ignore"):
            llama.hidden_together(texts, [KVCache() for _ in texts], linear=watch)
            file.flush()
            place = 0
            for site, peak in self._peaks.items():
                self._hessians[site] = np.memmap(file, np.float64, "r", place, (len(peak), len(peak)))
                place += self._hessians[site].nbytes

    def check(self, name: str, k: int) -> None:
        """Does nothing: :meth:`read` says which matrices are no layers of the model."""

    def peak(self, name: str) -> Float64:
        """Returns the largest magnitude of each channel, float64[k]."""
        return self._peaks[self._site[name]]

    def hessian(self, name: str) -> Float64:
        """Returns the mean of x x^T, float64[k, k]."""
        return self._hessians[self._site[name]]


Inputs = InputsFile | TextInputs
"""What is known of the inputs of matrices."""


def _finite(name: str, x: Float32) -> Float32:
    try:
        return checked_matrix(x)
    except ValueError as error:
        raise ValueError(f"Inputs of {name}: {error}") from error


def _peak(x: Float32) -> Float64:
    peak: Float64 = np.abs(x).max(axis=0).astype(np.float64)
    return peak


def _hessian(x: Float32, starts: Sequence[int]) -> Float64:
    """Returns the mean of x x^T over the rows, of which those at `starts` count ``FIRST`` times."""
    wide = x.astype(np.float64)
    total: NDArray[Any] = wide.T @ wide
    if starts:
        first = wide[list(starts)]
        total += (FIRST - 1) * (first.T @ first)
    return total / (len(x) + (FIRST - 1) * len(starts))
