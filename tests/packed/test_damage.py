"""Damaged files of every kind: a result or one line, nothing left behind, nothing raw on the terminal."""

import random
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.console import SEED
from sqhw.packed.convert import convert
from sqhw.packed.recipe import Import, Recipe
from sqhw.packed.selection import LINEAR, select
from sqhw.packed.sources import open_source
from sw_reference.format import SQFormat
from tests.reference.checkpoint_maker import awq_layer, compressed_tensors_layer, gptq_layer, layer
from tests.reference.gguf_maker import BF16, F16, GGUF, Q8_0, STRING, U32, q8_0

from .models import run, to_packed

TRIES = 150


def models(folder):
    """Small sound files: safetensors, packed safetensors, GGUF."""
    w = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    save_file({"h.0.a.weight": w, "norm": w[0]}, folder / "safetensors", {"format": "np"})
    to_packed(folder / "safetensors", Recipe(SQFormat())).rename(folder / "packed")
    parts = {"h.0.a": gptq_layer, "h.1.a": awq_layer, "h.2.a": compressed_tensors_layer}
    codes = layer(np.random.default_rng(0), 8, 64, 32)
    stored = {f"{name}.{part}": v for name, make in parts.items() for part, v in make(*codes).items()}
    save_file(stored, folder / "layers")
    source = open_source(folder / "layers")
    names = select(source, LINEAR, Import()).names
    convert(source, names, folder / "imported", Import(), made={}, done=lambda *_: None)
    blocks = GGUF().tensor("h.0.a.weight", (4, 64), Q8_0, q8_0(w)[0])
    (folder / "blocks").write_bytes(blocks.tensor("h.0.b.weight", (4, 64), 2, bytes(8 * 18)).bytes())
    made = GGUF().pair("general.architecture", STRING, "llama").pair("general.alignment", U32, 32)
    made.array("tokens", STRING, 2, made.text("a") + made.text("b")).floats("h.0.a.weight", w)
    made.tensor("h.0.b.weight", (4, 64), F16, w.astype(np.float16).tobytes())
    made.tensor("h.0.c.weight", (4, 64), BF16, w.view(np.uint16)[:, 1::2].tobytes())
    (folder / "gguf").write_bytes(made.bytes())


def damaged(rng, data):
    """A few bytes changed, mostly of the header, and now and then the end cut off."""
    data = bytearray(data)
    reach = len(data) if rng.random() < 0.4 else min(len(data), 700)
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(reach)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return data[: rng.randrange(len(data))] if rng.random() < 0.1 else data


@pytest.mark.parametrize("kind", ["safetensors", "packed", "gguf", "layers", "imported", "blocks"])
@pytest.mark.filterwarnings("default")  # numbers of damaged tensors may overflow
def test_damage_is_survived(tmp_path, capsys, kind):
    models(tmp_path)
    whole = (tmp_path / kind).read_bytes()
    folder = tmp_path / "tried"
    folder.mkdir()
    file, output = folder / "m", folder / "out"
    rng = random.Random(SEED)
    ended = {0: 0, 1: 0}
    for _ in range(TRIES):
        file.write_bytes(damaged(rng, whole))
        for command in (["inspect", file], ["quantize", file, "-o", output, "--tensors", "."]):
            begun = time.monotonic()
            status, out, err = run(capsys, *command)
            assert time.monotonic() - begun < 10
            ended[status] += 1
            assert (out != "", err.count("\n")) == ((True, 0) if status == 0 else (False, 1))
            assert all(c.isprintable() or c == "\n" for c in out + err)
        assert {path.name for path in folder.iterdir()} <= {"m", "out"}
        output.unlink(missing_ok=True)
    assert ended[0] + ended[1] == 2 * TRIES
    assert min(ended.values()) > 4
