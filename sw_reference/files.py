"""Writing results so that a reader never meets half a file, and a run can be stopped at any time."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

__all__ = ["as_json", "replacing", "write_text"]


_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a file to write; after the block it takes the name `path` in one step.

    It is a neighbour, in the same folder (which is made). An error or an interruption removes it and
    leaves what was at `path` as it was. A link stays a link: the file that it points to is replaced.
    A file that was there hands on its permissions, and its owner where the user may do that.

    Raises
    ------
    OSError
        Before the block, if `path` is no regular file, or is one that the user may not write.
    """
    found = path.stat() if path.exists() else None
    if found and not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(f"Output must be a regular file, not {kind}: {path}")
    if found and not os.access(path, os.W_OK):
        raise PermissionError(f"Output must be a file that may be written, not {path}")
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{os.getpid()}-{token_hex(4)}")
    try:
        yield neighbour
        if found:
            with suppress(PermissionError):
                os.chown(neighbour, found.st_uid, found.st_gid)
            neighbour.chmod(stat.S_IMODE(found.st_mode))
        neighbour.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(neighbour)):  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        neighbour.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, making its folder; an error leaves the file as it was."""
    with replacing(path) as neighbour:
        neighbour.write_text(text, encoding="utf-8", newline="\n")


def as_json(value: Any) -> str:
    """`value` as JSON text for a file, in the order it was built: one record per line.

    The members of the outermost object, and of each list of objects, have a line each. Everything else
    stays on its line. So a changed record changes one line, and one line shows a whole record.

    Raises
    ------
    ValueError
        If `value` holds NaN or Inf, which JSON lacks.
    """
    return _lines(value, "\n") + "\n"


def _lines(value: Any, end: str) -> str:
    """Text of `value`, whose lines begin with `end`: a newline and the indentation so far."""
    inner = f"{end}  "
    if value and (end == "\n" or _holds_records(value)):
        if isinstance(value, dict):
            members = (f"{_lines(str(name), end)}: {_lines(own, inner)}" for name, own in value.items())
            return f"{{{inner}{f',{inner}'.join(members)}{end}}}"
        if isinstance(value, list | tuple):
            return f"[{inner}{f',{inner}'.join(_lines(own, inner) for own in value)}{end}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _holds_records(value: Any) -> bool:
    """Whether there is a list of objects in `value`."""
    if isinstance(value, dict):
        return any(map(_holds_records, value.values()))
    return isinstance(value, list | tuple) and any(isinstance(v, dict) or _holds_records(v) for v in value)
