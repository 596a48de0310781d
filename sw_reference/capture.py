"""``python -m sw_reference.capture``: makes the embedded activations from the model's weights.

Runs the forward pass on the prompts below and stores what enters the linear layers of three blocks
for some tokens, with some rows of the weights, and a record of where all of it comes from. The file's
layout is described in ``sw_reference.activations``, which reads it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.activations import load_activations
from sw_reference.checkpoints.gguf import MODEL_PACKAGE, MODEL_VERSION, need
from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model, product
from sw_reference.llm.model import Float32

__all__ = ["LAYERS", "PROMPTS", "SITES", "TOLERANCE", "capture", "difference", "main", "write_npz"]

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

_COMMAND = "python -m sw_reference.capture"


def capture(path: Path) -> dict[str, NDArray[Any]]:
    """Runs the model in the GGUF file at `path`; returns the arrays of the file to write, by name.

    Raises
    ------
    ModuleNotFoundError, FileNotFoundError, ValueError
        If the extra ``llm`` or the file is missing, or the file is not a model this can run.
    """
    file = GGUFFile(path)
    tokenizer, model = Tokenizer.from_metadata(file.metadata), Model.from_gguf(file)
    tokens: list[dict[str, Any]] = []
    inputs: dict[str, list[Float32]] = {}
    for prompt, text in enumerate(need("tqdm").tqdm(PROMPTS, desc="Prompts", leave=False, disable=None)):
        ids = tokenizer.encode(text)
        positions = _evenly(len(ids), TOKENS_PER_PROMPT)
        tokens += [
            {"prompt": prompt, "position": int(at), "id": ids[at], "text": tokenizer.decode([ids[at]])}
            for at in positions
        ]
        for name, x in _site_inputs(model, ids).items():
            inputs.setdefault(name, []).append(x[positions])
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


def _check(path: Path, fresh: Mapping[str, NDArray[Any]]) -> None:
    """Prints how far the file at `path` is from a fresh capture; exits with an error if too far."""
    load_activations(path)
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    try:
        found = difference(stored, fresh)
    except ValueError as error:
        sys.exit(f"{path} is not what {_COMMAND} makes: {error}")
    print(f"{path}: record and weights are equal, largest difference of an activation {found:.1e} of its row")
    if found > TOLERANCE:
        sys.exit(f"{path}: the difference exceeds {TOLERANCE:.0e}")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; ends with a one-line message if something is missing or wrong."""
    parser = argparse.ArgumentParser(
        prog=_COMMAND, description="Make the embedded activations from the model's weights."
    )
    with as_file(files("sw_reference") / "data" / "activations.npz") as embedded:
        parser.add_argument(
            "--output", type=Path, default=embedded, help="file to write (default: %(default)s)"
        )
    parser.add_argument(
        "--check", action="store_true", help="write nothing: compare that file with a fresh capture"
    )
    options = parser.parse_args(arguments)
    try:
        arrays = capture(find_model())
        if options.check:
            _check(options.output, arrays)
            return
        write_npz(options.output, arrays)
        sites = load_activations(options.output).sites
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")
    products = sum(len(site.x) * len(site.weight) for site in sites)
    size = options.output.stat().st_size
    print(f"{options.output}: {len(sites)} sites, {products} products, {size} bytes")


if __name__ == "__main__":
    main()
