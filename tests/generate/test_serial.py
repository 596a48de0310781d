"""``sqhw generate`` on a board, which is simulated: the same program as with a real one."""

import json
from pathlib import Path

import pytest

from sqhw import cli
from sqhw.boards.simulated import simulated_port
from sqhw.boards.targets import BOARDS
from sqhw.commands import generate as command
from sqhw.driver.packets import results_bytes
from sqhw.engine.registers import Format
from sw_reference.pack import dense_bytes_per_row, sq_bytes_per_row
from tests.generate.models import CONFIG, tiny_gguf

TOKENS = 2
PAGE = (Path(__file__).parents[2] / "docs" / "generate.md").read_text()
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    path = tiny_gguf(tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "find_model", lambda: path)


@pytest.mark.slow
def test_the_board_gives_the_golden_models_answer(tiny, capsys):
    asked = ["generate", "Why?", "--tokens", str(TOKENS), "--json"]
    assert cli.main(asked) == 0
    golden = json.loads(capsys.readouterr().out)
    with simulated_port(BOARDS["ulx3s-imported"]) as (port, _):
        assert cli.main([*asked, "--backend", "serial", "--port", port]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["text"], found["products"]) == (golden["text"], golden["products"])
    compared = OUTPUTS * (golden["prompt_tokens"] + TOKENS - 1)
    assert (found["compared"], found["mismatches"]) == (compared, 0)
    assert found["cycles_decode_per_token"] > 0
    assert found["at_line"]["seconds_per_token"] == found["bytes_per_token"] / 1e5


def test_what_a_line_carries_for_a_token_of_the_real_model():
    """docs/generate.md: 61.6 MB, ten minutes at 1,000,000 baud."""
    config, layers = BOARDS["ulx3s-imported"].config, ((576, 960), (576, 576), (576, 3072), (1536, 576))
    moved = 0
    for k, n in layers:
        weights, x = dense_bytes_per_row(config.pe.dense, k), sq_bytes_per_row(config.pe.sq, k)
        assert weights % 4 == 0
        moved += n * (4 + weights) + 4 + -(-x // 4) * 4 + results_bytes(config, 1, n, Format.INT64)
    assert f"{30 * moved / 1e6:.1f} MB" in PAGE
    assert 600 < 30 * moved / 1e5 < 630


def test_a_port_that_is_not_there_is_named(tiny, capsys):
    assert cli.main(["generate", "Why?", "--backend", "serial", "--port", "/dev/none"]) == 1
    assert capsys.readouterr().err.startswith("Error: Port /dev/none ")


@pytest.mark.parametrize("options", [("--backend", "serial"), ("--port", "/dev/none")])
def test_a_port_goes_with_the_serial_backend(tiny, capsys, options):
    assert cli.main(["generate", "Why?", *options]) == 2
    backend = "serial" if "serial" in options else "golden"
    message = f"--port must be given with --backend serial alone, not with {backend}"
    assert capsys.readouterr().err == f"Error: {message}\n"
