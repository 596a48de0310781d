"""The text that models read: public-domain novels or a manual from Debian packages, or any file.

The package ``r-cran-janeaustenr`` carries Jane Austen's six novels, ``developers-reference`` the Debian
Developer's Reference (GPL-2 or later), technical English with commands and names. A package is fetched with
``apt-get download`` (no root), checked by hash, unpacked with ``dpkg-deb`` and never becomes part of this
project.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CALIBRATION", "EVALUATION", "MANUAL", "NOVELS", "Package", "Text", "manual", "novel", "read_text"]

EVALUATION = "Persuasion"
CALIBRATION = "EMMA"


@dataclass(frozen=True)
class Package:
    """A Debian package of texts for all architectures, and the file in it that is read."""

    name: str
    version: str
    sha256: str
    file: str


NOVELS = Package(
    "r-cran-janeaustenr",
    "1.0.0-1",
    "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
    "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb",
)
MANUAL = Package(
    "developers-reference",
    "12.18",
    "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e",
    "usr/share/developers-reference/developers-reference.txt.gz",
)
_STRING_VECTOR = 16
_MISSING = -1
_FIRST_CHAPTER = "\n1. Scope of This Document\n***"


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
        If the file's hash is not the package's, or the package has no such novel.
    """
    for lines in _string_vectors(_content(NOVELS, cache)):
        if lines[0] == title:
            return Text(f"Debian {NOVELS.name} {NOVELS.version}, {title}", "\n".join(lines))
    raise ValueError(f"{NOVELS.name} has no novel that begins with {title!r}")


def manual(cache: Path) -> Text:
    """Returns the manual from its first chapter on, without the table of contents; raises as `novel`."""
    text = gzip.decompress(_content(MANUAL, cache)).decode("utf-8")
    _, found, rest = text.partition(_FIRST_CHAPTER)
    if not found:
        raise ValueError(f"{MANUAL.name} must have the chapter {_FIRST_CHAPTER.split(chr(10))[1]!r}")
    return Text(f"Debian {MANUAL.name} {MANUAL.version}", found.lstrip("\n") + rest)


def _content(package: Package, cache: Path) -> bytes:
    """Returns the file of a package, which is fetched unless it is there."""
    path = cache / f"{package.name}_{package.version}_all.deb"
    if not path.is_file():
        _fetch(package, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ValueError(
            f"{path} must have the SHA-256 {package.sha256}, not {found}: delete it and try again"
        )
    return _unpack(path, package.file)


def _fetch(package: Package, path: Path) -> None:
    wanted = f"{package.name} {package.version}"
    hint = f"fetch {wanted} from a Debian mirror into {path.parent}, or pass --text FILE"
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(f"{tool} is not on PATH; {hint} and --calibration-text FILE")
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "download", f"{package.name}={package.version}"]
    result = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    if result.returncode or not path.is_file():
        reason = result.stderr.strip().splitlines()
        raise FileNotFoundError(f"{' '.join(command)}: {reason[-1] if reason else 'no file'}; {hint}")


def _unpack(path: Path, file: str) -> bytes:
    folder = path.with_suffix("")
    if not (folder / file).is_file():
        subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], check=True)
    return (folder / file).read_bytes()


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
