"""The Makefile and the CI script, with stand-ins for what takes long."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

# Stands for python3 and, copied into the environment, for its python: notes its arguments, makes
# an environment, and fails at installing while there is a file called broken.
PYTHON = """#!/bin/sh
here={folder}
echo "$*" >> $here/log
case "$*" in
  "-m venv "*) mkdir -p $3/bin && cp $here/python $3/bin/python ;;
  *"pip "*) test ! -e $here/broken ;;
esac
"""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Under `make test`, this make must not take itself for a child of that one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def python(tmp_path) -> Path:
    path = tmp_path / "python"
    path.write_text(PYTHON.format(folder=tmp_path))
    path.chmod(0o755)
    return path


def test_help_is_the_default():
    assert make().stdout == make("help").stdout
    targets = ("verilog", "sim", "synth", "test", "lint", "bench-reference", "capture", "accuracy", "clean")
    targets += ("ppa", "energy", "explore", "sim-array")
    assert all(f"\n  {target} " in make().stdout for target in targets)


def test_missing_python():
    result = make("venv", "PYTHON=no-such-python", "VENV=build/none")
    assert "Python 3.11 or newer is needed, but no-such-python is not on PATH\n" in result.stderr
    assert result.returncode


def test_old_python(tmp_path):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\ntest \"$1\" = -V && echo 'Python 3.9.2'\n")
    path.chmod(0o755)
    result = make("venv", f"PYTHON={path}", f"VENV={tmp_path}/venv")
    assert f"Python 3.11 or newer is needed, but {path} is Python 3.9.2: " in result.stderr
    assert result.returncode
    assert not (tmp_path / "venv").exists()


def test_half_made_environment_starts_over(python, tmp_path):
    arguments = ("venv", f"PYTHON={python}", f"VENV={tmp_path}/venv")

    def made() -> int:
        return (tmp_path / "log").read_text().count("-m venv ")

    (tmp_path / "broken").touch()
    assert make(*arguments).returncode
    assert not (tmp_path / "venv" / ".ready").exists()
    (tmp_path / "venv" / "left over").touch()
    (tmp_path / "broken").unlink()
    assert make(*arguments).returncode == 0
    assert made() == 2
    assert not (tmp_path / "venv" / "left over").exists()
    assert make(*arguments).returncode == 0
    assert made() == 2


def spaced(text: str) -> str:
    """Options that are not given leave blanks."""
    return " ".join(text.split())


def test_variables_reach_the_commands(python, tmp_path):
    common = ("-n", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    sim = make("sim", "SIM=icarus", "WAVES=1", "PRESET=tiny", *common).stdout
    assert "-m sim --preset tiny --simulator icarus --waves --output build/sim/sim.json" in spaced(sim)
    assert "-m sqhw.tools.tools iverilog" in sim
    plain = make("sim", "WAVES=0", *common).stdout
    assert "-m sim --simulator verilator --output build/sim/sim.json" in spaced(plain)
    assert "-m sqhw.tools.tools g++ make perl" in plain
    quick = make("accuracy", "QUICK=1", *common).stdout
    assert "-m sw_reference.accuracy --quick --output build/accuracy/accuracy.json" in quick
    assert "-m sqhw synth --preset wide" in make("synth", "PRESET=wide", *common).stdout


@pytest.mark.parametrize(
    ("status", "closing"),
    [(0, "12 passed, 3 deselected in 1.50s"), (2, "1 failed, 11 passed in 61.50s (0:01:01)")],
)
def test_ci_ends_with_the_closing_line(tmp_path, status, closing):
    stand_in = tmp_path / "make"
    stand_in.write_text(f"#!/bin/sh\necho '$ {closing}'\necho '{closing}'\necho 'make: ***'\nexit {status}\n")
    stand_in.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        [str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.splitlines()[-1]) == (status, closing)
