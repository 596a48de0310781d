"""The accuracy study: its fast product against the golden model, its formats against judges, its runner."""

import hashlib
import json
import re
import shlex
import struct
import zlib
from dataclasses import replace
from functools import cache

import ml_dtypes
import numpy as np
import pytest

from sqhw import cli
from sqhw.commands import accuracy as command
from sw_reference.accuracy import runner, text, verify
from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.accuracy.calibration import FIRST, PERCENTILES, Site
from sw_reference.accuracy.compensation import compensated, compensated_dense
from sw_reference.accuracy.floats import E2M1, E2M3, E4M3, E5M2, FP16
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Imported
from sw_reference.accuracy.operand import Operand, product
from sw_reference.accuracy.report import merged, rows
from sw_reference.accuracy.rotation import rotation
from sw_reference.accuracy.runner import Result, Study
from sw_reference.accuracy.scheme import QuantizedLinear, Scheme, token_losses
from sw_reference.accuracy.selection import AbovePercentile, OnePerSegment, Static, Unstructured
from sw_reference.accuracy.study import default, extended, grid, quick
from sw_reference.accuracy.variants import Variant
from sw_reference.activations import load_activations
from sw_reference.checkpoints.dense import import_dense
from sw_reference.checkpoints.gguf_blocks import coded_blocks
from sw_reference.codes import round_codes
from sw_reference.dense_encoder import code_limits, group_scales
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.llm import Model
from sw_reference.multiply import multiply
from sw_reference.policy import LargestMagnitude
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dense_codes, dequantize
from tests.reference.cases import random_dense, random_sq
from tests.reference.test_llm import TINY, tiny_weights


@pytest.fixture(scope="module")
def model():
    return Model(TINY, tiny_weights())


def site_for(x, weight):
    wide = x.astype(np.float64)
    return Site(
        wide.mean(axis=0),
        np.sqrt(np.square(wide).mean(axis=0)),
        np.abs(wide).max(axis=0),
        np.percentile(np.abs(x), PERCENTILES),
        weight,
        lambda: np.linalg.inv(wide.T @ wide / len(x) + 0.01 * np.eye(x.shape[1])),
    )


def coded_site(rng, kind="Q4_1", rows=(6, 10), k=256):
    """A site of layers in random blocks of GGUF, and its input of 20 tokens."""
    size = {"Q4_1": 20, "Q8_0": 34}[kind]
    matrices = []
    for n in rows:
        data = rng.integers(0, 256, (n, k // 32, size), np.uint8)
        data[..., 1] = 0x2C + (data[..., 1] & 3)  # scales near 1/16
        if kind == "Q4_1":
            data[..., 3] = 0xB4 + (data[..., 3] & 3)  # minima near -1/4
        matrices.append(coded_blocks(kind, data.reshape(n, -1), k))
    values = [matrix.part(slice(None)).values().astype(np.float32) for matrix in matrices]
    x = rng.standard_normal((20, k)).astype(np.float32)
    return x, replace(site_for(x, np.concatenate(values)), codes=tuple(matrices))


# The product


def test_imported_weights_are_the_golden_ones():
    """Two layers of one site, against multiply of each: 320 results."""
    x, site = coded_site(np.random.default_rng(0))
    weight = Imported().quantize(site.weight, site)
    activation = SQ(32, 4, high="int8", mask="index", bank_scale="e3m2s")
    got, limbs = product(activation.quantize(x, site), weight)
    left = quantize_sq(x, activation.format)
    tensors = [import_dense(m.part(slice(None)), Imported().format).tensor for m in site.codes]
    want = np.concatenate([multiply(left, tensor).y for tensor in tensors], axis=1)
    assert (got.view(np.uint32) == want.view(np.uint32)).sum() == 320
    assert limbs == 0
    assert Imported().bits == 4.5
    exact = x @ site.weight.T
    assert np.linalg.norm(got - exact) < 0.1 * np.linalg.norm(exact)


def test_imported_weights_need_their_codes():
    _, site = coded_site(np.random.default_rng(0))
    for other, found in (
        (site.smoothed(np.ones(256)), "none"),
        (replace(site, codes=None), "none"),
        (coded_site(np.random.default_rng(0), "Q8_0", (4,))[1], "Q8_0 in groups of 32"),
    ):
        message = f"Weights must have INT4 codes in groups of 32, not {found}"
        with pytest.raises(ValueError, match=f"^{message}$"):
            Imported().quantize(site.weight, other)
    assert not Scheme("a", SQ(16, 2, high="int8"), Imported()).hardware  # for the offsets


def test_fast_product_is_the_golden_one_on_real_activations():
    pairs = [
        (SQ(16, 1), Dense(8)),
        (SQ(32, 2), Dense(4, 64)),
        (SQ(128, 8, AbovePercentile(97.5)), Dense(8, 128)),
        (SQ(16, 1, high="int8"), Dense(4)),
        (SQ(32, 2), DenseSQ(32, 2, 32)),
        (SQ(16, 4, high="int8", mask="sentinel"), Dense(8)),
        (
            SQ(32, 2, high="int8", mask="index", scale="two_candidates", bank_scale="e3m2s"),
            Dense(4, 32, group_scale="linear8"),
        ),
        (
            SQ(32, 2, high="int8", mask="index", bank_scale="e3m2s", segment=16),
            DenseSQ(32, 4, 32, group_scale="linear8", mask="index"),
        ),
    ]
    compared = 0
    for data in load_activations().sites[::3]:
        site = site_for(data.x, data.weight)
        for sq, dense in pairs:
            found = verify.compare(data.name, sq, dense, data.x, data.weight, site)
            assert (found.different, found.limbs) == (0, 0)
            compared += found.results
    assert compared == 8 * 4 * 24 * 72


OFFSET = DenseFormat(4, 32, scale="linear8", offset=True)


@pytest.mark.parametrize("extreme", [False, True])
def test_rows_beyond_the_bound_take_limbs(extreme):
    rng = np.random.default_rng(1)
    compared = limbs = 0
    for sq in (SQFormat(16, 1, "fp16"), SQFormat(4, 4, "fp16"), SQFormat(16, 4, "int8", "sentinel")):
        for dense in (DenseFormat(4, 64), DenseFormat(8, 64), DenseFormat(8), OFFSET):
            a = random_sq(rng, sq, 5, 300, extreme=extreme)
            b = random_dense(rng, dense, 7, 300, extreme=extreme)
            golden = multiply(a, b).y.view(np.uint32)
            y, count = product(Operand.from_tensor(a), Operand.from_tensor(b))
            assert np.array_equal(y.view(np.uint32), golden)
            y, _ = product(Operand.from_tensor(b), Operand.from_tensor(a))
            assert np.array_equal(y.T.view(np.uint32), golden)
            compared += y.size
            limbs += count
    assert compared == 12 * 35
    assert (limbs > 0) == (not extreme)  # the largest codes have many zeros at their end


# Formats


def test_new_parameters_are_described_where_they_are_set():
    """Schemes from before them keep their keys, so results that were measured stay valid."""
    old = Scheme("", SQ(16, 2), Dense(8)).configuration
    assert old["weight"] == {"format": "Dense", "width": 8, "group": None, "scale": "absmax"}
    assert old["activation"].keys() == {
        "format", "bank", "outliers", "selection", "high", "mask", "scale",
    }  # fmt: skip
    new = Scheme("", SQ(32, 2, high="int8", mask="index", bank_scale="e3m2s"), Dense(4, 32)).configuration
    assert new["activation"]["bank_scale"] == "e3m2s"


@pytest.mark.parametrize(
    ("ours", "judge"),
    [
        (E2M1, ml_dtypes.float4_e2m1fn),
        (E2M3, ml_dtypes.float6_e2m3fn),
        (E4M3, ml_dtypes.float8_e4m3fn),
        (E5M2, ml_dtypes.float8_e5m2),
        (FP16, np.float16),
    ],
)
def test_small_floats(ours, judge):
    codes = np.arange(1 << ours.bits).astype(np.uint8 if ours.bits <= 8 else np.uint16)
    values = codes.view(judge).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    infinity = np.float32(np.inf)
    x = np.concatenate([values, middles, np.nextafter(middles, infinity), np.nextafter(middles, -infinity)])
    assert len(x) == 4 * len(values) - 3
    assert np.array_equal(ours.round(x), x.astype(np.float32).astype(judge).astype(np.float64))
    assert ours.round(np.array([1e9, -1e9])).tolist() == [ours.largest, -ours.largest]


@pytest.mark.parametrize(
    ("element", "judge", "largest", "bits"),
    [("fp4", ml_dtypes.float4_e2m1fn, 6, 4.25), ("fp6", ml_dtypes.float6_e2m3fn, 7.5, 6.25)],
)
def test_mx_is_what_ml_dtypes_makes_of_it(element, judge, largest, bits):
    x = np.random.default_rng(2).standard_t(3, (8, 128)).astype(np.float32)
    blocks = x.reshape(8, 4, 32)
    scale = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=2, keepdims=True))) - 2)
    assert np.array_equal(scale, scale.astype(ml_dtypes.float8_e8m0fnu).astype(np.float64))
    scaled = np.clip(blocks / scale, -largest, largest)  # saturates
    expected = scaled.astype(judge).astype(np.float64) * scale
    assert np.array_equal(MX(element).quantize(x, None).units, expected.reshape(8, 128))
    assert MX(element).bits == bits


def test_nvfp4_adaptive_is_never_worse_by_block():
    x = np.random.default_rng(3).standard_t(3, (8, 128)).astype(np.float32)

    def errors(fmt):
        return np.square(fmt.quantize(x, None).units - x).sum()

    assert errors(NVFP4(adaptive=True)) < errors(NVFP4())
    scale = np.abs(x[0, :16]).max() / 6
    y = NVFP4().quantize(x, None).units[0, :16]
    assert np.abs(y - x[0, :16]).max() <= 1.07 * scale


def test_if4_takes_the_better_kind_of_each_block():
    x = np.random.default_rng(4).standard_normal((8, 128)).astype(np.float32)
    got = IF4().quantize(x, None).units.reshape(8, 8, 16).astype(np.float64)
    real = NVFP4().quantize(x, None).units.reshape(8, 8, 16)
    # The scale of a block is NVFP4's, whose largest element is 6 of it at most.
    largest = np.abs(x).max(axis=1).astype(np.float64) / (6 * 448)
    row = largest.astype(np.float32).astype(np.float64)[:, None, None]
    blocks = x.reshape(8, 8, 16).astype(np.float64)
    wanted = np.abs(blocks).max(axis=2, keepdims=True) / 6 / row
    unit = wanted.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * row * 6 / 7
    integers = np.clip(np.rint(blocks / unit), -7, 7) * unit
    closer = np.square(integers - blocks).sum(axis=2) < np.square(real - blocks).sum(axis=2)
    expected = np.where(closer[:, :, None], integers, real).astype(np.float32)
    assert np.array_equal(got, expected)
    assert 10 < closer.sum() < 54
    assert IF4().bits == 4.5


@pytest.mark.parametrize(("bank", "outliers"), [(16, 1), (32, 2)])
def test_variant_with_the_formats_own_choices_is_the_format(bank, outliers):
    for data in load_activations().sites[:3]:
        fmt = SQFormat(bank, outliers, "fp16")
        golden = dequantize(quantize_sq(data.x, fmt, scale="absmax"))
        assert np.array_equal(Variant(bank, outliers, search=False).quantize(data.x, None).units, golden)


def test_bits():
    assert Variant(16, 1).bits == SQFormat(16, 1, "fp16").bits_per_element == 6.5
    assert Variant(32, 2, mask="sentinel").bits == SQFormat(32, 2, "fp16", mask="sentinel").bits_per_element
    assert Variant(16, 0, selection=Unstructured(0.01)).bits == pytest.approx(4.5 + 0.32)
    assert Variant(32, 8, high="int8_own", mask="sentinel").bits == 4 + 8 / 32 + 8 * 8 / 32 + 16 / 32
    assert (Dense(4, 64).bits, Dense(8).bits) == (4.125, 8)


# The paper's algorithms


def test_static_mask_is_the_papers_rule():
    rng = np.random.default_rng(4)
    x, weight = (rng.standard_normal((n, 32)).astype(np.float32) for n in (50, 20))
    site = site_for(x, weight)
    marked = Static().policy(x, SQFormat(8, 2, "fp16"), site).mark(x, SQFormat(8, 2, "fp16"))
    importance = np.abs(x.astype(float).mean(axis=0) * weight.astype(float).sum(axis=0)).reshape(4, 8)
    assert (marked == marked[:1]).all()
    assert [set(np.flatnonzero(m)) for m in marked[0]] == [set(np.argsort(i)[-2:]) for i in importance]


def test_one_per_segment():
    x = np.zeros((1, 64), np.float32)
    x[0, [3, 5, 20, 40, 41]] = 9, 8, 7, 6, 5
    marked = (
        OnePerSegment(16).policy(x, SQFormat(32, 2, "fp16"), site_for(x, x)).mark(x, SQFormat(32, 2, "fp16"))
    )
    assert marked.shape == (1, 2, 32)
    assert np.flatnonzero(marked).tolist() == [3, 20, 40]


def test_compensation():
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((40, 64))
    x = rng.standard_normal((300, 64)) @ rng.standard_normal((64, 64)) / 8
    hessian = x.T @ x / 300 + 0.01 * np.eye(64)

    def start_bank(columns, block):
        return lambda i, column: np.rint(column * 4) / 4

    plain = np.rint(weight * 4) / 4
    assert np.array_equal(compensated(weight, np.eye(64), 16, start_bank), plain)
    better = compensated(weight, np.linalg.inv(hessian), 16, start_bank)
    assert np.array_equal(better * 4, np.rint(better * 4))
    error, plain_error = (np.square(x @ (w - weight).T).sum() for w in (better, plain))
    assert error < 0.7 * plain_error


@pytest.mark.parametrize("size", [24, 64, 576])
def test_rotation_is_orthogonal(size):
    matrix = rotation(size)
    assert np.allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    assert np.abs(matrix).max() <= np.sqrt(2 / size) + 1e-12


# Schemes and the runner


def test_schemes_are_different():
    for schemes in (default(), extended(), grid()):
        assert len({scheme.name for scheme in schemes}) == len(schemes)
        assert len({scheme.key for scheme in schemes}) == len(schemes)
    assert len(quick()) == 10
    assert set(default()) < set(extended()) < set(grid())
    json.dumps([scheme.configuration for scheme in grid()])


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

    monkeypatch.setattr(runner, "_model", cache(lambda path: model))
    run.ran = ran
    return run


def begin(stage, total=None):
    """Shows nothing."""
    return lambda *_: None


def test_transforms_change_nothing_without_quantization(model, study):
    tokens = study.evaluation[0]
    plain, none = token_losses(model, tokens, lambda name, x, weight: x @ weight.T)
    assert not none.any()
    for transform in ("none", "smooth", "rotate"):
        linear = QuantizedLinear(Scheme("x", transform=transform), model, study.calibrated())
        assert np.allclose(token_losses(model, tokens, linear)[0], plain, atol=1e-4)
    logits = model.logits(model.hidden(tokens)).astype(np.float64)[:-1]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(plain, -np.log(probabilities[np.arange(31), tokens[1:]]), atol=1e-5)


def test_compensated_weights_of_a_dense_operand():
    """Without correlations they are what rounding gives; with them the layer's outputs are closer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 96)) @ rng.standard_normal((96, 96)) / 10
    w = rng.standard_t(3, (40, 96)).astype(np.float32)
    fmt = DenseFormat(4, 32, 4, 32, "linear8", mask="index")
    bitmap = LargestMagnitude().mark(w, fmt.outlier_format)
    alone = compensated_dense(w, fmt, bitmap, np.eye(96))
    assert alone.row_scale.tolist() == (quantize_dense(w, fmt).row_scale * np.float32(1.25)).tolist()
    blocks, flags = (np.asarray(a).reshape(40, 3, 32) for a in (w.astype(np.float64), bitmap))
    group_scale, scales = group_scales(blocks, alone.row_scale.astype(np.float64), fmt, flags)
    assert alone.group_scale.tolist() == group_scale.tolist()
    rounded = round_codes(blocks, scales[..., None], *code_limits(fmt, flags))
    assert dense_codes(alone).tolist() == rounded.reshape(40, 96).tolist()
    hessian = x.T @ x / len(x)
    better = compensated_dense(w, fmt, bitmap, np.linalg.inv(hessian + 0.01 * np.eye(96)))
    errors = [np.square(x @ (dequantize(t) - w).T).sum() for t in (better, alone)]
    assert errors[0] < 0.7 * errors[1]


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
    tokens = study.evaluation[0][:8]
    for scheme in default():
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
    texts = {name: text.Text(name, name) for name in ("text", "calibration_text")}
    monkeypatch.setattr(command, "find_model", lambda: study.model)
    monkeypatch.setattr(command, "_texts", lambda *_: texts)
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


def a_report(*names, windows=2, plain=30.0, command="first"):
    rows = [{"scheme": name, "perplexity": plain} for name in names]
    configuration = {
        "windows": windows,
        "tokens_per_window": 4,
        "calibration_windows": 1,
        "schemes": len(rows),
        "of": 3,
    }
    same = {name: {"sha256": name} for name in ("model", "text", "calibration_text")}
    return {"command": command, "configuration": configuration, "rows": rows, "versions": {}} | same


def test_a_later_report_adds_its_schemes():
    first = a_report("float", "W8 A8", "a")
    later = a_report("float", "W8 A8", "b", "c", plain=30.5, command="second")
    both = merged(first, later)
    assert [row["scheme"] for row in both["rows"]] == ["float", "W8 A8", "a", "b", "c"]
    assert [row["perplexity"] for row in both["rows"]] == [30.0] * 3 + [30.5] * 2
    assert (both["configuration"]["schemes"], both["configuration"]["of"]) == (5, 5)
    source = {"command": "second", "versions": {}, "float": 30.5, "schemes": ["b", "c"]}
    assert both["later"] == [source]
    again = merged(both, a_report("float", "W8 A8", "d", command="third"))
    assert [run["schemes"] for run in again["later"]] == [["b", "c"], ["d"]]
    for other, message in (
        (later, "The report already has all of these schemes"),
        (
            a_report("float", "W8 A8", "d", windows=3),
            "Reports to be merged must have the same windows, not 2 and 3",
        ),
    ):
        with pytest.raises(ValueError) as error:
            merged(both, other)
        assert str(error.value) == message


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


# The text


def r_strings(lines):
    """A character vector as R's lazy-load databases store it."""
    data = b"X\n" + struct.pack(">iii", 3, 0x40201, 0x30500) + struct.pack(">i", 5) + b"UTF-8"
    data += struct.pack(">ii", 16, len(lines))
    for line in lines:
        raw = line.encode()
        data += struct.pack(">ii", 0x40009, len(raw)) + raw
    return struct.pack(">I", len(data)) + zlib.compress(data)


def test_novel(tmp_path, monkeypatch):
    data = r_strings(["One", "", "first"]) + r_strings(["Two", "é"])
    package = tmp_path / f"{text.PACKAGE}_{text.VERSION}_all.deb"
    package.write_bytes(b"deb")
    with pytest.raises(ValueError) as error:
        text.novel("Two", tmp_path)
    assert str(error.value).startswith(f"{package} must have the SHA-256 {text.SHA256}, not ")
    monkeypatch.setattr(text, "_unpack", lambda package: data)
    monkeypatch.setattr(text, "SHA256", hashlib.sha256(b"deb").hexdigest())
    assert text.novel("Two", tmp_path).text == "Two\né"
    with pytest.raises(ValueError) as error:
        text.novel("Three", tmp_path)
    assert str(error.value) == f"{text.PACKAGE} has no novel that begins with 'Three'"


def test_missing_tools(tmp_path, monkeypatch):
    monkeypatch.setattr(text.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError) as error:
        text.novel("Two", tmp_path)
    assert str(error.value).startswith("apt-get is not on PATH; fetch r-cran-janeaustenr 1.0.0-1 ")


def test_bad_options(tmp_path, capsys):
    assert cli.main(["measure", "accuracy", "--windows", "0"]) == 2
    assert capsys.readouterr().err == "Error: --windows must be 1 or more, not 0\n"
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(ValueError) as error:
        text.read_text(tmp_path / "latin")
    assert str(error.value).startswith(f"{tmp_path / 'latin'} must be a text in UTF-8: ")
    assert cli.main(["measure", "accuracy", "--list"]) == 0
    assert re.findall(r"^W8 A8$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("study", ["default", "quick", "extended", "grid"])
def test_names_of_schemes_differ(study, capsys):
    """Jobs are keyed by them."""
    assert cli.main(["measure", "accuracy", "--study", study, "--list", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)
    assert len(set(names)) == len(names) >= 10
