"""The commands quantize and inspect in trouble: signals, hostile names, terminals, full disks."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw.packed.packed_file import PackedFile
from sqhw.packed.tensor_file import TensorFileWriter

from .models import run

ROOT = Path(__file__).parents[2]


def _listen():
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def started(tmp_path, *before):
    """A command in the middle of its work, and the model that it reads."""
    model = tmp_path / "m.safetensors"
    w = np.random.default_rng(0).standard_normal((4000, 4096)).astype(np.float32)
    save_file({"h.0.a.weight": w}, model)
    command = [*before, sys.executable, "-m", "sqhw", "quantize", str(model), "-o", str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Whoever runs the tests may have told them to ignore some signals.
    process = subprocess.Popen(command, cwd=ROOT, **pipes, preexec_fn=_listen)
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


HOSTILE = ["h.0.[/red]x.weight", "h.1.[b]\x1b[2Jy.weight", "h.2.a\nb\tc\x9b.weight", "h.3.\u202eab.weight"]

SHOWN = [name.encode("unicode_escape").decode() for name in HOSTILE]


def test_names_are_shown_as_they_are_and_harmless(tmp_path, capsys):
    """As packed tensors, as others, in reasons, in errors."""
    w = np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)
    model, output = tmp_path / "m", tmp_path / "out"
    norms = {f"{name}.norm": w[0] for name in HOSTILE[:3]}
    save_file(dict.fromkeys(HOSTILE, w) | norms, model)
    texts = [run(capsys, "quantize", model, "-o", output, "--tensors", "weight$")]
    texts += [run(capsys, "inspect", path) for path in (output, model)]
    for status, text, err in texts:
        assert (status, err) == (0, "")
        assert all(c.isprintable() or c == "\n" for c in text)
        assert all(name in text for name in SHOWN)
    assert all(f"{name}.norm" in texts[0][1] for name in SHOWN[:3])
    text = run(capsys, "inspect", model, "--json")[1]
    assert all(c.isprintable() or c == "\n" for c in text)
    assert set(HOSTILE) < set(json.loads(text)["others"])
    for name, shown in zip(HOSTILE, SHOWN, strict=True):
        save_file({name: w * np.nan}, model)
        message = "Row 0, column 0: an element must be a finite float32, not nan"
        arguments = ("quantize", model, "-o", output, "--tensors", "weight$")
        assert run(capsys, *arguments) == (1, "", f"Error: {shown}: {message}\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_terminals_of_any_encoding(tmp_path, encoding):
    """Text that standard output lacks is escaped; the work is not lost."""
    name = "层.0.é.weight"
    save_file({name: np.ones((2, 8), np.float32), "é": np.ones(3, np.float32)}, tmp_path / "m")
    commands = (
        ["quantize", "m", "-o", "out"],
        ["inspect", "out"],
        ["inspect", "m"],
        ["inspect", "m", "--json"],
    )
    for command in commands:
        result = subprocess.run(
            [sys.executable, "-m", "sqhw", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            capture_output=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, b"")
        if "--json" in command:
            assert sorted(json.loads(result.stdout.decode(encoding))["others"]) == ["é", name]
        else:
            assert name.encode(encoding, "backslashreplace") in result.stdout
    assert list(PackedFile(tmp_path / "out").packed) == [name]


def test_a_full_disk_is_named(model, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorFileWriter, "finish", full)
    output = model.parent / "out"
    message = f"Error: [Errno 28] No space left on device: '{output}'\n"
    assert run(capsys, "quantize", model, "-o", output) == (1, "", message)
    assert list(model.parent.iterdir()) == [model]
