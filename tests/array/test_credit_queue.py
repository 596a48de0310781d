# amaranth: UnusedElaboratable=no
"""Credit queue and credits."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sqhw.arith.pipeline import delay
from sqhw.array.credit_queue import CreditQueue, Credits
from sqhw.console import SEED
from tests.hardware import STALLS, drive_stream


class Credited(wiring.Component):
    """A credit queue behind registers that cannot stop, and the credits for it."""

    def __init__(self, credits, cycles):
        self._credits, self._cycles = credits, cycles
        super().__init__({"i": In(stream.Signature(unsigned(8))), "o": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = CreditQueue(unsigned(8), self._credits)
        m.submodules.credits = credits = Credits(self._credits)
        connect(m, queue.o, flipped(self.o))
        m.d.comb += [
            self.i.ready.eq(credits.left),
            credits.spend.eq(self.i.valid & credits.left),
            credits.give.eq(self.o.valid & self.o.ready),
            queue.i.valid.eq(delay(m, credits.spend, self._cycles, name="valid", reset=True)),
            queue.i.payload.eq(delay(m, self.i.payload, self._cycles, name="payload")),
        ]
        return m


@pytest.mark.parametrize(("credits", "cycles"), [(1, 0), (2, 0), (2, 1), (7, 3), (7, 5), (8, 2)])
@pytest.mark.parametrize("stalls", STALLS)
def test_credit_queue(credits, cycles, stalls):
    """Nothing lost, doubled or reordered; where nobody stalls, a payload per cycle if credits suffice."""
    words = [random.Random(index).randrange(256) for index in range(100)]
    dut = Credited(credits, cycles)
    got, when = drive_stream(dut, {"i": words}, len(words), stalls=stalls, seed=SEED)
    assert got == words
    away = cycles + CreditQueue.latency + 1  # cycles until a credit can be spent again
    if stalls == "none":
        apart = np.diff(when[::credits])
        assert set(apart.tolist()) == {max(credits, away)}
