"""The accuracy study: its schemes, its runner, its report."""

import json
import shlex
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sqhw import cli
from sqhw.commands import accuracy as command
from sqhw.config import PEConfig
from sw_reference.accuracy import runner, text
from sw_reference.accuracy.backward import BACKWARD
from sw_reference.accuracy.calibration import FIRST, PERCENTILES
from sw_reference.accuracy.formats import SQ, Dense, Imported
from sw_reference.accuracy.imported_study import exponents, imported, scattered, sums
from sw_reference.accuracy.report import rows
from sw_reference.accuracy.rotation import scattered as scattered_powers
from sw_reference.accuracy.runner import Result, Study
from sw_reference.accuracy.scheme import QuantizedLinear, Scheme, token_losses
from sw_reference.accuracy.study import default, extended, grid, quick
from sw_reference.accuracy.variants import Variant
from sw_reference.format import SQFormat
from sw_reference.llm import Model
from sw_reference.quantize import quantize_sq
from sw_reference.split import dequantize
from tests.reference.test_llm import TINY, tiny_weights


@pytest.fixture(scope="module")
def model():
    return Model(TINY, tiny_weights())


def test_new_parameters_are_described_where_they_are_set():
    """Schemes from before them keep their keys, so results that were measured stay valid."""
    old = Scheme("", SQ(16, 2), Dense(8)).configuration
    assert old["weight"] == {"format": "Dense", "width": 8, "group": None, "scale": "absmax"}
    assert old["activation"].keys() == {
        "format", "bank", "outliers", "selection", "high", "mask", "scale",
    }  # fmt: skip
    new = Scheme("", SQ(32, 2, high="int8", mask="index", bank_scale="e3m2s"), Dense(4, 32)).configuration
    assert new["activation"]["bank_scale"] == "e3m2s"


def test_schemes_are_different():
    for schemes in (default(), extended(), grid(), imported(), exponents(), sums(), scattered()):
        assert len({scheme.name for scheme in schemes}) == len(schemes)
        assert len({scheme.key for scheme in schemes}) == len(schemes)
    assert len(quick()) == 10
    assert set(default()) < set(extended()) < set(grid())
    json.dumps([scheme.configuration for scheme in (*grid(), *imported())])


def test_schemes_that_the_hardware_computes_are_hardware():
    """A configuration of a unit takes just those pairs of an SQ and a dense operand."""
    built = refused = 0
    for scheme in {scheme.key: scheme for scheme in (*grid(), *imported(), *exponents())}.values():
        operands = scheme.activation, scheme.weight
        if any(isinstance(operand, Variant) or not hasattr(operand, "format") for operand in operands):
            continue
        formats = [operand.format for operand in operands]
        sq, dense = formats if isinstance(formats[0], SQFormat) else formats[::-1]
        try:
            segment = getattr(sq, "segment_size", 1)
            lanes = max(segment, dense.bank or 0) if dense.mask == "index" else segment
            PEConfig(sq, dense, lanes, sq.outliers * (lanes // segment))
        except (TypeError, ValueError):
            refused += 1
            assert not scheme.hardware, scheme.name
        else:
            built += 1
            assert scheme.hardware, scheme.name
    assert (built, refused) == (194, 15)


@pytest.fixture(scope="module")
def study(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    path = folder / "model"
    path.touch()
    tokens = np.random.default_rng(6).integers(0, 40, (4, 32))
    study = Study(
        path, tuple(map(tuple, tokens[:2].tolist())), tuple(map(tuple, tokens[2:].tolist())), folder / "cache"
    )
    ticks = []
    study.calibrated().make(model, study.calibration, lambda: ticks.append(1))
    assert len(ticks) == 2
    return study


@pytest.fixture
def pool(monkeypatch, model):
    """Runs schemes here instead of in processes of their own; notes which."""
    ran = []

    def run(jobs, *, done):
        for name, job in jobs.items():
            ran.append(name)
            job()
            done(name)

    monkeypatch.setattr(runner, "_model", cache(lambda load, path: model))
    run.ran = ran
    return run


def begin(stage, total=None):
    """Shows nothing."""
    return lambda *_: None


def test_a_cache_has_its_own_formats(model, study):
    """Keys and values become what their formats hold, nothing else does; results have keys of their own."""
    x = np.random.default_rng(0).standard_normal((5, TINY.hidden)).astype(np.float32)
    fmt = SQ(32, 4, high="int8", mask="index", bank_scale="e3m2s")
    scheme = Scheme("x", keys=fmt, values=SQ(16, 1))
    outputs, plain = (QuantizedLinear(s, model, study.calibrated()) for s in (scheme, Scheme("x")))
    for layer, own in (("attn_q", None), ("attn_k", fmt), ("attn_v", SQ(16, 1))):
        name = f"blk.0.{layer}.weight"
        y = plain(name, x, model.weights[name])
        want = y if own is None else dequantize(quantize_sq(y, own.format)).astype(np.float32)
        assert (outputs(name, x, model.weights[name]) == want).sum() == want.size
    assert scheme.configuration["keys"]["bank_scale"] == "e3m2s"
    assert len({s.key for s in (Scheme("x"), scheme, replace(scheme, keys=Scheme("x").keys))}) == 3


def test_transforms_change_nothing_without_quantization(model, study):
    tokens = study.evaluation[0]
    plain, none = token_losses(model, tokens, lambda name, x, weight: x @ weight.T)
    assert not none.any()
    more = Scheme("x", scatter=3), Scheme("x", transform="smooth", smoothing=0.6)
    for scheme in (*(Scheme("x", transform=t) for t in ("none", "smooth", "rotate")), *more):
        linear = QuantizedLinear(scheme, model, study.calibrated())
        assert np.allclose(token_losses(model, tokens, linear)[0], plain, atol=1e-4)
    logits = model.logits(model.hidden(tokens)).astype(np.float64)[:-1]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(plain, -np.log(probabilities[np.arange(31), tokens[1:]]), atol=1e-5)


def test_scattered_channels_leave_the_product_alone():
    rng = np.random.default_rng(3)
    x, weight = rng.standard_normal((2, 20, 256), dtype=np.float32)
    powers = scattered_powers("blk.0.ffn_down", 256, 3)
    blocks = powers.reshape(-1, 32)
    assert (blocks == blocks[:, :1]).all()
    assert {0.125, 8} & set(powers) <= set(powers) <= {0.125, 0.25, 0.5, 1, 2, 4, 8}
    assert len(set(powers)) > 2
    assert (powers != scattered_powers("blk.1.ffn_down", 256, 3)).any()
    narrow = powers.astype(np.float32)
    y = (x / narrow) @ (weight * narrow).T
    assert y.size == 400
    np.testing.assert_array_equal(y, x @ weight.T)


def test_backward_sums_are_the_same_numbers_rounded_otherwise(model, study):
    tokens = study.evaluation[0]
    other = Model(TINY, model.weights, arithmetic=BACKWARD)
    one, two = (m.logits(m.hidden(tokens)) for m in (model, other))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    assert (one != two).any()
    scheme = Scheme("x", Dense(8), Dense(8), sums="backward")
    assert scheme.configuration["sums"] == "backward"
    runner._evaluate(replace(study, load=lambda path: model), scheme)
    backward = Result.read(study, scheme).losses
    linear = QuantizedLinear(scheme, model, study.calibrated())
    forward = np.concatenate([token_losses(model, tokens, linear)[0] for tokens in study.evaluation])
    np.testing.assert_allclose(backward, forward, atol=0.02)
    assert len(backward) == 62
    assert (backward != forward).any()


def test_divergence_is_that_of_the_two_distributions(model, study):
    tokens = study.evaluation[0]
    reference = model.hidden(tokens)
    linear = QuantizedLinear(Scheme("x", Dense(4), Dense(4)), model, study.calibrated())
    losses, divergences = token_losses(model, tokens, linear, reference)
    found = model.hidden(
        tokens, linear=QuantizedLinear(Scheme("x", Dense(4), Dense(4)), model, study.calibrated())
    )
    p, q = (
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for logits in (model.logits(h[:-1]).astype(np.float64) for h in (reference, found))
    )
    assert np.allclose(divergences, (p * np.log(p / q)).sum(axis=1), atol=1e-5)
    assert np.allclose(losses, -np.log(q[np.arange(31), tokens[1:]]), atol=1e-4)
    assert divergences.mean() > 1e-4


def test_every_scheme_runs(model, study):
    """Of those with imported weights only the others: this model has no codes."""
    tokens = study.evaluation[0][:8]
    others = [scheme for scheme in imported() if not isinstance(scheme.weight, Imported)]
    assert len(others) == 7
    for scheme in (*default(), *others):
        losses, _ = token_losses(model, tokens, QuantizedLinear(scheme, model, study.calibrated()))
        assert np.isfinite(losses).all(), scheme.name


def test_run_resumes_and_reports(study, pool):
    schemes = quick()[:3]
    runner.run(study, schemes, pool, begin)
    assert pool.ran == [scheme.name for scheme in schemes]
    runner.run(study, schemes, pool, begin)
    study.result_path(schemes[1], 1).unlink()
    assert Result.read(study, schemes[1]) is None
    runner.run(study, schemes, pool, begin)
    assert pool.ran[3:] == [schemes[1].name]
    results = {scheme: Result.read(study, scheme) for scheme in schemes}
    lines = rows(results)
    assert [line["scheme"] for line in lines] == ["float", "W8 A8", "W8 A-SQ 16/1"]
    assert (lines[0]["delta_percent"], lines[0]["standard_error"], lines[1]["int8_percent"]) == (0, 0, 0)
    a, b = (results[scheme].losses for scheme in schemes[:2])
    assert len(a) == 62
    assert lines[1]["delta_percent"] == pytest.approx(100 * (np.exp(b.mean() - a.mean()) - 1), abs=1e-3)
    assert (lines[2]["hardware"], lines[2]["gate_rate"], lines[2]["bits_activation"]) == (True, 0.0, 6.5)
    assert lines[2]["outliers_percent"] == pytest.approx(100 * 2 * (3 * 2 + 2) / (2 * (3 * 24 + 20)), rel=0.2)


def test_command_writes_the_report(study, pool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "find_model", lambda: study.model)
    monkeypatch.setattr(command, "_text", lambda file, title, cache: text.Text(title, title))
    monkeypatch.setattr(command, "_study", lambda *_: study)
    monkeypatch.setattr(command.jobs, "run", lambda jobs, *, done, **_: pool(jobs, done=done))
    monkeypatch.setattr(command, "_blocks", lambda study: TINY.blocks)
    output = tmp_path / "results" / "accuracy.json"
    arguments = ["--only", "A-SQ 64/4", "--windows", "2", "--output", str(output)]
    assert cli.main(["measure", "accuracy", *arguments]) == 0
    report = json.loads(output.read_text())
    names = [row["scheme"] for row in report["rows"]]
    assert names == ["float", "W8 A8", *(s.name for s in default() if "A-SQ 64/4" in s.name)]
    assert report["command"] == f"sqhw measure accuracy {shlex.join(arguments)}"
    assert report["configuration"]["windows"] == 2
    assert report["outlier_positions"]["ffn_down"]["shape"] == [2, 20]
    assert "6.125" in capsys.readouterr().out
    for scheme in default():
        study.result_path(scheme, 0).unlink(missing_ok=True)
    assert cli.main(["measure", "accuracy", *arguments, "--report"]) == 1
    message = "A report needs the schemes 'float' and 'W8 A8', which are not complete"
    assert capsys.readouterr() == ("", f"Error: {message}\n")


def test_only_takes_a_name_before_a_part_of_one():
    found = [[s.name for s in command._only(default(), (text,))] for text in ("MXINT8 both", "MXINT8")]
    assert found == 2 * [["float", "W8 A8", "MXINT8 both"]]
    (*_, found) = command._only(default(), ("W4 g64 A-SQ 16/1",))
    assert found.name == "W4 g64 A-SQ 16/1"


def test_statistics_are_those_of_the_inputs(model, study):
    inputs = {}

    def keep(name, x, weight):
        inputs.setdefault(name, []).append(x)
        return x @ weight.T

    for window in study.calibration:
        model.hidden(window, linear=keep)
    x = np.concatenate(inputs["blk.1.ffn_up.weight"]).astype(np.float64)
    site = study.calibrated().site("blk.1.ffn_gate_up", model)
    assert np.allclose(site.mean, x.mean(axis=0), atol=1e-6)
    assert np.allclose(site.rms, np.sqrt(np.square(x).mean(axis=0)), atol=1e-6)
    assert np.allclose(site.peak, np.abs(x).max(axis=0), atol=1e-6)
    assert site.weight.shape == (40, 24)
    counted = np.concatenate([x, *([x[[0, 32]]] * (FIRST - 1))])
    hessian = counted.T @ counted / len(counted)
    damped = hessian + 0.01 * np.median(np.diag(hessian)) * np.eye(24)
    assert np.allclose(site.inverse_hessian() @ damped, np.eye(24), atol=1e-3)
    with pytest.raises(ValueError) as error:
        site.percentile(12.0)
    assert str(error.value) == f"Percentile must be one of {PERCENTILES}, not 12.0"


@pytest.mark.parametrize("study", ["default", "imported", "scattered", "quick", "extended", "grid"])
def test_names_of_schemes_differ(study, capsys):
    """Jobs are keyed by them."""
    assert cli.main(["measure", "accuracy", "--study", study, "--list", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)
    assert len(set(names)) == len(names) >= 10
