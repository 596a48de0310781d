# amaranth: UnusedElaboratable=no
"""Lanes in DSP blocks: every pair of products, sums of many, whole processing elements."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.pe.dsp_lanes import DSPLanes, packed_pairs
from sqhw.presets import PRESETS
from sw_reference.format import DenseFormat, SQFormat
from tests.hardware import drive_pipeline
from tests.pe.one_step_configs import CONFIGS as ONE_STEP
from tests.pe.test_one_step import check
from tests.pe.test_pe import agrees


class Packed(wiring.Component):
    """Lanes between operands as they come."""

    def __init__(self, lanes, slots=0):
        self.lanes = DSPLanes(lanes, slots)
        codes, nibbles = data.ArrayLayout(signed(4), lanes), data.ArrayLayout(signed(4), slots)
        ports = {"low": In(codes), "d": In(codes), "o": Out(self.lanes.o.shape())}
        super().__init__(ports | ({"high": In(nibbles), "met": In(nibbles)} if slots else {}))

    @property
    def latency(self):
        return self.lanes.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.lanes = lanes = self.lanes
        m.d.comb += [a.eq(b) for a, b in zip(lanes.rows, packed_pairs(self.low), strict=True)]
        m.d.comb += [a.eq(b) for a, b in zip(lanes.columns, packed_pairs(self.d, swapped=True), strict=True)]
        m.d.comb += [getattr(lanes, n).eq(getattr(self, n)) for n in ("high", "met") if hasattr(self, n)]
        m.d.comb += self.o.eq(lanes.o)
        return m


def test_every_pair_of_products():
    """All 65,536 combinations of two low codes and two dense codes."""
    low = d = [[first, second] for first in range(-8, 8) for second in range(-8, 8)]
    stimuli = [{"low": a, "d": b} for a in low for b in d]
    got = drive_pipeline(Packed(2), stimuli, ["o"])
    assert [r["o"] for r in got] == (np.array(low) @ np.array(d).T).ravel().tolist()
    assert len(got) == 65536


@pytest.mark.parametrize(
    ("lanes", "slots", "latency"), [(1, 0, 2), (3, 1, 3), (16, 0, 5), (16, 16, 6), (32, 2, 6), (32, 4, 6)]
)
def test_sums_of_many(lanes, slots, latency):
    rng = np.random.default_rng([SEED, lanes, slots])
    low, d = rng.integers(-8, 8, (2, 200, lanes))
    high, met = rng.integers(-8, 8, (2, 200, slots))
    for case, (a, b) in enumerate([(-8, -8), (-8, 7), (7, -8), (7, 7), (-1, 7)]):
        low[case], high[case], d[case], met[case] = a, a, b, b
    stimuli = [{"low": a, "d": b} for a, b in zip(low.tolist(), d.tolist(), strict=True)]
    if slots:
        stimuli = [
            s | {"high": a, "met": b} for s, a, b in zip(stimuli, high.tolist(), met.tolist(), strict=True)
        ]
    dut = Packed(lanes, slots)
    assert dut.latency == latency
    got = drive_pipeline(dut, stimuli, ["o"])
    assert [r["o"] for r in got] == ((low * d).sum(axis=1) + 16 * (high * met).sum(axis=1)).tolist()
    assert dut.lanes.bound == 64 * lanes + 1024 * slots


INDEX = SQFormat(16, 1, "int8", "index", "e3m2s")

CONFIGS = {
    "fp16": PRESETS["default"],
    "int8": PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, 32), 16, 1, 1024),
    "shared multiplier, a lane": PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4), 1, 1, 32),
    "no outliers": PEConfig(SQFormat(8, 0, mask="sentinel"), DenseFormat(4, 16), 8, 0, 256),
    "dense outliers": PEConfig(SQFormat(8, 1, "int8"), DenseFormat(4, 16, 2, 8), 8, 1, 256),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_processing_elements_agree_with_the_golden_model(name):
    """16 results each."""
    agrees(replace(CONFIGS[name], pipeline="long", multiplier="dsp"), name, ("both",))


@pytest.mark.parametrize(
    "name", ["2 of 32", "2 of 16, a scale per 32", "no groups", "two groups of an odd slot"]
)
def test_one_step_processing_elements_agree_with_the_golden_model(name):
    config = replace(ONE_STEP[name], pipeline="long", multiplier="dsp")
    assert check(config, ["both"]) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiplier": "block"}, "Multiplier must be 'sums' or 'dsp', not 'block'"),
        ({"pipeline": "short"}, "Pipeline must be 'long' in hardware with DSP blocks, not 'short'"),
        (
            {"sq": INDEX, "dense": DenseFormat(4, 16, scale="linear8", offset=True)},
            "Offset must be False in hardware with DSP blocks, not True",
        ),
        (
            {"sq": INDEX, "dense": DenseFormat(4, 16, 1, 16, "linear8", mask="index")},
            "Dense outliers beside an index mask and DSP blocks must be an integer from 0 to 0, not 1",
        ),
        ({"dense": DenseFormat(8, 64)}, "Dense bits must be 4 in hardware with DSP blocks, not 8"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError) as caught:
        replace(PRESETS["default"], **{"pipeline": "long", "multiplier": "dsp"} | changes)
    assert str(caught.value) == message
