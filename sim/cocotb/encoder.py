"""cocotb test of an encoder's emitted Verilog on real activations; its parameters come by environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from sim.bench.dut import EncoderBench
from sqhw.encoder.config import encoder_preset
from sqhw.encoder.payloads import encoded_row, row_words
from sw_reference.activations import load_activations

NAME = os.environ["SQHW_ENCODER"]
CONFIG = encoder_preset(NAME)
SEED = int(os.environ["SQHW_SEED"])
REPORT = Path(os.environ["SQHW_REPORT"])


@cocotb.test()
async def real_activations(dut: Any) -> None:
    """Every captured layer, site and token, without stalls, which shows the speed, and with stalls."""
    bench = EncoderBench(dut, SEED)
    await bench.start()
    compared = differ = 0
    with REPORT.open("a") as report:
        for site in load_activations().sites:
            rows = list(site.x.astype(np.float16))
            words = [word for row in rows for word in row_words(CONFIG, row)]
            expected = [beat for row in rows for beat in encoded_row(CONFIG, row)]
            free = await bench.run(words, len(expected))
            held = await bench.run(words, len(expected), pause_in=0.1, pause_out=0.5)
            wrong = sum(
                got != want for run in (free, held) for got, want in zip(run.y, expected, strict=True)
            )
            banks = 2 * len(expected)
            row = {
                "encoder": NAME,
                "layer": f"layer {site.layer}",
                "site": site.name,
                "compared": banks,
                "banks_that_differ": wrong,
                "cycles": free.busy,
                "utilization": free.beats / free.busy,
            }
            report.write(json.dumps(row) + "\n")
            compared += banks
            differ += wrong
    assert compared > 0, "nothing was compared"
    assert differ == 0, f"{differ} banks differ from the golden model"
    cocotb.log.info("%d banks compared, none differs (seed %d)", compared, SEED)
