# amaranth: UnusedElaboratable=no
"""Gate-level simulation: functions of cells, a mapped element against the golden model, counted toggles."""

import json
from pathlib import Path

import numpy as np
import pytest

from sqhw.config import PEConfig
from sqhw.measure import energy, energy_page
from sqhw.measure.core import BarePE
from sqhw.packing import dense_beats, sq_beats
from sqhw.tools.gate_sim import GateSimulator, beat_bits, drive, pack_streams
from sqhw.tools.liberty import Cell, read_cells
from sqhw.tools.synth import gate_netlist
from sqhw.tools.targets import GENERIC, TARGETS
from sqhw.tools.verilog import convert
from sw_reference.activations import load_activations
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense
from tests.reference.cases import random_dense, random_sq

SEED = 20251124
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
    for element in energy.simulated():
        beats = element.beats(site, 2, 3)
        shape = (6, energy.K // element.lanes)
        assert {port: (len(rows), len(rows[0])) for port, rows in beats.items()} == dict.fromkeys(
            beats, shape
        )
    x, w = energy._streams(site, 2, 3)
    w4a8 = next(e for e in energy.simulated() if e.name == "w4a8_16").beats(site, 2, 3)
    marks = [[word >> 8 * 16 for word in row[:3]] for row in w4a8["rows"]]
    assert marks == [[3, 1, 1]] * 6  # valid, and clear with the first beat
    codes = quantize_dense(x, DenseFormat(8)).codes
    assert [row[1] >> 8 & 255 for row in w4a8["rows"]] == [int(c[17]) & 255 for c in codes for _ in range(3)]
    group_scale = quantize_dense(w, DenseFormat(4, 64)).group_scale
    assert [row[4] >> 4 * 16 for row in w4a8["columns"]] == [int(t[1]) for t in group_scale] * 2


def result(name, switching, lane=None):
    blocks = {"outlier lane": lane} if lane else {}
    return {
        "name": name,
        "title": name,
        "lanes": 16,
        "blocks": blocks,
        "switching_per_mac": switching,
        "clock_per_mac": 1.0,
    }


def test_document_and_section():
    results = [result("sq_16", 3.0, 1.0), result("sq_16_ungated", 4.0, 4.0), result("sq_16_busy", 4.0, 2.0)]
    results += [result(f"{family}_16", 7.0) for family in ("w4a4", "w4a8", "w8a8")]
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
    page = energy_page.page(document)
    assert "| sq_16 | multiplies zeros | 4.0 | 1.0 | 75.0 % | 60 % | met |" in page
    assert "| sq_16 | w4a4_16 | 0.429 | 0.500 |" in page
