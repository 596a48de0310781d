# amaranth: UnusedElaboratable=no
"""Gate-level simulation: functions of cells, a mapped element against the golden model, counted toggles."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Value

from sqhw.config import PEConfig
from sqhw.measure import energy, energy_page, energy_points
from sqhw.measure.core import BarePE
from sqhw.measure.rival_beats import DRIVEN, rival_beats
from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import RIVALS
from sqhw.measure.units import CONFIGS, best
from sqhw.packing import dense_beats, sq_beats
from sqhw.presets import preset
from sqhw.tools.gate_sim import GateSimulator, beat_bits, drive, pack_streams
from sqhw.tools.liberty import Cell, read_cells
from sqhw.tools.synth import gate_netlist
from sqhw.tools.targets import GENERIC, TARGETS
from sqhw.tools.verilog import convert
from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.activations import load_activations
from sw_reference.checkpoints.dense import import_dense
from sw_reference.checkpoints.min_max import min_max_codes
from sw_reference.codes import GROUP_SCALE_VALUES
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense
from sw_reference.rivals import e2m1_value, if4_dot, integer_dot, mx_dot, nvfp4_dot
from tests.hardware import simulate
from tests.reference.cases import random_dense, random_sq

SEED = 20251124
ENCODERS = {"mxfp4": MX("fp4"), "mxint8": MX("int8"), "nvfp4": NVFP4(), "if4": IF4()}
ROOT = Path(__file__).parents[2]


def test_toggles_and_loads():
    library = {
        "NAND": Cell({"A": 0.5, "B": 0.25}, {"Y": "!(A B)"}, "", ""),
        "DFF": Cell({"CLK": 2.0, "D": 1.0}, {"Q": "DS"}, "D", "CLK"),
    }
    module = {
        "ports": {"i": {"bits": [2, 3]}, "clk": {"bits": [6]}, "o": {"bits": [5]}},
        "cells": {
            "gate": {"type": "NAND", "connections": {"A": [2], "B": [3], "Y": [4]}},
            "held": {"type": "DFF", "connections": {"D": [4], "CLK": [6], "Q": [5]}},
        },
    }
    simulator = GateSimulator(module, library, 3)
    simulator.reset()
    inputs = np.array([[[1, 1], [0, 1], [1, 1]], [[1, 0], [1, 1], [1, 1]], [[0, 0], [0, 0], [0, 0]]], bool)
    seen = []
    for cycle in range(3):
        simulator.begin()
        simulator.set("i", pack_streams(inputs[:, cycle]))
        simulator.evaluate()
        seen.append(simulator.bits("o", 3)[:, 0].tolist())
        simulator.end()
    assert seen == [[True, True, True], [False, True, True], [True, False, True]]
    found = dict(zip(simulator.drivers, zip(simulator.loads, simulator.toggles, strict=True), strict=True))
    assert found["gate"] == (1.0, 3 + 1)
    assert found["held"] == (0.0, 2 + 1)
    assert simulator.clocked == {"held": 2.0}


def test_loop_is_refused():
    library = {"INV": Cell({"A": 1.0}, {"Y": "!A"}, "", "")}
    cells = {
        name: {"type": "INV", "connections": c}
        for name, c in {"a": {"A": [2], "Y": [3]}, "b": {"A": [3], "Y": [2]}}.items()
    }
    with pytest.raises(ValueError, match=r"^Netlist must have no combinational loop$"):
        GateSimulator({"ports": {}, "cells": cells}, library, 1)


def test_mapped_element_computes_the_golden_sums(tmp_path):
    config = PEConfig(SQFormat(4, 2, "fp16"), DenseFormat(4, 8), lanes=4, outlier_lanes=1, k_max=16)
    rng = np.random.default_rng(SEED)
    streams = 70
    sq, dense = random_sq(rng, config.sq, streams, 16), random_dense(rng, config.dense, streams, 16)
    target = TARGETS["gates"]
    module = gate_netlist(convert(BarePE(config), "pe"), "pe", target, cache=tmp_path)
    simulator = GateSimulator(module, read_cells(GENERIC.liberty), streams)
    words = {"sq": sq_beats(config, sq), "dense": dense_beats(config, dense)}
    # Followed by beats that finish nothing, until the slowest sum has come out.
    words = {port: [[*row, *[0] * 12] for row in rows] for port, rows in words.items()}
    ports = {port: beat_bits(rows, simulator.width(port)) for port, rows in words.items()}
    sums = {}

    def watch(at):
        valid, acc = at.bits("acc_valid", streams)[:, 0], at.bits("acc", streams)
        for stream in np.flatnonzero(valid):
            sums.setdefault(int(stream), acc[stream])

    cycles = drive(simulator, ports, streams, 16, watch)
    weights = [1 << bit for bit in range(config.acc_bits - 1)] + [-1 << config.acc_bits - 1]
    want = multiply(sq, dense).acc.diagonal().tolist()
    got = [sum(w for w, bit in zip(weights, sums[s], strict=True) if bit) for s in range(streams)]
    assert got == want
    assert len(got) == streams
    assert cycles >= 16
    assert simulator.toggles.sum() > 0


def test_beats_of_real_activations():
    site = load_activations().site(11, "attn_qkv")
    for element in energy_points.simulated():
        beats = element.beats(site, 2, 3)
        shape = (6, energy_points.K // element.lanes)
        assert {port: (len(rows), len(rows[0])) for port, rows in beats.items()} == dict.fromkeys(
            beats, shape
        )
    x, w = energy_points.streams(site, 2, 3)
    w4a8 = next(e for e in energy_points.simulated() if e.name == "w4a8_16").beats(site, 2, 3)
    marks = [[word >> 8 * 16 for word in row[:3]] for row in w4a8["rows"]]
    assert marks == [[3, 1, 1]] * 6  # valid, and clear with the first beat
    codes = quantize_dense(x, DenseFormat(8)).codes
    assert [row[1] >> 8 & 255 for row in w4a8["rows"]] == [int(c[17]) & 255 for c in codes for _ in range(3)]
    group_scale = quantize_dense(w, DenseFormat(4, 64)).group_scale
    assert [row[4] >> 4 * 16 for row in w4a8["columns"]] == [int(t[1]) for t in group_scale] * 2


@pytest.mark.parametrize("family", [form for family in DRIVEN for form in best(family)])
@pytest.mark.parametrize("lanes", [16, 32])
def test_beats_of_rivals_are_their_golden_dot_products(family, lanes):
    """The unit between its operand registers, driven by the words, gives the golden model's sums."""
    site = load_activations().site(11, "ffn_down")
    x, w = (part.astype(np.float32)[:2, :128] for part in (site.x, site.weight))
    beats = rival_beats(family, lanes, x, w)
    dut = RivalArray(RIVALS[family](lanes))
    length = x.shape[1] // lanes
    got = []

    async def testbench(ctx):
        for row, column in zip(beats["rows"], beats["columns"], strict=True):
            for beat in range(length + dut.latency):
                at = min(beat, length - 1)
                mask = 0 if beat >= length else -1
                ctx.set(Value.cast(dut.rows), row[at] & mask)
                ctx.set(Value.cast(dut.columns), column[at])
                await ctx.tick()
                if beat == length + dut.latency - 2:
                    got.append(ctx.get(dut.o[0][0]))

    simulate(dut, testbench, limit=4 * (length + dut.latency) + 4)
    assert all(row.bit_length() <= len(Value.cast(dut.rows)) for stream in beats["rows"] for row in stream)
    want = [golden_sum(family, lanes, a[None], b[None]) for a in x for b in w]
    assert got == want
    assert len(got) == 4


def golden_sum(family, lanes, x, w):
    """What the unit's accumulator holds in the end."""
    if "-offset" in family:
        a = quantize_dense(x, DenseFormat(int(family[3])))
        fmt = DenseFormat(4, 32, scale="linear8", offset=True)
        b = import_dense(min_max_codes(w, 4, 32), fmt).tensor
        weights = 16 * b.codes.astype(np.int64) + np.repeat(b.offset.astype(np.int64), 32, axis=1)
        codes = (numbers.astype(np.int64).reshape(-1, 32) for numbers in (a.codes, weights))
        return integer_dot(*codes, b.group_scale[0].astype(np.int64))
    if family[0] == "w":
        a = quantize_dense(x, DenseFormat(int(family[3])))
        linear, group = "-linear" in family or "-halves" in family, 64 if family[1] == "4" else None
        if linear:
            group = 32 if "-linear" in family else lanes // 2
        b = quantize_dense(w, DenseFormat(int(family[1]), group, scale="linear8" if linear else "e3m3"))
        codes = (tensor.codes.astype(np.int64).reshape(-1, group or 64) for tensor in (a, b))
        if b.group_scale is None:
            return integer_dot(*codes)
        scales = b.group_scale[0].astype(np.int64)
        return integer_dot(*codes, scales if linear else GROUP_SCALE_VALUES[scales])
    encoded = [ENCODERS[family].encode(values) for values in (x, w)]
    if family in ("nvfp4", "if4"):
        dot, unit = (nvfp4_dot, 1) if family == "nvfp4" else (if4_dot, 49)
        codes, scales = ([getattr(e, name)[0].tolist() for e in encoded] for name in ("codes", "scales"))
        return dot(*codes, *scales) * unit * 2**20
    value = e2m1_value if family == "mxfp4" else lambda code: Fraction((code ^ 128) - 128, 64)
    beats = [e.codes[0].reshape(-1, lanes).tolist() for e in encoded]
    scales = [np.repeat(e.scales[0], 32 // lanes).tolist() for e in encoded]
    numbers = ([[value(code) for code in beat] for beat in codes] for codes in beats)
    return int(mx_dot(*numbers, *scales).view(np.uint32))


def result(name, switching, lane=None):
    blocks = {"outlier lane": lane} if lane else {}
    return {
        "name": name,
        "title": name,
        "lanes": 16,
        "blocks": blocks,
        "switching_per_mac": switching,
        "clock_per_mac": 1.0,
        "milliwatts": 2.5,
    }


def test_document_and_section():
    results = [result("sq_16", 3.0, 1.0), result("sq_16_ungated", 4.0, 4.0), result("sq_16_busy", 4.0, 2.0)]
    results += [result(f"{family.replace('-', '_')}_16", 7.0) for family in DRIVEN]
    document = energy.document(results, load_activations().sites[:1], command="command")
    zeros, busy = document["gating"]
    assert zeros == {
        "unit": "sq_16",
        "against": "multiplies zeros",
        "gated": 1.0,
        "ungated": 4.0,
        "saved_percent": 75.0,
        "goal_percent": 60,
        "met": True,
    }
    assert busy == zeros | {"against": "never idle", "ungated": 2.0, "saved_percent": 50.0, "met": False}
    assert document["ratios"][0] == {"unit": "sq_16", "to": "w4a4_16", "switching": 0.429, "with_clock": 0.5}
    assert json.loads(json.dumps(document)) == document
    # No rival of other group scales.
    assert [ratio["to"] for ratio in document["ratios"]] == [f"{f}_16" for f in DRIVEN if "-" not in f]
    assert document["goals"][0]["measured"] is None
    page = energy_page.page(document)
    assert "| sq_16 | 16 | multiplies zeros | 4.0 | 1.0 | 75.0 % | 60 % | met |" in page
    assert "| energy per MAC of | lanes | / w4a4_16 |" in page
    assert "| sq_16 | 16 | 0.500 |" in page
    assert "| sq_16 | 16 | 1.0 | 3.0 | 1.0 | 2.50 |" in page


def test_power():
    """1,000 fJ in each of 10 cycles, 100 million times a second."""
    assert energy.milliwatts(10_000 / 1.8**2, 10) == pytest.approx(0.1)


def test_own_point_beside_rivals():
    config = PEConfig(SQFormat(64, 4, "int8"), DenseFormat(4, 64), lanes=64, outlier_lanes=4)
    own, *rivals = energy_points.beside_rivals(config)
    assert (own.name, own.title) == ("own_64", "SQ 64/4 INT8 x INT4")
    names = ("w4a4", "w4a4_pairs", "w4a8", "w4a8_pairs", "w8a8", "w8a8_pairs", "nvfp4", "if4")
    assert [r.name for r in rivals] == [f"{name}_64" for name in names]
    others = {
        scales: [f for f in DRIVEN if f[:2] != "w4" or f[4:] == scales]
        for scales in ("", "-linear", "-offset", "-halves")
    }
    assert energy_points.rivals_of(CONFIGS["sq"](16)) == others[""]
    assert energy_points.rivals_of(preset("lean")) == others["-linear"]
    assert energy_points.rivals_of(CONFIGS["lean-offset"](32)) == others["-offset"]
    without_mx = [f for f in others["-halves"] if not f.startswith("mx")]
    assert energy_points.rivals_of(CONFIGS["fine-halves"](64)) == without_mx
    wide = PEConfig(SQFormat(128, 4, "int8"), DenseFormat(4, 128), lanes=128, outlier_lanes=4)
    assert energy_points.rivals_of(wide) == ["w8a8", "nvfp4", "if4"]
    document = energy.document([result("own_16", 3.0), result("if4_16", 6.0)], [], command="command")
    assert document["gating"] == []
    assert document["ratios"] == [{"unit": "own_16", "to": "if4_16", "switching": 0.5, "with_clock": 0.571}]
    assert [title for title, *_ in energy_page.tables(document)] == ["Ratios", "Energy per MAC"]


def test_rows_of_the_area_page_have_energies():
    """All but those of FP16, INT6 and floats per bank: the page says so."""
    area, report = (
        json.loads((ROOT / f"docs/results/{name}.json").read_text()) for name in ("area", "energy")
    )
    of_area = {u["name"].removesuffix(f"_{u['size']}") for u in area["units"]}
    measured = {u["name"] for u in report["units"]}
    floats = {"float_16", "float_e3m7_16", "float_index_16"}
    assert of_area - measured == {"fp16_16", "w6a6_16", "w6a6_pairs_16"} | floats
    assert measured == {element.name for element in energy_points.simulated()}
    assert "FP16 and INT6" in energy_page.page(report)


def test_own_point_of_one_step():
    """Outliers by index: the element has no path to be gated, and takes its own beats."""
    config = PEConfig(SQFormat(8, 1, "int8", "index", "e3m2s"), DenseFormat(4, 8, scale="linear8"), 8, 1)
    own = energy_points.own_point(config, "own", "own", policy="largest")
    assert "module own" in convert(own.make(), "own")
    beats = own.beats(load_activations().site(1, "attn_qkv"), 1, 2)
    assert {port: (len(rows), len(rows[0])) for port, rows in beats.items()} == {
        "sq": (2, energy_points.K // 8),
        "dense": (2, energy_points.K // 8),
    }


@pytest.mark.parametrize(("name", "reported"), [("lean", "lean_32"), ("default", "sq_16")])
def test_a_point_of_ones_own_is_driven_as_in_the_report(name, reported):
    own, *_ = energy_points.beside_rivals(preset(name))
    listed = {element.name: element for element in energy_points.simulated()}
    site = load_activations().sites[0]
    assert own.beats(site, 2, 2) == listed[reported].beats(site, 2, 2)
