"""Models as they come: GGUF and safetensors, in one file or in parts, one tensor at a time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.checkpoints.imported import CodedMatrix

from .layers import with_layers
from .source import Source
from .tensor_file import Entry, TensorFile

__all__ = ["is_gguf", "open_source"]

_GGUF_MAGIC = b"GGUF"
_POINTER_MAGIC = b"vers"  # version https://git-lfs.github.com/spec/v1
# What both formats have. Other float types of GGUF are passed on as float32.
_SAME_TYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8"}
_INDEX = "*.safetensors.index.json"
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.(gguf|safetensors))")


class _GGUFSource:
    """A GGUF file. Of its metadata, numbers, words and flags are kept; lists (the vocabulary) are not."""

    def __init__(self, path: Path) -> None:
        self.file = GGUFFile(path)
        self.paths: Sequence[Path] = (path,)
        self.refused: dict[str, str] = {}
        scalars = {k: v for k, v in self.file.metadata.items() if isinstance(v, str | int | float)}
        self.metadata = {"gguf": json.dumps({k: v for k, v in scalars.items() if not k.startswith("split.")})}
        self.entries = {
            name: Entry(self.file.kind(name), self.file.shape(name), self.file.stored(name).nbytes)
            for name in self.file.names
        }

    def readable(self, name: str) -> bool:
        return self.file.readable(name)

    def passed_on(self, name: str) -> Entry:
        entry = self.entries[name]
        if entry.dtype in _SAME_TYPES:
            return entry
        if not self.readable(name):
            raise ValueError(
                f"{name} is of type {entry.dtype}, which cannot be passed on: --only-packed leaves it out"
            )
        return Entry("F32", entry.shape, 4 * math.prod(entry.shape))

    def raw(self, name: str) -> NDArray[Any]:
        same = self.entries[name].dtype in _SAME_TYPES
        return self.file.stored(name) if same else self.file.tensor(name)

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        return self.file.part(name, rows)

    def coded(self, name: str) -> CodedMatrix | None:
        return self.file.coded(name)


class _Parts:
    """A model in several files, read as one; of metadata that differ, those of the first file count."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.paths: Sequence[Path] = [path for part in parts for path in part.paths]
        self.metadata: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._home: dict[str, Source] = {}
        for part in parts:
            self.metadata = part.metadata | self.metadata
            for name in part.entries:
                if name in self._home:
                    raise ValueError(f"{part.paths[0]}: {name} is in {self._home[name].paths[0]} too")
                self._home[name] = part
        self.entries = {name: part.entries[name] for name, part in self._home.items()}

    def readable(self, name: str) -> bool:
        return self._home[name].readable(name)

    def passed_on(self, name: str) -> Entry:
        return self._home[name].passed_on(name)

    def raw(self, name: str) -> NDArray[Any]:
        return self._home[name].raw(name)

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        return self._home[name].part(name, rows)

    def coded(self, name: str) -> CodedMatrix | None:
        return self._home[name].coded(name)


def open_source(path: str | PathLike[str]) -> Source:
    """Opens a model: a file, any part of one in several files, an index of parts, or a folder with one model.

    Raises
    ------
    ModuleNotFoundError
        If a GGUF file has block types, and the package ``gguf`` is missing.
    ValueError
        If a file is neither GGUF nor safetensors, is cut short, or a part is missing.
    """
    path = Path(path)
    if path.is_dir():
        path = _model_in(path)
    files, homes = _files(path)
    parts = [_open(file) for file in files]
    splits = [part.file for part in parts if isinstance(part, _GGUFSource)]
    for number, split in enumerate(splits):
        _check_split(split, number, len(parts))
    source: Source = parts[0] if len(parts) == 1 else _Parts(parts)
    for name, file in homes.items():
        if name not in parts[files.index(file)].entries:
            raise ValueError(f"{file} must hold {name}, as the index says")
    expected = splits[0].metadata.get("split.tensors.count") if splits else None
    if expected is not None and expected != len(source.entries):
        raise ValueError(
            f"{path} must hold {expected} tensors, as its metadata say, not {len(source.entries)}"
        )
    return with_layers(source)


def is_gguf(path: Path) -> bool:
    """Whether a file begins as GGUF files do."""
    return _magic(path) == _GGUF_MAGIC


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_GGUF_MAGIC))


def _open(path: Path) -> _GGUFSource | TensorFile:
    if _magic(path) == _POINTER_MAGIC:
        raise ValueError(f"{path} is a Git LFS pointer: git lfs pull fetches the file itself")
    return _GGUFSource(path) if is_gguf(path) else TensorFile(path)


def _model_in(folder: Path) -> Path:
    """Returns the file to open for the model in a folder."""
    for name in ("model.safetensors", f"model{_INDEX[1:]}"):
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob(_INDEX)) or sorted(folder.glob("*.safetensors")) + sorted(
        folder.glob("*.gguf")
    )
    sets = {_PART.sub(r"\g<stem>\g<count>\g<suffix>", path.name): path for path in found}
    if len(sets) == 1:
        return found[0]
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    held = [path.name for path in sets.values()] or others
    listed = f"{', '.join(held[:3])}{', ...' * (len(held) > 3)}" if held else "none"
    raise ValueError(f"{folder} must hold one model in .safetensors or .gguf files, not {listed}")


def _files(path: Path) -> tuple[list[Path], dict[str, Path]]:
    """Returns the files of the model that a file is, or is a part or the index of, and what an index says."""
    if path.suffix == ".json":
        return _indexed(path)
    for index in sorted(path.parent.glob(_INDEX)):
        files, homes = _indexed(index)
        if path in files:
            return files, homes
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path], {}
    count = int(match["count"])
    files = [
        path.with_name(f"{match['stem']}-{i + 1:05}-of-{count:05}{match['suffix']}") for i in range(count)
    ]
    for file in files:
        if not file.exists():
            part = f"part {int(match['number'])} of {count} of a model"
            raise ValueError(f"{path} is {part}, and {file.name} is missing")
    return files, {}


def _indexed(index: Path) -> tuple[list[Path], dict[str, Path]]:
    """Returns the files that an index of safetensors files names, and the file of each tensor."""
    try:
        found = json.loads(index.read_text("utf-8"))["weight_map"].items()
        homes = {name: index.with_name(file) for name, file in found}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{index} must be an index of safetensors files with a weight_map: {error}"
        ) from error
    for file in sorted(set(homes.values())):
        if not file.exists():
            raise ValueError(f"{index} names {file.name}, which is missing")
    if not homes:
        raise ValueError(f"{index} must name a tensor at least")
    return sorted(set(homes.values())), homes


def _check_split(file: GGUFFile, number: int, parts: int) -> None:
    """Raises ValueError unless a GGUF file is part `number` of so many, by its own metadata."""
    count, own = file.metadata.get("split.count") or 1, file.metadata.get("split.no") or 0
    if (count, own) != (parts, number):
        raise ValueError(
            f"{file.path} is part {own + 1} of {count} of a model, as its metadata say: "
            f"its name must end in -{own + 1:05}-of-{count:05}.gguf, beside the other parts"
        )
