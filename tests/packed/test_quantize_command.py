"""The commands quantize and inspect: what they print, refuse, and leave behind."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed.packed_file import PackedFile
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.format import SQFormat
from sw_reference.quantize import quantize_sq

from .models import arrays, run, weights

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("--bank 12", 2, "Bank must be a power of two from 4 to 128, not 12"),
        ("--high fp8", 2, "High must be 'fp16' or 'int8', not 'fp8'"),
        ("--group 64", 2, "--group must stand with --operand dense, not sq"),
        ("--operand dense --mask sentinel", 2, "--mask must stand with --operand sq, not dense"),
        ("--operand dense --outliers 1", 2, "Dense bank must be a power of two from 4 to 128, not None"),
        (
            "--operand dense --threshold 3",
            2,
            "Threshold and importance must stand with a format that has outliers",
        ),
        ("--threshold -1", 2, "Limit must be zero or positive, not -1.0"),
        ("--threshold 3 --importance {model}", 2, "Threshold must stand without importance"),
        ("--tensors xyz", 1, "Nothing can be packed: {reasons}"),
        (
            "--tensors (",
            1,
            "Tensors must be a regular expression, not (: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_refusals(model, capsys, options, status, message):
    output = model.parent / "out"
    arguments = options.format(model=model).split()
    message = message.format(
        reasons="vectors or scalars: 3 (steps, h.0.norm.weight, flag); not matched by --tensors 'xyz': "
        "4 (h.1.q.weight, embed.weight, h.0.q.weight, ...); without elements: 1 (empty)"
    )
    assert run(capsys, "quantize", model, "-o", output, *arguments) == (status, "", f"Error: {message}\n")
    assert list(model.parent.iterdir()) == [model]


def test_the_model_is_not_overwritten(model, capsys):
    before = model.read_bytes()
    message = f"Error: Output must be another file than what is read, not {model}\n"
    assert run(capsys, "quantize", model, "-o", model) == (2, "", message)
    assert model.read_bytes() == before


def test_quantize_and_inspect_tell_the_same(model, capsys):
    output = model.parent / "out.safetensors"
    status, table, err = run(capsys, "quantize", model, "-o", output, "--bank", 32, "--outliers", 2)
    assert (status, err) == (0, "")
    assert table.endswith(f"{output}: {output.stat().st_size:,} bytes\n")
    status, shown, err = run(capsys, "inspect", output)
    assert (status, err) == (0, "")
    lines = [line.strip() for line in table.splitlines()]
    end = lines.index("Not packed but passed on as they are:")
    assert all(line in shown for line in lines[:end])
    assert lines[end + 1 :] == [
        "vectors or scalars: 3 (steps, h.0.norm.weight, flag)",
        r"not matched by --tensors '\.\d+\..*weight$': 1 (embed.weight)",
        "without elements: 1 (empty)",
        f"{output}: {output.stat().st_size:,} bytes",
    ]
    assert sum(line.startswith("h.") for line in lines) == 3
    assert "SQ operand: bank 32, outliers 2, int8, bitmap" in lines[0]
    assert "embed.weight" in shown
    assert shown.endswith("3 packed tensors checked: every code is legal.\n")
    status, text, _ = run(capsys, "inspect", output, "--json")
    document = json.loads(text)
    assert status == 0
    assert document["command"] == f"sqhw quantize {model} -o {output} --bank 32 --outliers 2"
    assert document["packed"]["h.0.q.weight"]["format"] == {
        "bank": 32,
        "outliers": 2,
        "high": "int8",
        "mask": "bitmap",
    }
    assert document["others"]["steps"] == {"dtype": "I64", "shape": [3]}
    assert run(capsys, "inspect", model)[1].count("\n") > len(weights())


def started(tmp_path, *before):
    """A command in the middle of its work, and the model that it reads."""
    model = tmp_path / "m.safetensors"
    w = np.random.default_rng(0).standard_normal((4000, 4096)).astype(np.float32)
    save_file({"h.0.a.weight": w}, model)
    command = [*before, sys.executable, "-m", "sqhw", "quantize", str(model), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.iterdir())) == 1 and process.poll() is None:
        time.sleep(0.01)
    return process, model


@pytest.mark.parametrize("names", ["INT", "TERM", "HUP", "QUIT", "XCPU", "USR1", "HUP TERM QUIT"])
def test_signals_leave_nothing(tmp_path, names):
    """In the middle of the work: as a terminal that closes, a batch system, or both at once send them."""
    process, model = started(tmp_path)
    for name in names.split():
        process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted")
    assert list(tmp_path.iterdir()) == [model]


def test_signals_that_are_ignored_stay_ignored(tmp_path):
    process, model = started(tmp_path, "nohup")
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "mean over elements" in out
    assert sorted(tmp_path.iterdir()) == [model, tmp_path / "out"]


@pytest.mark.llm
def test_the_page(tmp_path, capsys, monkeypatch):
    """The Python of docs/files.md runs as it stands and prints what the page says."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "quantize.md").read_text()
    importance, use = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(importance, {})
    model = gguf_file.find_model()
    options = ("--operand", "dense", "--tensors", "blk.11.ffn_down")
    status, table, _ = run(capsys, "quantize", model, "-o", "dense.safetensors", *options)
    assert status == 0
    assert re.search(r"blk.11.ffn_down.weight +576 x 1536 +4\.", table)
    exec(use, {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in page
    options = ("--bank", 32, "--outliers", 2, "--importance", "importance.safetensors")
    status, table, _ = run(capsys, "quantize", model, "-o", "weighted.safetensors", *options)
    assert status == 0
    assert re.search(r"mean over elements .* 5\.140e-03", table)


@pytest.mark.llm
def test_the_real_model(tmp_path, capsys):
    path = gguf_file.find_model()
    output = tmp_path / "out.safetensors"
    assert run(capsys, "quantize", path, "-o", output)[0] == 0
    file, source = PackedFile(output), gguf_file.GGUFFile(path)
    assert len(file.packed) == 210
    for name in list(file.packed)[::30]:
        assert arrays(file.tensor(name)) == arrays(quantize_sq(source.tensor(name), SQFormat()))
    assert min(t.relative_error for t in file.packed.values()) > 0.002
    assert max(t.relative_error for t in file.packed.values()) < 0.004
    assert (
        file.file.part("token_embd.weight", slice(0, 9)).tolist()
        == source.tensor("token_embd.weight")[:9].tolist()
    )
    assert run(capsys, "inspect", output)[0] == 0
