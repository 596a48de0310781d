"""The commands quantize and inspect: what they print, refuse, and leave behind."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sqhw import preset
from sqhw.packed.packed_file import PackedFile
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq

from .models import NAMES, arrays, run, weights

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("--weights 2/12", 2, "Bank must be a power of two from 4 to 128, not 12"),
        ("--weights xyz", 2, "Format 'xyz' has the unknown word 'xyz': {such}"),
        ("--group 64", 2, "--group must come with --weights import, not sq"),
        ("--weights int4_sentinel", 2, "Dense mask must be 'bitmap' or 'index', not 'sentinel'"),
        ("--weights import --group 0", 2, "Group must be an integer from 4 to 65536, not 0"),
        ("--weights import --scale absmax", 2, "--scale must come with --weights FORMAT, not import"),
        (
            "--weights 2/16_index",
            2,
            "Scale must be a narrow one, such as 'e3m2s', with the mask 'index', not 'e5m3'",
        ),
        ("--weights int8_1/16", 2, "Dense bits must be 4 with outliers, not 8"),
        ("--weights int4_g32_offset", 2, "Offsets must come from codes of a checkpoint: --weights import"),
        (
            "--weights int4 --threshold 3",
            2,
            "Threshold and importance must come with a format that has outliers",
        ),
        ("--threshold -1", 2, "Limit must be zero or positive, not -1.0"),
        ("--threshold 3 --importance {model}", 2, "Threshold must come without importance"),
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
    arguments = [argument.replace("_", " ") for argument in options.split()]
    arguments = [str(model) if argument == "{model}" else argument for argument in arguments]
    message = message.format(
        reasons="vectors or scalars: 3 (steps, h.0.norm.weight, flag); not matched by --tensors 'xyz': "
        "4 (h.1.q.weight, embed.weight, h.0.q.weight, ...); without elements: 1 (empty)",
        such="it must be such as '4/32 e3m2s index' or 'int4 g32 linear8'",
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
    status, table, err = run(capsys, "quantize", model, "-o", output, "--weights", "2/32 e5m3")
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
    assert "SQ operand 2/32 e5m3" in lines[0]
    assert "embed.weight" in shown
    assert shown.endswith("3 packed tensors checked: every code is legal.\n")
    status, text, _ = run(capsys, "inspect", output, "--json")
    document = json.loads(text)
    assert status == 0
    assert document["command"] == f"sqhw quantize {model} -o {output} --weights '2/32 e5m3'"
    assert document["packed"]["h.0.q.weight"]["format"] == {
        "bank": 32,
        "outliers": 2,
        "high": "int8",
        "mask": "bitmap",
    }
    assert document["others"]["steps"] == {"dtype": "I64", "shape": [3]}
    assert run(capsys, "inspect", model)[1].count("\n") > len(weights())


def test_sq_is_what_the_preset_both_takes(model, capsys):
    output = model.parent / "out.safetensors"
    for options in ((), ("--weights", "sq")):
        assert run(capsys, "quantize", model, "-o", output, *options)[0] == 0
        packed = PackedFile(output).packed
        assert len(packed) == 3
        assert {t.format for t in packed.values()} == {preset("both").dense}


@pytest.mark.llm
def test_the_page(tmp_path, capsys, monkeypatch):
    """The Python of docs/files.md runs as it stands and prints what the page says."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "files.md").read_text()
    importance, use = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(importance, {})
    model = gguf_file.find_model()
    options = ("--tensors", "blk.11.ffn_down")
    status, table, _ = run(capsys, "quantize", model, "-o", "smollm2.safetensors", *options)
    assert status == 0
    assert re.search(r"blk.11.ffn_down.weight +576 x 1536 +Q4_1 +4\.", table)
    exec(use, {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in page
    options = ("--weights", "2/32 e5m3", "--importance", "importance.safetensors")
    status, table, _ = run(capsys, "quantize", model, "-o", "weighted.safetensors", *options)
    assert status == 0
    assert re.search(r"mean over elements .* 5\.140e-03", table)


@pytest.mark.llm
def test_the_real_model(tmp_path, capsys):
    path = gguf_file.find_model()
    output = tmp_path / "out.safetensors"
    assert run(capsys, "quantize", path, "-o", output, "--weights", "2/16 e5m3")[0] == 0
    file, source = PackedFile(output), gguf_file.GGUFFile(path)
    assert len(file.packed) == 210
    for name in list(file.packed)[::30]:
        assert arrays(file.tensor(name)) == arrays(quantize_sq(source.tensor(name), SQFormat(16, 2, "int8")))
    assert min(t.relative_error for t in file.packed.values()) > 0.002
    assert max(t.relative_error for t in file.packed.values()) < 0.004
    assert (
        file.file.part("token_embd.weight", slice(0, 9)).tolist()
        == source.tensor("token_embd.weight")[:9].tolist()
    )
    assert run(capsys, "inspect", output)[0] == 0


@pytest.mark.parametrize("name", ["x.gguf", "x.bin", "x.safetensors.gz", "x.GGUF"])
def test_names_that_promise_another_format_are_refused(model, capsys, name):
    suffix = Path(name).suffix
    message = f"Output must end in .safetensors, the format that is written, not in {suffix}"
    assert run(capsys, "quantize", model, "-o", model.parent / name) == (2, "", f"Error: {message}\n")
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("name", ["x", "x.safetensors"])
def test_names_that_promise_nothing_else_are_taken(model, capsys, name):
    assert run(capsys, "quantize", model, "-o", model.parent / name)[0] == 0
    assert len(PackedFile(model.parent / name).packed) == 3


def test_nothing_that_is_read_is_overwritten(tmp_path, capsys):
    w = np.ones((2, 8), np.float32)
    parts = [tmp_path / f"m-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, part in enumerate(parts):
        save_file({f"h.{i}.a.weight": w}, part)
    importance = tmp_path / "importance.safetensors"
    save_file({f"h.{i}.a.weight": w[0] for i in range(2)}, importance)
    link = tmp_path / "link.safetensors"
    link.symlink_to(parts[1])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for output in (*parts, importance, link):
        message = f"Error: Output must be another file than what is read, not {output}\n"
        arguments = ("quantize", parts[0], "--importance", importance, "-o", output)
        assert run(capsys, *arguments) == (2, "", message)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("text", "fmt"),
    [
        ("4/32 bank 64 e4m2s index", SQFormat(64, 4, "int8", "index", "e4m2s", 32)),
        ("2/16", SQFormat(16, 2, "int8")),
        ("int4 g64", DenseFormat(4, 64, scale="linear8")),
        ("int8", DenseFormat(8)),
        ("int4 g32 e3m3", DenseFormat(4, 32)),
        ("int4 g64 2/32 index", DenseFormat(4, 64, 2, 32, scale="linear8", mask="index")),
    ],
)
def test_every_format_can_be_asked_for(model, capsys, text, fmt):
    output = model.parent / "out.safetensors"
    status, shown, _ = run(capsys, "quantize", model, "-o", output, "--weights", text)
    assert status == 0
    file = PackedFile(output)
    quantize = quantize_sq if isinstance(fmt, SQFormat) else quantize_dense
    for name in NAMES:
        assert arrays(file.tensor(name)) == arrays(quantize(weights()[name], fmt))
    assert shown.splitlines()[0].strip() in run(capsys, "inspect", output)[1]


def test_only_packed(model, capsys):
    output = model.parent / "out.safetensors"
    status, text, _ = run(capsys, "quantize", model, "-o", output, "--only-packed")
    assert status == 0
    assert "\nNot packed and left out:\n  vectors or scalars: 3 (" in text
    assert PackedFile(output).others == {}


def test_json_is_the_report(model, capsys):
    output = model.parent / "out.safetensors"
    status, text, err = run(capsys, "quantize", model, "-o", output, "--json")
    assert (status, err) == (0, "")
    document = json.loads(text)
    assert (document["output"], document["bytes"]) == (str(output), output.stat().st_size)
    assert sorted(document["packed"]) == NAMES
    assert document["not_packed"]["without elements"] == ["empty"]
    shown = json.loads(run(capsys, "inspect", output, "--json")[1])
    assert shown["packed"] == document["packed"]
