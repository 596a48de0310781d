"""Standard output and error, whoever reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Output"]


class Output:
    """A stream that escapes what its encoding lacks, and drops what comes after its reader has left.

    So ``sqhw ... | head`` works on to its end, and its exit code says whether all is right.
    """

    def __init__(self, stream: Any):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _unless_closed(self, call: Callable[..., Any], *arguments: str) -> Any:
        try:
            return call(*arguments)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def write(self, text: str) -> Any:
        return self._unless_closed(self._stream.write, text)

    def flush(self) -> None:
        self._unless_closed(self._stream.flush)
