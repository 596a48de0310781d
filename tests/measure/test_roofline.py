"""The roofline by hand."""

import json

import pytest

from sqhw.cli import main
from sqhw.config import ArrayConfig
from sqhw.measure.roofline import MODELS, Layer, layer_seconds, roofline
from sqhw.presets import preset

TINY = ArrayConfig(preset("tiny"), 2, 2)  # 6.5 and 4 bits, 4 lanes, banks of 8


def test_a_layer_by_hand():
    # 3 tokens: 2 row tiles; 5 outputs: 3 column tiles; 12 elements: 2 banks, 4 beats: 24 cycles.
    # Bytes: 5 * 12 * 4 / 8 of weights, 3 * 12 * 6.5 / 8 of activations, 3 * 5 * 4 of results: 119.25.
    array, memory = layer_seconds(Layer(5, 12, 7), 3, TINY, mhz=2, gb_per_second=0.5)
    assert array == pytest.approx(24 / 2e6)
    assert memory == pytest.approx(119.25 / 0.5e9)


def test_parameters_of_the_models():
    counts = {
        name: sum(layer.n * layer.k * layer.count for layer in layers) for name, layers in MODELS.items()
    }
    assert counts == {
        "smollm2-135m": 134_479_872,
        "llama-3.2-1b": 1_235_746_816,
        "llama-3-8b": 7_504_658_432,
    }


def test_one_token_is_bound_by_the_memory():
    report = roofline(
        ArrayConfig(preset("default"), 8, 8), mhz=100, gb_per_second=1, models=["smollm2-135m"], command=""
    )
    one, *_, many = report["rows"]
    assert one["memory_busy"] == 1
    assert many["array_busy"] > 0.95
    assert many["tokens_per_second"] > one["tokens_per_second"]


def test_command(capsys):
    assert main(["measure", "roofline", "--preset", "tiny", "--model", "smollm2-135m", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["tokens"] for row in report["rows"]] == [1, 16, 256]
    assert main(["measure", "roofline", "--clock", "0"]) == 2
    assert "--clock" in capsys.readouterr().err
