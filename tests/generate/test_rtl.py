"""A tiny model through the emitted Verilog of a small engine: one prompt, several, the output head too."""

from dataclasses import replace

import pytest

from sqhw.driver.engine import Engine
from sqhw.generate.answer import Setting, prepare, report
from sw_reference.checkpoints.gguf import GGUFFile
from tests.engine.test_engine_lean import CONFIGS
from tests.generate.models import CONFIG, Q4_0, Q4_1, Q8_0, tiny_gguf

PROMPTS = ((3, 1, 4, 1, 5), (9, 2, 6))
TOKENS = 3
OFFSETS = CONFIGS["offsets"].pe.dense
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)


def answered(setting, engine):
    session = prepare(setting, engine, TOKENS, lambda stage, total=None: lambda *_: None)
    while not session.complete:
        session.advance()
    return session


@pytest.mark.parametrize(
    ("name", "kind", "encode"),
    [
        ("lean", Q4_0, False),
        pytest.param("offsets", Q4_1, True, marks=pytest.mark.slow),
        pytest.param("fine", Q4_1, False, marks=pytest.mark.slow),
        pytest.param("both", Q4_0, False, marks=pytest.mark.slow),
    ],
)
def test_the_verilog_gives_the_golden_models_answer(tmp_path, monkeypatch, name, kind, encode):
    """Of two prompts, one by one and at once; with offsets also through the output head, and the encoder."""
    monkeypatch.chdir(tmp_path)
    config, head = replace(CONFIGS[name], n_max=256), kind == Q4_1
    if head:
        config = replace(config, array=replace(config.array, pe=replace(config.pe, dense=OFFSETS)))
    if encode:
        config = replace(config, encoder=4)
    file = GGUFFile(tiny_gguf(tmp_path / "model.gguf", kind, Q8_0))
    whole = Setting(file, PROMPTS, config.pe, head=head, encode=encode)
    golden = answered(whole, None)
    outputs = OUTPUTS * (sum(map(len, PROMPTS)) + 2 * (TOKENS - 1))
    outputs += 2 * 2 * TOKENS * CONFIG.vocabulary if head else 0
    with Engine(config, "rtl") as engine:
        session = answered(replace(whole, engine=config), engine)
        alone = [answered(replace(whole, prompts=(prompt,), engine=config), engine) for prompt in PROMPTS]
    assert session.answers == golden.answers == [answer for each in alone for answer in each.answers]
    found, *apart = (report(each, config) for each in (session, *alone))
    assert (found["compared"], found["mismatches"]) == (outputs, 0)
    assert sum(each["compared"] for each in apart) == outputs
    assert found["products"] == report(golden, None)["products"]
    assert 0 < found["utilization_prefill"] < 1
    assert 0 < found["stream_share_decode"] < 1
    assert found["cycles_decode_per_token"] > found["cycles_prefill_per_token"] > 0
    # A stream of weights serves both texts.
    assert all(found["cycles_decode_per_token"] < 0.6 * each["cycles_decode_per_token"] for each in apart)
