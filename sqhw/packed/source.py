"""What a model is to those that pack it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix

from .tensor_file import Entry

__all__ = ["Source"]


class Source(Protocol):
    """A model's tensors.

    Members
    -------
    paths: Sequence[Path]
        The files they are in.
    metadata: dict[str, str]
        What the files say of themselves, as safetensors can keep it.
    entries: dict[str, Entry]
        The tensors by name, as they are stored; shapes have outputs first.
    refused: dict[str, str]
        Tensors in codes of another quantizer that are no matrices here, and why.
    """

    paths: Sequence[Path]
    metadata: dict[str, str]
    entries: dict[str, Entry]
    refused: dict[str, str]

    def readable(self, name: str) -> bool:
        """Whether :meth:`part` gives a tensor's numbers."""

    def passed_on(self, name: str) -> Entry:
        """Returns a tensor as a safetensors file holds it; ValueError if none can."""

    def raw(self, name: str) -> NDArray[Any]:
        """Returns the bytes that :meth:`passed_on` describes."""

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        """Returns some rows of a tensor of floats as numbers."""

    def coded(self, name: str) -> CodedMatrix | None:
        """Returns a matrix in the codes that it is stored in; None if a dense operand holds no such codes."""
