"""The published inputs and results of layers."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from sqhw import cli
from sqhw.generate.checkpoints import BLOCKS, KEY
from sw_reference.llm import LAYERS
from sw_reference.notation import parse_format
from sw_reference.pack import pack_sq
from sw_reference.quantize import quantize_sq

FILE = Path(__file__).parents[2] / "docs" / "results" / "checkpoints.safetensors"
SIZES = {"attn_q": 576, "attn_k": 192, "attn_v": 192, "attn_output": 576}
SIZES |= {"ffn_gate": 1536, "ffn_up": 1536, "ffn_down": 576}


def test_the_codes_are_those_of_the_inputs():
    compared = 0
    with safe_open(FILE, "numpy") as file:
        about = json.loads(file.metadata()[KEY])
        for block in BLOCKS:
            for site in dict.fromkeys(LAYERS.values()):
                x, packed, scale = (
                    file.get_tensor(f"blk.{block}.{site}.{end}") for end in ("x", "packed", "row_scale")
                )
                sq = quantize_sq(x, parse_format(about["activations"]), scale="two_candidates")
                np.testing.assert_array_equal(pack_sq(sq), packed)
                np.testing.assert_array_equal(sq.row_scale, scale)
                compared += packed.size
        for name, size in SIZES.items():
            assert file.get_tensor(f"blk.0.{name}.y").shape == (len(about["tokens"]), size)
    assert len(about["sha256"]) == len(BLOCKS) * len(LAYERS)
    assert compared == 3 * 5 * (3 * 576 + 1536) * 19 // 32  # 4.75 bits per element
    assert FILE.stat().st_size < 4e6


@pytest.mark.llm
def test_the_file_is_the_models(capsys):
    assert cli.main(["data", "checkpoints", "--check", "--output", str(FILE)]) == 0
    assert capsys.readouterr().out == f"{FILE}: 57 tensors compared, 0 differ\n"
