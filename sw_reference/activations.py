"""The embedded activations of a real language model, and the weights they meet: the loader.

``data/activations.npz`` is written by ``sqhw data capture`` and described in
``docs/model.md``. For each captured site it holds two arrays, ``layer<n>.<site>.x`` (the inputs,
float32, exactly as the forward pass computed them) and ``layer<n>.<site>.weight`` (weight rows,
the model file's own Q4_1 blocks byte for byte); ``provenance`` is one string of JSON that says where
everything comes from. NumPy is all that is needed to read it.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "ActivationSet", "Site", "dequantize_q4_1", "load_activations", "rows", "summary"]

_BLOCK = 32
"""Elements of one Q4_1 block."""
_BLOCK_BYTES = 20
"""Bytes of one Q4_1 block: float16 scale, float16 minimum, 16 bytes of codes."""
_LOUD = 1000.0
"""What makes an activation massive and a bank quiet: this many times larger, or smaller, than the rest."""


@dataclass(frozen=True, eq=False)
class Site:
    """The inputs of one group of linear layers that share them, and weight rows of those layers.

    ``x @ weight.T`` is a part of what the model computes there. All arrays are read-only.

    Parameters
    ----------
    layer
        Index of the transformer block, from 0.
    name
        ``"attn_qkv"``, ``"attn_output"``, ``"ffn_gate_up"`` or ``"ffn_down"``.
    x
        float32[tokens, K]: the inputs, one row per captured token.
    weight
        float32[rows, K]: weight rows, dequantized exactly as the model uses them.
    blocks
        uint8[rows, K // 32, 20]: the same as the model's file has them, in Q4_1.
    tokens
        The text of each captured token.
    positions
        The position of each captured token in its prompt; 0 is a prompt's first token.
    rows
        Where each weight row comes from: the tensor's name in the GGUF file and the row's index there.
        (GGUF permutes the rows of a head in attn_q and attn_k: these are the indices after that.)
    """

    layer: int
    name: str
    x: NDArray[np.float32]
    weight: NDArray[np.float32]
    blocks: NDArray[np.uint8]
    tokens: tuple[str, ...]
    positions: tuple[int, ...]
    rows: tuple[tuple[str, int], ...]

    @property
    def massive(self) -> tuple[tuple[int, int], ...]:
        r"""The massive activations as (row of x, channel): \|x\| > 100 and > 1000 times the row's median.

        Source of the definition: Sun et al., "Massive Activations in Large Language Models", 2024.
        """
        size = np.abs(self.x)
        found = np.argwhere((size > 100) & (size > _LOUD * np.median(size, axis=1, keepdims=True)))
        return tuple((int(row), int(channel)) for row, channel in found)

    def quiet_banks(self, bank: int) -> NDArray[np.bool_]:
        r"""bool[tokens, K // bank]: banks whose largest \|x\| is below a thousandth of the row's largest."""
        if self.x.shape[1] % bank:
            raise ValueError(f"Bank must divide {self.x.shape[1]}, not {bank!r}")
        size = np.abs(self.x)
        largest = size.reshape(len(size), -1, bank).max(axis=2)
        quiet: NDArray[np.bool_] = largest < size.max(axis=1, keepdims=True) / np.float32(_LOUD)
        return quiet


@dataclass(frozen=True, eq=False)
class ActivationSet:
    """All captured sites, by layer and then in the order in which the model meets them.

    Parameters
    ----------
    sites
        The sites.
    provenance
        The record stored with them: model package, version and SHA-256, prompts, tokens, shapes, command.
    """

    sites: tuple[Site, ...]
    provenance: dict[str, Any]

    def site(self, layer: int, name: str) -> Site:
        """Returns one site; ValueError names those that exist if it does not."""
        for site in self.sites:
            if (site.layer, site.name) == (layer, name):
                return site
        known = ", ".join(f"{site.layer} {site.name}" for site in self.sites)
        raise ValueError(f"No site {name!r} in layer {layer!r}; there are: {known}")


def dequantize_q4_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Dequantizes GGML's Q4_1: value = scale * code + minimum in float32, in this order.

    Parameters
    ----------
    blocks
        uint8[rows, blocks, 20]: per block of 32 elements a float16 scale, a float16 minimum and 16 bytes;
        the low nibble of byte i is the code of element i, the high nibble that of element i + 16.

    Returns
    -------
    float32[rows, 32 * blocks]
    """
    fine = np.ascontiguousarray(blocks[..., :4]).view("<f2").astype(np.float32)
    packed = blocks[..., 4:]
    codes = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32)
    values: NDArray[np.float32] = fine[..., :1] * codes + fine[..., 1:]
    return values.reshape(len(blocks), -1)


def load_activations(path: str | PathLike[str] | None = None) -> ActivationSet:
    """Loads captured activations.

    Parameters
    ----------
    path
        A file made by ``sqhw data capture``; None for the one inside this package.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of these, is damaged, or disagrees with its own record; the message says where.
    """
    source = files("sw_reference") / "data" / "activations.npz" if path is None else Path(path)
    with source.open("rb") as file:
        try:
            return _read(file)
        except Exception as error:
            # A damaged file fails wherever it happens to be, with whatever that raises.
            reason = f"its record lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"Cannot read {source}: {reason}") from error


COLUMNS = ("layer", "site", "x", "weight", "largest", "rms", "massive channels", "quiet banks of 16")
"""Of :func:`rows`."""


def rows(activations: ActivationSet) -> list[tuple[str, ...]]:
    """A row of text for each site: what ``sqhw data show`` prints."""
    found = []
    for site in activations.sites:
        size, quiet = np.abs(site.x), site.quiet_banks(16)
        rms = np.sqrt(np.mean(np.square(site.x, dtype=np.float64)))
        loudest = {channel: size[:, channel].max() for _, channel in site.massive}
        massive = ", ".join(f"{channel} ({value:.0f})" for channel, value in sorted(loudest.items())) or "-"
        shapes = (" x ".join(map(str, array.shape)) for array in (site.x, site.weight))
        numbers = (f"{size.max():.4g}", f"{rms:.3g}", massive, f"{quiet.sum()} of {quiet.size}")
        found.append((str(site.layer), site.name, *shapes, *numbers))
    return found


def summary(activations: ActivationSet) -> str:
    """The same as a Markdown table."""
    separator = f"|{'---|' * len(COLUMNS)}"
    header, *lines = (f"| {' | '.join(line)} |" for line in (COLUMNS, *rows(activations)))
    return "\n".join([header, separator, *lines])


def _read(file: IO[bytes]) -> ActivationSet:
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not an .npz file, or not a whole one")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        provenance = json.loads(_find(arrays, "provenance").item())
        if not isinstance(provenance, dict):
            raise ValueError("its record is not a JSON object")
        tokens = tuple(str(token["text"]) for token in provenance["tokens"])
        positions = tuple(int(token["position"]) for token in provenance["tokens"])
        sites = tuple(_read_site(arrays, record, tokens, positions) for record in provenance["sites"])
        return ActivationSet(sites, provenance)


def _read_site(arrays: Any, record: Any, tokens: tuple[str, ...], positions: tuple[int, ...]) -> Site:
    key = f"layer{record['layer']}.{record['name']}"
    x, blocks = (_read_array(arrays, f"{key}.{part}", record[part]) for part in ("x", "weight"))
    rows = tuple((str(name), int(row)) for name, indices in record["rows"].items() for row in indices)
    if not (x.dtype == np.float32 and x.ndim == 2 and len(x) == len(tokens) and np.isfinite(x).all()):
        raise ValueError(f"{key}.x must be finite float32[{len(tokens)}, K]")
    if not (blocks.dtype == np.uint8 and blocks.shape == (len(rows), x.shape[1] // _BLOCK, _BLOCK_BYTES)):
        raise ValueError(f"{key}.weight must be uint8[{len(rows)}, {x.shape[1] // _BLOCK}, {_BLOCK_BYTES}]")
    weight = dequantize_q4_1(blocks)
    for array in (x, weight, blocks):
        array.setflags(write=False)
    return Site(int(record["layer"]), str(record["name"]), x, weight, blocks, tokens, positions, rows)


def _find(arrays: Any, key: str) -> NDArray[Any]:
    if key not in arrays:
        raise ValueError(f"{key} is missing")
    array: NDArray[Any] = arrays[key]
    return array


def _read_array(arrays: Any, key: str, record: Any) -> NDArray[Any]:
    array = _find(arrays, key)
    if [array.dtype.name, list(array.shape)] != [record["dtype"], record["shape"]]:
        stored = f"{array.dtype.name}{list(array.shape)}"
        raise ValueError(f"{key} is {stored}, its record says {record['dtype']}{record['shape']}")
    return array
