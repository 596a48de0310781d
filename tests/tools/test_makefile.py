"""The Makefile and the CI script, with stand-ins for what takes long."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.command_lines import parse

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
    targets += ("area", "ppa", "energy", "explore", "sim-array", "softfloat", "verify")
    assert all(f"\n  {target} " in make().stdout for target in targets)
    groups = [line for line in make().stdout.splitlines() if line and line[0] != " " and ":" not in line]
    assert groups == ["Use", "Measure", "Verify", "Develop"]


def test_missing_python():
    result = make("venv", "PYTHON=no-such-python", "VENV=build/none")
    remedy = "run `sudo apt-get install python3 python3-venv`"
    assert (
        f"Python 3.11, 3.12 or 3.13 is needed, but no-such-python is not on PATH: {remedy}\n" in result.stderr
    )
    assert result.returncode


def test_old_python(tmp_path):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\ntest \"$1\" = -V && echo 'Python 3.9.2'\n")
    path.chmod(0o755)
    result = make("venv", f"PYTHON={path}", f"VENV={tmp_path}/venv")
    assert f"Python 3.11, 3.12 or 3.13 is needed, but {path} is Python 3.9.2: " in result.stderr
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


def test_environment_of_a_moved_checkout_is_made_anew(python, tmp_path):
    arguments = ("venv", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    stamp = tmp_path / "venv" / ".ready"
    assert make(*arguments).returncode == 0
    assert stamp.read_text() == f"{tmp_path}/venv\n"
    stamp.write_text("/elsewhere\n")
    (tmp_path / "venv" / "left over").touch()
    assert make(*arguments).returncode == 0
    assert stamp.read_text() == f"{tmp_path}/venv\n"
    assert not (tmp_path / "venv" / "left over").exists()


def test_an_environment_of_several_checkouts_stays(python, tmp_path):
    """What counts is where the environment lies, not which checkout uses it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("Makefile", "requirements.txt", "pyproject.toml"):
            (tmp_path / name / file).symlink_to(ROOT / file)
        arguments = ("-C", str(tmp_path / name), f"PYTHON={python}", f"VENV={tmp_path}/venv")
        assert make("venv", *arguments).returncode == 0
        (tmp_path / "venv" / "kept").touch()
    assert (tmp_path / "log").read_text().count("-m venv") == 1


@pytest.mark.parametrize("name", ["a b", "a'b", "a#b"])
def test_a_path_that_make_cuts_is_named_before_anything_is_installed(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for file in ("Makefile", "requirements.txt", "pyproject.toml", "sqhw"):
        (folder / file).symlink_to(ROOT / file)
    result = make("-C", str(folder), "sim", "PRESET=tiny", f"PYTHON={sys.executable}")
    bad = next(c for c in name if c not in "ab")
    assert f"Path must have no {bad!r}, at which make cuts it: move {folder}\n" in result.stderr
    assert result.returncode != 0
    assert not (folder / ".venv").exists()


def spaced(text: str) -> str:
    """Options that are not given leave blanks."""
    return " ".join(text.split())


def test_variables_reach_the_commands(python, tmp_path):
    common = ("-n", f"PYTHON={python}", f"VENV={tmp_path}/venv")

    def shown(*arguments: str) -> str:
        return spaced(make(*arguments, *common).stdout)

    sim = shown("sim", "SIM=icarus", "WAVES=1", "PRESET=tiny")
    assert "-m sqhw sim --preset tiny --simulator icarus --waves" in sim
    assert "require(sys.argv[1:]))' iverilog" in sim
    assert sim.index("iverilog") < sim.index("-m venv")  # what is missing is said before the install
    plain = shown("sim", "WAVES=0", "OUTPUT=a.json")
    assert "-m sqhw sim --simulator verilator --output a.json" in plain
    assert "require(sys.argv[1:]))' g++ make perl" in plain
    assert shown("accuracy", "QUICK=1").endswith("-m sqhw measure accuracy --quick")
    assert shown("synth", "PRESET=paper").endswith("-m sqhw measure resources --preset paper")
    assert shown("area", "OUTPUT=docs").endswith("-m sqhw measure area --output docs")
    assert shown("bitstream", "BOARD=ulx3s").endswith("-m sqhw bitstream ulx3s")


def test_a_question_keeps_its_quotes(python, tmp_path):
    question = "Who said \"a\", `b` and 'c'?"
    assert not make("generate", f"PROMPT={question}", f"PYTHON={python}", f"VENV={tmp_path}/venv").returncode
    assert (tmp_path / "log").read_text().endswith(f"-m sqhw generate {question} --backend rtl\n")


def test_every_command_of_a_target_exists(python, tmp_path):
    """Each target that runs sqhw names a command of the tree, with options that it has."""
    lines = [line.split("  ")[1] for line in make().stdout.splitlines() if line.startswith("  ")]
    compared = 0
    for target in " ".join(lines[:-1]).split():
        text = make("-n", target, "PYTHON=" + str(python), f"VENV={tmp_path}/venv").stdout
        for typed in re.findall(r"-m sqhw ([^&\n]*)", text):
            parse(typed)
            compared += 1
    assert compared >= 20


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
