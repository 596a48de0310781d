"""A tiny model through the emitted Verilog of a small engine."""

import pytest

from sqhw.driver.engine import Engine
from sqhw.generate.answer import Setting, prepare, report
from sw_reference.checkpoints.gguf import GGUFFile
from tests.engine.test_engine_lean import CONFIGS
from tests.generate.models import CONFIG, Q4_0, Q4_1, tiny_gguf

PROMPT = (3, 1, 4, 1, 5)
TOKENS = 3
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)


def answered(setting, engine):
    session = prepare(setting, engine, TOKENS, lambda stage, total=None: lambda *_: None)
    while not session.complete:
        session.advance()
    return session


@pytest.mark.parametrize(
    ("name", "kind"), [("lean", Q4_0), pytest.param("offsets", Q4_1, marks=pytest.mark.slow)]
)
def test_the_verilog_gives_the_golden_models_answer(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    config, file = CONFIGS[name], GGUFFile(tiny_gguf(tmp_path / "model.gguf", kind))
    golden = answered(Setting(file, PROMPT, config.pe), None)
    with Engine(config, "rtl") as engine:
        session = answered(Setting(file, PROMPT, config.pe, config), engine)
    assert session.answer == golden.answer
    found = report(session, config)
    assert (found["compared"], found["mismatches"]) == (OUTPUTS * (len(PROMPT) + TOKENS - 1), 0)
    assert found["products"] == report(golden, None)["products"]
    assert 0 < found["utilization_prefill"] < 1
    assert 0 < found["stream_share_decode"] < 1
    assert found["cycles_decode_per_token"] > found["cycles_prefill_per_token"] > 0
