"""The core files in verilog/: their targets run as written, where FuseSoC is installed."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sqhw import __version__
from sqhw.tools.tools import verilator_environment

FOLDER = Path(__file__).parents[2] / "verilog"
CORES = {"sqhw:pe:sq_pe_default": "sq_pe_default", "sqhw:engine:sq_engine_tiny": "sq_engine_tiny"}


@pytest.mark.parametrize("core", CORES)
def test_core_files_name_this_version(core):
    assert f"name: {core}:{__version__}\n" in (FOLDER / f"{CORES[core]}.core").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("target", ["sim", "lint"])
def test_targets_run(core, target, tmp_path):
    if importlib.util.find_spec("fusesoc") is None:
        pytest.skip("fusesoc is not installed: requirements-architects.txt")
    if target == "sim" and not shutil.which("iverilog"):
        pytest.skip("needs Icarus Verilog")
    environment = os.environ | verilator_environment() | {"HOME": str(tmp_path)}
    fusesoc = str(Path(sys.executable).with_name("fusesoc"))
    command = [fusesoc, "--cores-root", str(FOLDER), "run", f"--target={target}", core]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    if target == "sim":
        assert "PASS" in shown
