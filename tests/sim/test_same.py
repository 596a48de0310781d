# amaranth: UnusedElaboratable=no
"""The printer's text is the machine that Amaranth describes: proven against Amaranth's own Verilog."""

import os
import re
from dataclasses import replace

import pytest
from amaranth.back import verilog

from sim.formal.same import same
from sqhw.engine.axi import AXIEngine
from sqhw.pe.axi import AXIProcessingElement
from sqhw.presets import ENGINE_PRESETS, PRESETS
from sqhw.tools.tools import yosys
from sqhw.tools.verilog import convert

CONFIG = PRESETS["tiny"]
TINY = ENGINE_PRESETS["tiny"]
ENGINE = replace(
    TINY, array=replace(TINY.array, pe=replace(TINY.pe, k_max=16)), block_tiles=1, m_max=4, n_max=4
)
"""With memories of few words, which a proof takes as registers."""


def both(component: type, config: object) -> tuple[str, str]:
    """Amaranth's Verilog and ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "YOSYS", yosys().path)
        patch.setitem(os.environ, "AMARANTH_USE_YOSYS", "system")
        theirs = verilog.convert(component(config), name="theirs", emit_src=False)
    return theirs, convert(component(config), "ours")


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    return both(AXIProcessingElement, CONFIG)


def test_both_are_the_same_machine(texts, tmp_path):
    found = same(texts, ("theirs", "ours"), tmp_path)
    assert found.differ == ()
    assert min(found.registers) > 500
    assert found.pairs > 1000


@pytest.mark.slow
def test_an_engine_is_the_same_machine(tmp_path):
    found = same(both(AXIEngine, ENGINE), ("theirs", "ours"), tmp_path)
    assert found.differ == ()
    assert min(found.registers) > 5000
    assert found.pairs > 10_000


def test_a_difference_is_found(texts, tmp_path):
    """Lengths within the limit are refused, and those beyond it are not."""
    theirs, ours = texts
    (limit,) = re.findall(r"\] > (\d+'h[0-9a-f]+)\)", ours)
    found = same((theirs, ours.replace(f"] > {limit})", f"] <= {limit})")), ("theirs", "ours"), tmp_path)
    assert found.differ
