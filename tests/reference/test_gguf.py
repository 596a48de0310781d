"""GGUF files: right numbers, or one line that says what is wrong; no work beyond the file's size."""

import re
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from sw_reference.checkpoints import gguf as gguf_module
from sw_reference.checkpoints.gguf import GGUFFile

from .gguf_maker import ARRAY, BF16, F16, F64, GGUF, I32, IQ4_NL, Q1_0, Q8_0, STRING, U8, U16, U32, q8_0

W = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
NAME = "blk.0.a.weight"


def opened(tmp_path, data):
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    return GGUFFile(path)


def refusal(tmp_path, data):
    with pytest.raises(ValueError) as caught:
        opened(tmp_path, data)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "a.gguf"))
    assert "\n" not in text
    return text.removeprefix(f"{tmp_path / 'a.gguf'} is ").removeprefix(
        "not a GGUF file, or not a whole one: "
    )


@pytest.mark.parametrize("version", [2, 3])
def test_numbers_and_metadata(tmp_path, version):
    bf16 = W.astype(ml_dtypes.bfloat16)
    made = GGUF(version=version).pair("name", STRING, "ä").pair("count", U32, 7)
    made.array("sizes", U16, 3, np.array([1, 2, 65535], np.uint16).tobytes())
    made.array("words", STRING, 2, made.text("a") + made.text(""))
    made.array("nested", ARRAY, 2, made.number("IQ", U8, 1) + b"\7" + made.number("IQ", U8, 0))
    made.floats(NAME, W).tensor("f16", W.shape, F16, W.astype(np.float16).tobytes())
    made.tensor("bf16", W.shape, BF16, bf16.tobytes()).tensor("f64", (3,), F64, np.arange(3.0).tobytes())
    made.tensor("i32", (2,), I32, np.array([1, -2], np.int32).tobytes()).floats("scalar", 2.5)
    made.floats("three", [W, -W]).floats("none", np.zeros((0, 64)))
    file = opened(tmp_path, made.bytes())
    nested = [list(v) for v in file.metadata.pop("nested")]
    sizes = file.metadata.pop("sizes").tolist()
    assert (file.metadata, sizes, nested) == (
        {"name": "ä", "count": 7, "words": ["a", ""]},
        [1, 2, 65535],
        [[7], []],
    )
    expected = {
        NAME: W,
        "f16": W.astype(np.float16).astype(np.float32),
        "bf16": bf16.astype(np.float32),
        "f64": np.arange(3.0),
        "scalar": np.array(2.5, np.float32),
        "three": np.stack([W, -W]),
        "none": np.zeros((0, 64), np.float32),
    }
    assert set(file.names) == {*expected, "i32"}
    compared = 0
    for name, want in expected.items():
        assert file.readable(name)
        got = file.tensor(name)
        assert (got.dtype, got.shape, got.tolist()) == (want.dtype, want.shape, want.tolist())
        compared += got.size
    assert compared == 3 * W.size + 3 + 1 + 2 * W.size
    assert file.part(NAME, slice(1, 3)).tolist() == W[1:3].tolist()
    assert file.stored("i32").view(np.int32).tolist() == [1, -2]
    assert not file.readable("i32")


@pytest.mark.parametrize("kind", sorted(gguf_module._TYPES))
def test_the_other_byte_order_is_named_for_every_type(tmp_path, kind):
    _, elements, size = gguf_module._TYPES[kind]
    data = GGUF(">").tensor(NAME, (2, elements), kind, bytes(2 * size)).bytes()
    want = (
        "a big-endian GGUF file, which is not read: convert it with gguf-convert-endian of the package gguf"
    )
    assert refusal(tmp_path, data) == want


@pytest.mark.parametrize("version", [0, 1, 4, 1000, 0x0200, 0x04000000])
def test_versions(tmp_path, version):
    data = GGUF(version=version).floats(NAME, W).bytes()
    assert refusal(tmp_path, data) == f"Version must be 2 or 3, not {version}"


CLAIMS = {
    "array at the end": GGUF().array("x", U8, 1 << 31).bytes(),
    "array of arrays": GGUF().array("x", ARRAY, 1 << 40).floats(NAME, W).bytes(),
    "array of strings": GGUF().array("x", STRING, 1 << 31).floats(NAME, W).bytes(),
    "array of numbers": GGUF().array("x", U32, 1 << 62).floats(NAME, W).bytes(),
    "string": GGUF().pair("x", STRING, "1234567").bytes().replace(b"\7" + bytes(7), b"\xff" * 8),
    "metadata": GGUF().floats(NAME, W).bytes(pairs=1 << 40),
    "tensors": GGUF().floats(NAME, W).bytes(tensors=(1 << 64) - 1),
    "dimensions": GGUF().floats(NAME, W).bytes().replace(b"t\2\0\0\0", b"t\xff\xff\xff\x7f"),
    "elements": GGUF().tensor(NAME, (1 << 33, 1 << 33), 0, W.tobytes()).bytes(),
    "rows": GGUF().tensor(NAME, ((1 << 64) - 1, 64), 0, W.tobytes()).bytes(),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_file_claims_costs_nothing(tmp_path, claim):
    """Lengths from the file neither allocate nor loop beyond its size."""
    tracemalloc.start()
    try:
        text = refusal(tmp_path, CLAIMS[claim])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert re.search(
        r"cannot follow byte [\d,]+: [\d,]+ bytes are left$|ends at byte [\d,]+, the file at", text
    )


def test_arrays_lie_only_so_deep(tmp_path):
    deep = GGUF().number("IQ", ARRAY, 1) * 100_000
    assert refusal(tmp_path, GGUF().array("x", ARRAY, 1, deep).bytes()) == "Arrays must lie at most 8 deep"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (GGUF().pair("a", U8, 1).pair("a", U8, 1), "Key a must come once"),
        (GGUF().floats("a", W).floats("a", W), "Tensor a must come once"),
        (GGUF().pair("a", 13, b""), "A metadata value must be of a type from 0 to 12, not 13"),
        (
            GGUF().tensor("a", (4, 33), Q8_0, bytes(136)),
            "Rows of a must be blocks of 32 elements (Q8_0), not 33 elements",
        ),
        (GGUF().pair("general.alignment", U32, 24), "general.alignment must be a power of two, not 24"),
        (GGUF().pair("general.alignment", U32, 0), "general.alignment must be a power of two, not 0"),
        (
            GGUF(alignment=8).floats("a", [1.0]).floats("b", [1.0]),
            "Tensor b must start at a multiple of 32 bytes, not 8",
        ),
    ],
)
def test_contradictions(tmp_path, made, message):
    assert refusal(tmp_path, made.bytes()) == message


def test_every_cut_is_refused(tmp_path):
    whole = GGUF().pair("a", STRING, "b").floats(NAME, W).bytes()
    for length in range(0, len(whole), 7):
        refusal(tmp_path, whole[:length])
    assert opened(tmp_path, whole).tensor(NAME).tolist() == W.tolist()


def stub():
    """What is used of the package gguf, for an IQ4_NL whose weights are all the block's scale."""

    def dequantize(data, kind):
        assert kind == IQ4_NL
        scales = data.reshape(-1, 18)[:, :2].copy().view(np.float16).astype(np.float32)
        return np.repeat(scales, 32, axis=1).reshape(len(data), -1)

    return SimpleNamespace(dequantize=dequantize, GGMLQuantizationType={"IQ4_NL": IQ4_NL})


@pytest.fixture
def fresh():
    """What gguf can do is asked anew."""
    gguf_module._dequantized.cache_clear()
    yield
    gguf_module._dequantized.cache_clear()


def test_blocks_are_read(tmp_path):
    data, values = q8_0(W)
    three, more = q8_0([W, 2 * W])
    made = GGUF().tensor(NAME, W.shape, Q8_0, data).tensor("b", (2, 4, 64), Q8_0, three)
    file = opened(tmp_path, made.tensor("none", (0, 64), Q8_0, b"").floats("f", W).bytes())
    assert file.tensor(NAME).tolist() == values.tolist()
    assert file.tensor("b").tolist() == more.tolist()
    assert file.tensor("none").shape == (0, 64)
    assert file.part(NAME, slice(1, 2)).tolist() == values[1:2].tolist()
    assert file.coded(NAME).part(slice(None)).values().astype(np.float32).tolist() == values.tolist()
    assert [file.coded(name) for name in ("b", "none", "f")] == [None] * 3


def test_blocks_without_a_scale_are_named(tmp_path):
    data = bytearray(q8_0(W)[0])
    data[2 * 68 : 2 * 68 + 2] = b"\xff\xff"
    file = opened(tmp_path, GGUF().tensor(NAME, W.shape, Q8_0, bytes(data)).bytes())
    message = f"{NAME} in {file.path}: Row 2, group 0: the scale must be finite, not nan"
    for read in (lambda: file.tensor(NAME), lambda: file.part(NAME, slice(1, 4))):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            read()
    assert file.part(NAME, slice(1, 2)).tolist() == q8_0(W)[1][1:2].tolist()


@pytest.mark.usefixtures("fresh")
def test_other_blocks_are_dequantized(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_module, "_library", stub)
    scales = np.arange(8, dtype=np.float16)
    data = b"".join(s.tobytes() + bytes(16) for s in scales)
    want = np.repeat(scales, 32).reshape(4, 64).astype(np.float32)
    file = opened(tmp_path, GGUF().tensor(NAME, W.shape, IQ4_NL, data).bytes())
    assert file.tensor(NAME).tolist() == want.tolist()
    assert file.part(NAME, slice(1, 2)).tolist() == want[1:2].tolist()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("kind", "elements", "size", "word"),
    [
        (Q1_0, 128, 18, "Q1_0"),
        (15, 256, 292, "Q8_K"),
        (42, 32, 99, "number 42"),
        (4, 32, 20, "number 4"),
        (I32, 1, 4, "I32"),
    ],
)
def test_types_without_numbers_are_named(tmp_path, monkeypatch, kind, elements, size, word):
    monkeypatch.setattr(gguf_module, "_library", stub)
    file = opened(tmp_path, GGUF().tensor("a", (2, elements), kind, bytes(2 * size)).floats(NAME, W).bytes())
    assert (file.kind("a"), file.readable("a")) == (word, False)
    message = f"a in {file.path} is of type {word}, which cannot be dequantized"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        file.tensor("a")
    assert file.tensor(NAME).tolist() == W.tolist()


@pytest.mark.llm
def test_types_are_those_of_the_package():
    import gguf

    sizes = {int(kind): (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert sizes == gguf_module._TYPES
    decoded = {
        name for name, elements, _ in sizes.values() if elements > 1 and gguf_module._dequantized(name)
    }
    assert {name for name, elements, _ in sizes.values() if elements > 1} - decoded == {
        "Q8_1",
        "Q8_K",
        "Q1_0",
    }


def test_the_library_is_the_pinned_one():
    lines = (Path(__file__).parents[2] / "requirements-llm.txt").read_text().splitlines()
    assert gguf_module._LIBRARY in lines
