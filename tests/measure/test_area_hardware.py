# amaranth: UnusedElaboratable=no
"""Measured hardware computes what it is measured for: units between operand registers, alone or as arrays."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.config import ArrayConfig, PEConfig
from sqhw.measure.core import BareArray, BarePE, ShiftHarness
from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import RIVALS
from sqhw.measure.ungated import ungated
from sqhw.measure.units import CONFIGS, SQ, harnessed, unit, units
from sqhw.packing import dense_beats, sq_beats, tile_beats
from sqhw.pe.blocks import stepped
from sqhw.pe.outliers import outlier_path
from sqhw.presets import PRESETS
from sw_reference.codes import GROUP_SCALE_VALUES
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.rivals import integer_dot
from tests.hardware import drive_stream, simulate
from tests.measure.tiles import run_array
from tests.reference.cases import random_dense, random_sq

SEED = 20251124
LANES = 2


@pytest.mark.parametrize("name", ["w4a4", "w4a8", "w6a6", "w8a8", "w4a8-linear", "w4a8-pairs", "w8a8-pairs"])
@pytest.mark.parametrize("size", [(1, 1, False), (3, 2, True)])
def test_integer_rivals(name, size):
    rng = np.random.default_rng([SEED, *map(ord, name)])
    rows, columns, drained = size
    rival = RIVALS[name](LANES)
    a_bits, b_bits = rival.arguments[:2]
    beats = 4
    a = rng.integers(-(1 << a_bits - 1), 1 << a_bits - 1, (rows, beats, LANES))
    b = rng.integers(-(1 << b_bits - 1), 1 << b_bits - 1, (columns, beats, LANES))
    values = np.arange(256) if "-linear" in name else GROUP_SCALE_VALUES
    group_scale = rng.integers(0, len(values), (columns, beats))
    grouped = "group_scale" in rival.column
    row_beats = [
        [{"a": a[r, k].tolist(), "valid": 1, "clear": int(k == 0)} for k in range(beats)] for r in range(rows)
    ]
    column_beats = [
        [
            {"b": b[c, k].tolist()} | ({"group_scale": int(group_scale[c, k])} if grouped else {})
            for k in range(beats)
        ]
        for c in range(columns)
    ]
    dut = RivalArray(rival, rows, columns, drained=drained)
    got = run_array(dut, row_beats, column_beats, beats, rows)
    want = [
        [integer_dot(x, y, values[t] if grouped else None) for y, t in zip(b, group_scale, strict=True)]
        for x in a
    ]
    assert got == want
    assert len(got) * len(got[0]) == rows * columns


def test_fp16_decoders_stand_once_per_row_and_column():
    dut = RivalArray(RIVALS["fp16"](2), 1, 2, drained=True)
    codes = np.array([[1.5, -2.0], [0.25, 3.0]], np.float16).view(np.uint16)
    other = np.array([[[2.0, 1.0], [4.0, 1.0]], [[6e-8, 0.0], [1.0, 1.0]]], np.float16).view(np.uint16)
    rows = [[{"a": beat.tolist(), "valid": 1, "clear": int(k == 0)} for k, beat in enumerate(codes)]]
    columns = [[{"b": beat.tolist()} for beat in column] for column in other]
    got = run_array(dut, rows, columns, 2, 1)
    subnormal = np.float32(1.5) * np.float32(np.float16(6e-8))
    want = [np.float32(5.0), np.float32(subnormal + np.float32(3.25))]
    assert got == [[int(x.view(np.uint32)) for x in want]]


CONFIG = PEConfig(SQFormat(4, 2, "fp16"), DenseFormat(4, 8), lanes=4, outlier_lanes=1, k_max=64)


def tensors(rows, columns, config=CONFIG):
    rng = np.random.default_rng(SEED)
    return random_sq(rng, config.sq, rows, 20), random_dense(rng, config.dense, columns, 20)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("high", ["fp16", "int8"])
def test_bare_pe(high, free):
    """With outlier lanes whose operand registers hold, and with lanes that multiply zeros."""
    config = replace(CONFIG, sq=replace(CONFIG.sq, high=high))
    sq, dense = tensors(3, 3, config)
    path = outlier_path(config)
    dut = BarePE(config, stepped(ungated(path) if free else path))
    got, errors = [], []

    async def feed(ctx):
        ctx.set(dut.valid, 1)
        for row, column in zip(sq_beats(config, sq), dense_beats(config, dense), strict=True):
            for beat, other in zip(row, column, strict=True):
                ctx.set(Value.cast(dut.sq), beat)
                ctx.set(Value.cast(dut.dense), other)
                *_, ready = await ctx.tick().sample(dut.ready)
                while not ready:
                    *_, ready = await ctx.tick().sample(dut.ready)
        ctx.set(dut.valid, 0)

    async def watch(ctx):
        while len(got) < 3:
            *_, valid, acc, error = await ctx.tick().sample(dut.acc_valid, dut.acc, dut.acc_error)
            if valid:
                got.append(acc)
                errors.append(error)

    simulate(dut, feed, watch, limit=200)
    acc = multiply(sq, dense).acc
    assert got == [int(acc[index, index]) for index in range(3)]
    assert errors == [0, 0, 0]


def test_bare_array():
    sq, dense = tensors(2, 3)
    config = ArrayConfig(CONFIG, 2, 3)
    beats = tile_beats(config, sq_beats(CONFIG, sq), dense_beats(CONFIG, dense))
    inputs = dict(zip(("i_sq", "i_dense"), beats, strict=True))
    received, _ = drive_stream(BareArray(config), inputs, 2, stalls="both", seed=SEED)
    bits = CONFIG.acc_bits
    want = [
        sum((int(acc) & (1 << bits) - 1) << bits * column for column, acc in enumerate(row))
        | last << 3 * bits + 1
        for row, last in zip(multiply(sq, dense).acc, (0, 1), strict=True)
    ]
    assert received == want


class _Swap(wiring.Component):
    a: In(3)
    b: In(2)
    x: Out(2)
    y: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.x.eq(self.b), self.y.eq(self.a)]
        return m


def test_shift_harness():
    dut = ShiftHarness(_Swap())
    seen = []

    async def testbench(ctx):
        for bit in (1, 0, 1, 1, 0):  # last in is the lowest bit: b = 10, a = 110
            ctx.set(dut.i, bit)
            await ctx.tick()
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for _ in range(5):
            seen.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench, limit=20)
    assert seen == [1, 1, 0, 1, 0]  # y = a = 110, then x = b = 10


def test_names_and_sizes():
    measured = units()
    assert len({u.name for u in measured}) == len(measured) > 50
    assert unit("sq", 32, (8, 8)).macs == 2048
    assert unit("w4a8", 16, None).name == "w4a8_16_pe"
    assert harnessed(unit("sq", 16, None)).name == "sq_placed_16_pe"
    for lanes, config in SQ.items():
        assert config.lanes == lanes
        assert CONFIGS["sq-dense"](lanes).slots == 0
    for name in ("lean", "fine"):
        assert CONFIGS[name](32) == PRESETS[name]
        assert unit(name, 64, (8, 8)).macs == 4096
