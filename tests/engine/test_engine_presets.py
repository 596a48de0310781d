# amaranth: UnusedElaboratable=no
"""The largest engines with names: their Verilog gives no warning. Their products are measured elsewhere."""

import pytest

from sqhw.emit import emit, write
from sqhw.presets import engine_preset
from sqhw.tools.lint import lint


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both", "fine", "decode"])
def test_verilog_lints(tmp_path, name):
    design = emit(engine_preset(name), f"sq_engine_{name}")
    lint(write([design], tmp_path)[0], design.name)
