"""``sqhw measure accuracy`` with a model or formats of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sw_reference.accuracy.own import IMPORT, own_schemes, stored
from sw_reference.accuracy.runner import Study, windows
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.text import Text
from sw_reference.codes import SCALE_CHOICES
from sw_reference.llm import find_model

from ..console import Outcome, Refused, command_line, reading, refusing, say
from ..packed.accuracy import SUFFIX, packed_weights
from ..packed.llama import model_hash, read_llama, read_tokenizer

__all__ = ["is_own", "own_options", "own_study", "schemes_of_own", "write_for_lm_eval"]

_OWN = ("model", "activations", "weights", "scale", "tokenizer", "lm_eval")
_STUDY = ("study", "quick", "verify", "add_to", "calibration_text")


def own_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what asks for a model or formats of one's own instead of a study."""
    options = [
        click.option(
            "--model",
            type=click.Path(exists=True, path_type=Path),
            help="Your model, of the Llama architecture: FILE.gguf, or a Hugging Face folder.",
        ),
        click.option(
            "--activations",
            metavar="FORMAT",
            multiple=True,
            help='Your formats of activations, such as "4/32 e3m2s index"; or float.',
        ),
        click.option(
            "--weights",
            metavar="FORMAT",
            help="import: the codes of the model's checkpoint; float; a format; or the FILE.safetensors that "
            "sqhw quantize made of it.  [default: import]",
        ),
        click.option(
            "--scale",
            type=click.Choice(SCALE_CHOICES),
            help="How bank scales of --activations are chosen.  [default: least_squares]",
        ),
        click.option(
            "--tokenizer",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Of --model: a tokenizer.json.  [default: the model's own]",
        ),
        click.option(
            "--lm-eval",
            type=click.Path(file_okay=False, path_type=Path),
            help="Measure nothing: write the model for lm-evaluation-harness. It needs `make torch`.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def is_own(mode: Mapping[str, Any]) -> bool:
    """Whether a model or formats of one's own are asked for; Refused if a study is too."""
    own = [name for name in _OWN if mode[name]]
    study = [name for name in _STUDY if mode[name]]
    if own and study:
        raise Refused(f"{_flag(study[0])} must come without {_flag(own[0])}: it is of studies")
    return bool(own)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def schemes_of_own(mode: Mapping[str, Any]) -> tuple[Scheme, ...]:
    """The schemes that the options ask for; the model is read."""
    weights = mode["weights"] or IMPORT
    file = Path(weights) if weights.endswith(SUFFIX) else None
    with reading():
        path = _model(mode)
        model = read_llama(path) if file or weights == IMPORT else None
        packed = packed_weights(file, model.config) if file and model else None
    with refusing():
        ready = packed or (stored(model) if model else None)
        return own_schemes(mode["activations"], weights, ready, mode["scale"] or "least_squares")


def write_for_lm_eval(mode: Mapping[str, Any]) -> Outcome:
    """Writes the model with these formats as a folder of Transformers."""
    folder: Path = mode["lm_eval"]
    if len(mode["activations"]) != 1:
        raise Refused(f"--lm-eval must come with one --activations, not {len(mode['activations'])}")
    if str(mode["weights"]).endswith(SUFFIX):
        raise Refused(f"--lm-eval must come with import, float or a format, not {mode['weights']}")
    with reading():
        write = import_module("sqhw.torch.folder").write_folder
        write(_model(mode), folder, mode["activations"][0], mode["weights"] or IMPORT, mode["scale"])

    def show() -> None:
        say(f"{folder}: import sqhw.torch before a program loads it")

    return Outcome({"command": command_line(), "folder": str(folder)}, show)


def own_study(mode: Mapping[str, Any], text: Text, count: int, length: int, cache: Path) -> Study:
    """What the schemes are measured on. No statistics are needed, so there are no calibration windows."""
    model = _model(mode)
    tokenizer = read_tokenizer(model, mode["tokenizer"])
    return Study(
        model,
        windows(tokenizer, text.text, count, length, "evaluation"),
        (),
        cache,
        identity=model_hash(model),
        load=read_llama,
    )


def _model(mode: Mapping[str, Any]) -> Path:
    path: Path = mode["model"] or find_model()
    return path
