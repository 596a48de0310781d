# amaranth: UnusedElaboratable=no
"""The driver says how a job ended, and the next one is right."""

import numpy as np
import pytest

from sqhw.driver.engine import Engine, EngineError, golden
from sqhw.driver.rtl import RTLDevice
from tests.engine.engine_jobs import (
    CONFIG,
    WORD,
    device,
    operands,
)


def test_the_driver_says_how_a_job_ended():
    """And leaves the engine ready for the next one."""
    rng = np.random.default_rng(15)
    x, w = operands(rng, 3, 3, 20)

    class Bent(RTLDevice):
        """Sends other packets than it is given."""

        bend = staticmethod(lambda sq, dense: (sq, dense))

        def run(self, sq, dense, **options):
            return super().run(*self.bend(sq, dense), **options)

    dut = device()
    dut.reset()
    bent = Bent(CONFIG, dut._library._name)
    engine = Engine(CONFIG, bent)
    for bend, message in (
        (lambda sq, dense: (sq[:-WORD], dense), "sq_early"),
        (lambda sq, dense: (sq, bytes(4) + dense[4:]), "scale"),
        (lambda sq, dense: (sq, b""), "no results"),
    ):
        bent.bend = bend
        with pytest.raises(EngineError, match=f"^Job of M = 3, N = 3, K = 20 failed: {message}$"):
            engine.matmul(x, w)
        bent.bend = Bent.bend
        assert engine.matmul(x, w).tobytes() == golden(x, w).tobytes()
