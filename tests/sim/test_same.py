# amaranth: UnusedElaboratable=no
"""The printer's text is the machine that Amaranth describes: proven against Amaranth's own Verilog."""

import os
import re
from dataclasses import replace

import pytest
from amaranth.back import verilog

from sim.formal.same import same
from sqhw.array.array import ProcessingArray
from sqhw.encoder.config import ENCODERS
from sqhw.encoder.encoder import Encoder
from sqhw.engine.axi import AXIEngine
from sqhw.pe.axi import AXIProcessingElement
from sqhw.presets import ARRAYS, ENGINE_PRESETS, PRESETS
from sqhw.tools.tools import yosys
from sqhw.tools.verilog import convert

TINY = ENGINE_PRESETS["tiny"]
# Memories of few words: a proof takes them as registers.
DESIGNS = {
    **{f"pe {name}": (AXIProcessingElement, config) for name, config in PRESETS.items()},
    "array tiny": (ProcessingArray, ARRAYS["tiny"]),
    **{f"encoder {name}": (Encoder, replace(config, k_max=64)) for name, config in ENCODERS.items()},
    "engine tiny": (
        AXIEngine,
        replace(
            TINY, array=replace(TINY.array, pe=replace(TINY.pe, k_max=16)), block_tiles=1, m_max=4, n_max=4
        ),
    ),
}
QUICK = "pe tiny"


def both(component: type, config: object) -> tuple[str, str]:
    """Amaranth's Verilog and ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "YOSYS", yosys().path)
        patch.setitem(os.environ, "AMARANTH_USE_YOSYS", "system")
        theirs = verilog.convert(component(config), name="theirs", emit_src=False)
    return theirs, convert(component(config), "ours")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in DESIGNS]
)
def test_both_are_the_same_machine(name, tmp_path):
    found = same(both(*DESIGNS[name]), ("theirs", "ours"), tmp_path)
    assert found.differ == ()
    assert min(found.registers) > 500
    assert found.pairs > 2 * min(found.registers)
    print(f"{found.pairs} next states and outputs compared")


def test_a_difference_is_found(tmp_path):
    """Lengths within the limit are refused, and those beyond it are not."""
    theirs, ours = both(*DESIGNS[QUICK])
    (limit,) = re.findall(r"\] > (\d+'h[0-9a-f]+)\)", ours)
    found = same((theirs, ours.replace(f"] > {limit})", f"] <= {limit})")), ("theirs", "ours"), tmp_path)
    assert found.differ
