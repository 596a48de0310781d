"""Makes the embedded activations from the model's weights: ``sqhw data capture``.

Runs the forward pass on the prompts below and stores what enters the linear layers of three blocks
for some tokens, with some rows of the weights, and a record of where all of it comes from. The file's
layout is described in ``sw_reference.activations``, which reads it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.activations import load_activations
from sw_reference.checkpoints.gguf import MODEL_PACKAGE, MODEL_VERSION
from sw_reference.llm import GGUFFile, Model, Tokenizer, product
from sw_reference.llm.arithmetic import Float32

__all__ = ["LAYERS", "PROMPTS", "SITES", "TOLERANCE", "capture", "check", "difference", "write_npz"]

PROMPTS = (
    "The ferry left the harbour before dawn, and by the time the sun stood over the islands the old "
    "captain had already told us twice how his grandmother once rowed across the strait in a storm. "
    "Nobody believed him, but everyone listened.",
    "def moving_average(values, width):\n"
    '    """Return the mean of each window of the given width."""\n'
    "    total = sum(values[:width])\n"
    "    means = [total / width]\n"
    "    for i in range(width, len(values)):\n"
    "        total += values[i] - values[i - width]\n"
    "        means.append(total / width)\n"
    "    return means\n",
    "Two pumps fill a tank of 1,250 litres. Together they bring 37.5 litres per minute, of which 4% leaks "
    "away, so the net rate is 37.5 * 0.96 = 36 litres per minute and the tank is full after 34.7 minutes.",
    "<|im_start|>user\nWhy does bread rise?<|im_end|>\n"
    "<|im_start|>assistant\nBecause yeast eats sugar and gives off carbon dioxide, and the dough holds the "
    "bubbles.<|im_end|>\n<|im_start|>user\nAnd what if I leave out the salt?<|im_end|>\n",
)
"""What the model reads: prose, code, numbers and a dialogue, written for this project."""

TOKENS_PER_PROMPT = 6
"""Captured tokens of a prompt: its first, its last, and others evenly spaced between them."""

LAYERS = (1, 11, 28)
"""An early, a middle and a late block. 11 and 28 have the massive activations."""

SITES = {
    "attn_qkv": ("attn_q", "attn_k", "attn_v"),
    "attn_output": ("attn_output",),
    "ffn_gate_up": ("ffn_gate", "ffn_up"),
    "ffn_down": ("ffn_down",),
}
"""The linear layers that share one input, by the name of that site."""

ROWS_PER_SITE = 72
"""Weight rows stored per site, the same number of each of its tensors, evenly spaced in the tensor."""

TOLERANCE = 1e-4
"""How far a repeated capture may be off, as a share of the largest magnitude of the same token and site:
another BLAS or processor adds the same float32 products in another order."""

_COMMAND = "sqhw data capture"


def capture(path: Path, done: Callable[[], Any] = lambda: None) -> dict[str, NDArray[Any]]:
    """Runs the model in the GGUF file at `path`; returns the arrays of the file to write, by name.

    Calls `done` after each of ``PROMPTS``.

    Raises
    ------
    ModuleNotFoundError, FileNotFoundError, ValueError
        If the extra ``llm`` or the file is missing, or the file is not a model this can run.
    """
    file = GGUFFile(path)
    tokenizer, model = Tokenizer.from_metadata(file.metadata), Model.from_gguf(file)
    tokens: list[dict[str, Any]] = []
    inputs: dict[str, list[Float32]] = {}
    for prompt, text in enumerate(PROMPTS):
        ids = tokenizer.encode(text)
        positions = _evenly(len(ids), TOKENS_PER_PROMPT)
        tokens += [
            {"prompt": prompt, "position": int(at), "id": ids[at], "text": tokenizer.decode([ids[at]])}
            for at in positions
        ]
        for name, x in _site_inputs(model, ids).items():
            inputs.setdefault(name, []).append(x[positions])
        done()
    arrays: dict[str, NDArray[Any]] = {}
    sites = []
    for layer in LAYERS:
        for site in SITES:
            key = f"layer{layer}.{site}"
            x = np.concatenate(inputs[key])
            weight, rows = _weight_rows(file, layer, site)
            arrays |= {f"{key}.x": x, f"{key}.weight": weight}
            sites.append(
                {"layer": layer, "name": site, "x": _describe(x), "weight": _describe(weight), "rows": rows}
            )
    provenance = {
        "command": _COMMAND,
        "model": {
            "name": file.metadata.get("general.name"),
            "license": file.metadata.get("general.license"),
            "package": MODEL_PACKAGE,
            "version": MODEL_VERSION,
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
        "prompts": PROMPTS,
        "tokens": tokens,
        "x": "inputs of the site's linear layers, [tokens, K]",
        "weight": "rows of the GGUF tensors named in rows, as stored there: Q4_1 blocks, [rows, K / 32, 20]",
        "sites": sites,
    }
    # ASCII and one string, so that NumPy reads it back anywhere without pickle.
    return {"provenance": np.array(json.dumps(provenance)), **arrays}


def _evenly(total: int, count: int) -> NDArray[np.intp]:
    """Returns `count` indices from 0 to total - 1, both ends included, evenly spaced."""
    return np.rint(np.linspace(0, total - 1, count)).astype(np.intp)


def _site_inputs(model: Model, ids: list[int]) -> dict[str, Float32]:
    """Runs the model on one prompt; returns float32[tokens, K] by ``layer<n>.<site>``."""
    first = {
        f"blk.{layer}.{tensors[0]}.weight": f"layer{layer}.{site}"
        for layer in LAYERS
        for site, tensors in SITES.items()
    }
    inputs: dict[str, Float32] = {}

    def keep(name: str, x: Float32, weight: Float32) -> Float32:
        if name in first:
            inputs[first[name]] = x.copy()
        return product(name, x, weight)

    model.hidden(ids, linear=keep)
    return inputs


def _weight_rows(file: GGUFFile, layer: int, site: str) -> tuple[NDArray[np.uint8], dict[str, list[int]]]:
    """Returns a site's weight rows as stored, uint8[rows, blocks, 20], and their indices by tensor."""
    blocks, rows = [], {}
    for tensor in SITES[site]:
        name = f"blk.{layer}.{tensor}.weight"
        index = _evenly(file.shape(name)[0], ROWS_PER_SITE // len(SITES[site]))
        blocks.append(file.q4_1_blocks(name, index))
        rows[name] = index.tolist()
    return np.concatenate(blocks), rows


def _describe(array: NDArray[Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape)}


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays as an .npz file whose bytes depend on nothing but the arrays.

    No time stamps and no compression: floats hardly compress, and zlib's output differs between versions.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, wherever it is written
            archive.writestr(info, buffer.getvalue())


def difference(stored: Mapping[str, NDArray[Any]], fresh: Mapping[str, NDArray[Any]]) -> float:
    """Compares two captures.

    Returns
    -------
    The largest difference of an activation, as a share of the largest magnitude of its token and site.

    Raises
    ------
    ValueError
        If anything else than the activations' values differs: it must be equal exactly.
    """
    if list(stored) != list(fresh):
        raise ValueError(f"The arrays differ: {sorted(set(stored) ^ set(fresh))}")
    largest = 0.0
    for name, old in stored.items():
        new = fresh[name]
        if old.dtype != new.dtype or old.shape != new.shape:
            raise ValueError(f"{name} is {old.dtype}{list(old.shape)}, not {new.dtype}{list(new.shape)}")
        if name.endswith(".x"):
            scale = np.abs(new).max(axis=1, keepdims=True)
            largest = max(largest, float((np.abs(old - new) / scale).max()))
        elif not np.array_equal(old, new):
            raise ValueError(f"{name} differs")
    return largest


def check(path: Path, fresh: Mapping[str, NDArray[Any]]) -> float:
    """Compares the file at `path` with a fresh capture; returns the largest difference, in shares of a row.

    Raises
    ------
    ValueError
        If anything but activations differs, or those by more than ``TOLERANCE``.
    """
    load_activations(path)
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    try:
        found = difference(stored, fresh)
    except ValueError as error:
        raise ValueError(f"{path} is not what `{_COMMAND}` makes: {error}") from error
    if found > TOLERANCE:
        raise ValueError(f"{path}: the difference must be {TOLERANCE:.0e} or less, not {found:.1e}")
    return found
