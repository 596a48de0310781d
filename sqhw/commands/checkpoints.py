"""``sqhw data checkpoints``: what hardware of one's own is compared with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from sw_reference.files import replacing
from sw_reference.llm import GGUFFile, Tokenizer, find_model

from ..console import Command, Outcome, progress, reading, say
from ..generate import checkpoints as made
from ..generate.layers import coded_layers, load
from ..presets import preset

__all__ = ["checkpoints"]

_PRESET = "lean"


@click.command(cls=Command)
@click.option("--check", "only_check", is_flag=True, help="Write nothing: compare the file.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="docs/results/checkpoints.safetensors",
    help="File to write.",
)
def checkpoints(only_check: bool, output: Path) -> Outcome:
    """Record what enters and leaves the linear layers of three blocks of SmolLM2-135M-Instruct.

    The bytes are the same on every machine.
    """
    with reading(), progress() as begin:
        file, pe = GGUFFile(find_model()), preset(_PRESET)
        tokens = Tokenizer.from_metadata(file.metadata).encode(made.PROMPT)
        model, matrices = load(file)
        layers = coded_layers(matrices, pe, begin("Importing weights", len(matrices)))
        model_file = {"file": file.path.name, "sha256": hashlib.sha256(file.path.read_bytes()).hexdigest()}
        tensors, metadata = made.record(model, layers, pe.sq, tokens, {"model": model_file})
    content = save(tensors, metadata)
    document = {
        "file": str(output),
        "tensors": len(tensors),
        "results": sum(tensor.size for name, tensor in tensors.items() if name.endswith(".y")),
        "bytes": len(content),
    }
    if only_check:
        different = _different(output, tensors, metadata)
        text = f"{output}: {len(tensors)} tensors compared, {len(different)} differ"
        for name in different:
            text += f"\n{name}"
        return Outcome(document | {"different": different}, lambda: say(text), not different)
    with replacing(output) as path:
        path.write_bytes(content)
    text = "{file}: {tensors} tensors, {results} results, {bytes} bytes".format(**document)
    return Outcome(document, lambda: say(text))


def _different(path: Path, tensors: made.Tensors, metadata: dict[str, str]) -> list[str]:
    """Returns the names of tensors that a file lacks, or has alone, or has with other bytes."""
    with safe_open(path, "numpy") as found:
        names = set(found.keys())
        different = [
            name
            for name, wanted in tensors.items()
            if name not in names
            or found.get_tensor(name).dtype != wanted.dtype
            or not np.array_equal(found.get_tensor(name).view(np.uint8), wanted.view(np.uint8))
        ]
        different += sorted(names - set(tensors))
        return different + ([] if found.metadata() == metadata else ["metadata"])
