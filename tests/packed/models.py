"""A small model of known weights, and what its packed tensors are compared with."""

import numpy as np

from sqhw import cli
from sqhw.packed.convert import convert
from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq

FORMATS = [
    SQFormat(),
    SQFormat(16, 4, "int8", "sentinel"),
    SQFormat(32, 2, "int8"),
    SQFormat(8, 0),
    DenseFormat(4, 64),
    DenseFormat(8),
    DenseFormat(4, 32, 2, 16),
]


NAMES = ["h.0.k.weight", "h.0.q.weight", "h.1.q.weight"]


def weights():
    rng = np.random.default_rng(0)
    return {
        "embed.weight": rng.standard_normal((7, 40)).astype(np.float32),
        "h.0.q.weight": rng.standard_t(3, (24, 40)).astype(np.float32),
        "h.0.k.weight": rng.standard_t(3, (5, 33)).astype(np.float16),
        "h.0.norm.weight": rng.standard_normal(40).astype(np.float16),
        "h.1.q.weight": rng.standard_t(3, (1, 70)),
        "steps": np.arange(3, dtype=np.int64),
        "flag": np.array(True),
        "empty": np.zeros((0, 4), np.float32),
    }


def to_packed(model, recipe, done=lambda name, count: None):
    output = model.parent / "out.safetensors"
    source = open_source(model)
    convert(source, select(source, LINEAR).names, output, recipe, made={"source": "x"}, done=done)
    return output


def arrays(t):
    """A tensor as lists, to be compared with ==."""
    fields = {name: getattr(t, name) for name in vars(t)}
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in fields.items()}


def quantized(w, recipe, policy=None):
    policy = {} if policy is None else {"policy": policy}
    quantize = quantize_sq if isinstance(recipe.format, SQFormat) else quantize_dense
    return quantize(w, recipe.format, scale=recipe.scale, **policy)


def run(capsys, *arguments):
    """Returns the exit code and what went to standard output and standard error."""
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
