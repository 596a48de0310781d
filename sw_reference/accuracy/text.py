"""The text that models read: public-domain novels from a Debian package, or any file.

The package ``r-cran-janeaustenr`` carries Jane Austen's six novels. It is fetched with ``apt-get
download`` (no root), checked by hash, unpacked with ``dpkg-deb`` and never becomes part of this project.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CALIBRATION", "EVALUATION", "PACKAGE", "SHA256", "VERSION", "Text", "novel", "read_text"]

PACKAGE = "r-cran-janeaustenr"
VERSION = "1.0.0-1"
SHA256 = "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"
EVALUATION = "Persuasion"
CALIBRATION = "EMMA"

_DATA = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
_STRING_VECTOR = 16
_MISSING = -1


@dataclass(frozen=True)
class Text:
    """A text and where it is from."""

    source: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_text(path: Path) -> Text:
    """Reads a UTF-8 text file; ValueError if it is none."""
    try:
        return Text(path.name, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be a text in UTF-8: {error}") from error


def novel(title: str, cache: Path) -> Text:
    """Returns one of the novels, by the first line of its text; fetches the package into `cache` once.

    Raises
    ------
    FileNotFoundError
        If ``apt-get`` or ``dpkg-deb`` is missing or the package cannot be fetched.
    ValueError
        If the file's hash is not ``SHA256``, or the package has no such novel.
    """
    package = cache / f"{PACKAGE}_{VERSION}_all.deb"
    if not package.is_file():
        _fetch(package)
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{package} must have the SHA-256 {SHA256}, not {found}: delete it and try again")
    for lines in _string_vectors(_unpack(package)):
        if lines[0] == title:
            return Text(f"Debian {PACKAGE} {VERSION}, {title}", "\n".join(lines))
    raise ValueError(f"{PACKAGE} has no novel that begins with {title!r}")


def _fetch(package: Path) -> None:
    hint = f"fetch {PACKAGE} {VERSION} from a Debian mirror into {package.parent}, or pass --text FILE"
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(f"{tool} is not on PATH; {hint} and --calibration-text FILE")
    package.parent.mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "download", f"{PACKAGE}={VERSION}"]
    result = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=False)
    if result.returncode or not package.is_file():
        reason = result.stderr.strip().splitlines()
        raise FileNotFoundError(f"{' '.join(command)}: {reason[-1] if reason else 'no file'}; {hint}")


def _unpack(package: Path) -> bytes:
    folder = package.with_suffix("")
    if not (folder / _DATA).is_file():
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return (folder / _DATA).read_bytes()


def _string_vectors(data: bytes) -> list[list[str]]:
    """Returns the character vectors of an R lazy-load database: length and zlib stream, one by one."""
    vectors = []
    while data:
        stream = zlib.decompressobj()
        vectors.append(_string_vector(stream.decompress(data[4:])))
        data = stream.unused_data
    return vectors


def _string_vector(data: bytes) -> list[str]:
    """Reads one character vector in R's serialization format 3, XDR (R Internals, section 1.8)."""
    (encoding_length,) = struct.unpack_from(">i", data, 14)
    at = 18 + encoding_length
    kind, count = struct.unpack_from(">ii", data, at)
    if data[:2] != b"X\n" or kind & 255 != _STRING_VECTOR:
        raise ValueError(f"An entry must be a character vector, not of type {kind & 255}")
    at += 8
    lines = []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", data, at + 4)
        at += 8
        size = 0 if length == _MISSING else length
        lines.append(data[at : at + size].decode("utf-8"))
        at += size
    return lines
