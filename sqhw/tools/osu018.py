"""OSU018, a small open library of standard cells for a 0.18 um process: fetched, checked, unpacked.

The cells come from Debian's ``qflow-tech-osu018`` (Oklahoma State University; packaged under the GPL), so
they are not part of this repository. ``apt-get download`` and ``dpkg-deb -x`` need no root.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .cache import CACHE
from .fetch import call, intact
from .tools import ToolError

__all__ = ["PACKAGE", "CellLibrary", "cell_library"]

PACKAGE = "qflow-tech-osu018"
_FOLDER = Path("usr/share/qflow/tech/osu018")
_FILES = {
    "osu018_stdcells.lib": "86f79b2000f1ac46715a9f6dfd5f5a596906418e9ee8a8611077bbaaad3de4e9",
    "osu018_stdcells.v": "8748e739f4c3bc8f5e86c2ab3c4446317d2802794bf2b99299587f681fa036b2",
}


@dataclass(frozen=True)
class CellLibrary:
    """Areas, capacitances and timing (`liberty`), and functional models of the cells (`verilog`)."""

    liberty: Path
    verilog: Path


@functools.cache
def cell_library(cache: Path = CACHE) -> CellLibrary:
    """Finds the library in the cache, or fetches it from Debian.

    Raises
    ------
    ToolError
        If apt-get or dpkg-deb is missing, the package cannot be fetched, or its files are not the known ones.
    """
    folder = cache / PACKAGE
    if not all(intact(folder / name, digest) for name, digest in _FILES.items()):
        _fetch(folder)
    return CellLibrary(*(folder / name for name in _FILES))


def _fetch(folder: Path) -> None:
    instead = f"put {' and '.join(_FILES)} of Debian's {PACKAGE} into {folder}"
    for command in ("apt-get", "dpkg-deb"):
        if shutil.which(command) is None:
            raise ToolError(f"{command} is needed to fetch standard cells, but it is not on PATH: {instead}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        otherwise = f"Run apt-get update first, or {instead}"
        call(["apt-get", "download", PACKAGE], scratch, otherwise)
        (package,) = scratch.glob("*.deb")
        call(["dpkg-deb", "-x", package.name, "."], scratch, otherwise)
        for file, digest in _FILES.items():
            source = scratch / _FOLDER / file
            if not intact(source, digest):
                raise ToolError(f"{file} of {package.name} must have the SHA-256 {digest}, but it has not")
            source.replace(folder / file)
