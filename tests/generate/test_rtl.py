"""A tiny model through the emitted Verilog of a small engine."""

from sqhw.driver.engine import Engine
from sqhw.generate.answer import Setting, prepare, report
from sw_reference.checkpoints.gguf import GGUFFile
from tests.engine.test_engine_lean import CONFIGS
from tests.generate.models import CONFIG, tiny_gguf

SMALL = CONFIGS["lean"]
PROMPT = (3, 1, 4, 1, 5)
TOKENS = 3
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)


def answered(setting, engine):
    session = prepare(setting, engine, TOKENS, lambda stage, total=None: lambda *_: None)
    while not session.complete:
        session.advance()
    return session


def test_the_verilog_gives_the_golden_models_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = GGUFFile(tiny_gguf(tmp_path / "model.gguf"))
    golden = answered(Setting(file, PROMPT, SMALL.pe), None)
    with Engine(SMALL, "rtl") as engine:
        session = answered(Setting(file, PROMPT, SMALL.pe, SMALL), engine)
    assert session.answer == golden.answer
    found = report(session, SMALL)
    assert (found["compared"], found["mismatches"]) == (OUTPUTS * (len(PROMPT) + TOKENS - 1), 0)
    assert found["products"] == report(golden, None)["products"]
    assert 0 < found["utilization_prefill"] < 1
    assert 0 < found["stream_share_decode"] < 1
    assert found["cycles_decode_per_token"] > found["cycles_prefill_per_token"] > 0
