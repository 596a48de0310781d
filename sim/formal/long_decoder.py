"""Formal contract of a decoder in a long pipeline: that of the short one, two cycles later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth.hdl import Assert, Cover, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.arith.pipeline import delay
from sqhw.config import PEConfig
from sqhw.layouts import sq_beat_layout, step_layout
from sqhw.pe.decoder import BitmapDecoder, decoder_latency
from sqhw.pe.mask import first_outliers

from .decoder import Bug, marked
from .harness import embed, inner, rank_below

__all__ = ["LongDecoderProof"]


class LongDecoderProof(wiring.Component):
    """Asserts that a long decoder shows what a short one shows whose beats come as many cycles later.

    The short one has a proof of its own. Both move together, so their registers hold the same; what the long
    one has counted and found on the way is tied to the beats that it belongs to.

    Parameters
    ----------
    config
        Of the decoders, but for their pipeline.
    bug
        Spoils what the long decoder shows: called with module, decoder and the signals that stand for its
        output.

    Members
    -------
    beat, valid, ready
        The decoders' inputs, all free.
    """

    def __init__(self, config: PEConfig, *, bug: Bug | None = None):
        self._config = config
        self._bug = bug
        super().__init__({"beat": In(sq_beat_layout(config)), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        long, short = replace(config, pipeline="long"), replace(config, pipeline="short")
        wait = decoder_latency(long) - decoder_latency(short)
        dut, reference = BitmapDecoder(long), BitmapDecoder(short)
        fragment, other = embed(m, "decoder", dut), embed(m, "reference", reference)
        move = reference.i.ready
        beats, valids = [self.beat], [self.valid]
        for age in range(1, wait + 1):
            beats.append(delay(m, beats[-1], 1, name=f"beat{age}", en=move))
            valids.append(delay(m, valids[-1], 1, name=f"valid{age}", en=move, reset=True))
        m.d.comb += [
            dut.i.payload.eq(self.beat),
            dut.i.valid.eq(self.valid),
            reference.i.payload.eq(beats[-1]),
            reference.i.valid.eq(valids[-1]),
            dut.o.ready.eq(self.ready),
            reference.o.ready.eq(self.ready),
        ]
        step = Signal(step_layout(config), name="step")
        m.d.comb += step.eq(dut.o.payload)
        if self._bug:
            self._bug(m, dut, step)
        m.d.comb += [
            Assert(dut.i.ready == move, "a beat is taken when the short one takes one"),
            Assert(dut.o.valid == reference.o.valid, "a step is offered when the short one offers one"),
            Assert(Value.cast(step) == Value.cast(reference.o.payload), "every step is the short one's"),
            Cover(dut.o.valid & self.ready & dut.o.payload.last & ~dut.o.payload.error),
        ]
        for age in range(1, wait + 1):
            self._same(m, inner(fragment, f"beat_{age}"), beats[age], "beats on the way")
            self._same(m, inner(fragment, f"valid_{age}"), valids[age], "beats on the way")
        for name in self._registers():
            self._same(m, inner(fragment, name), inner(other, name), f"{name} is the short one's")
        self._counted(m, fragment, [marked(config, beat) for beat in beats[1:]])
        return m

    @staticmethod
    def _same(m: Module, found: Any, wanted: Any, what: str) -> None:
        m.d.comb += Assert(Value.cast(found) == Value.cast(wanted), f"invariant: {what}")

    def _registers(self) -> list[str]:
        """What both decoders have."""
        config = self._config
        names = ["monitor.banks"]
        if config.beats_per_bank > 1:
            names += ["monitor.beat_of_bank", "monitor.before"]
        return names + (["rest", "codes"] if config.slots > config.outlier_lanes else [])

    def _counted(self, m: Module, fragment: Any, masks: list[Any]) -> None:
        """Invariants: parts of the first mask and the sum of the second, and what was found in both."""
        lanes = self._config.lanes
        for part, lane in enumerate(range(0, lanes, 8)):
            mask = masks[0][lane : lane + 8]
            self._same(m, inner(fragment, f"part{part}"), rank_below(mask, len(mask)), "outliers are counted")
        self._same(m, inner(fragment, "total"), rank_below(masks[1], lanes), "outliers are counted")
        if not 1 < self._config.slots <= self._config.outlier_lanes:
            return
        for age, mask in enumerate(masks, start=1):
            picks, left = first_outliers(m, mask, age)
            for number, pick in enumerate(picks):
                self._same(m, inner(fragment, f"found{number}_{age}"), pick, "outliers are found")
            self._same(m, inner(fragment, f"rest_{age}"), left, "outliers are left")
