# amaranth: UnusedElaboratable=no
"""The printer's text is the machine that Amaranth describes: proven against Amaranth's own Verilog."""

import os

import pytest
from amaranth.back import verilog

from sim.formal.same import same
from sqhw.pe.axi import AXIProcessingElement
from sqhw.presets import PRESETS
from sqhw.tools.tools import yosys
from sqhw.tools.verilog import convert

CONFIG = PRESETS["tiny"]


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    """Amaranth's Verilog and ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "YOSYS", yosys().path)
        patch.setitem(os.environ, "AMARANTH_USE_YOSYS", "system")
        theirs = verilog.convert(AXIProcessingElement(CONFIG), name="theirs", emit_src=False)
    return theirs, convert(AXIProcessingElement(CONFIG), "ours")


def test_both_are_the_same_machine(texts, tmp_path):
    found = same(texts, ("theirs", "ours"), tmp_path)
    assert found.differ == ()
    assert min(found.registers) > 500
    assert found.pairs > 1000


def test_a_difference_is_found(texts, tmp_path):
    """A dot product may be one bank longer."""
    theirs, ours = texts
    assert ours.count("banks == 9'h100") == 1
    found = same((theirs, ours.replace("banks == 9'h100", "banks == 9'h101")), ("theirs", "ours"), tmp_path)
    assert found.differ
