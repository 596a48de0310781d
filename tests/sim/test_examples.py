# amaranth: UnusedElaboratable=no
"""``verilog/``: what is generated is up to date, its README is right, and its testbench compares results."""

import json
import re
import shutil
import subprocess

import pytest

from sim.examples import FOLDER, renew

BY_HAND = {
    "Makefile",
    "README.md",
    "Bender.yml",
    "testbench.v",
    "testbench_engine.v",
    "sq_engine_registers.h",
}
BY_HAND |= {"sq_pe_default.core", "sq_engine_tiny.core"}
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")


@pytest.fixture
def copy(tmp_path):
    """The folder without what its simulation builds."""
    return shutil.copytree(FOLDER, tmp_path / "verilog", ignore=shutil.ignore_patterns("build"))


def simulate(folder, *targets) -> tuple[int, str]:
    done = subprocess.run(["make", "-C", str(folder), *targets], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_committed_files_are_up_to_date(tmp_path):
    paths = [path.relative_to(tmp_path) for path in renew(tmp_path)]
    committed = [path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()]
    assert {path for path in committed if path.parts[0] != "build"} - set(paths) == {
        *map(type(paths[0]), BY_HAND)
    }
    stale = [path for path in paths if (tmp_path / path).read_bytes() != (FOLDER / path).read_bytes()]
    assert not stale, "renew them with: make -C verilog renew"


def test_readme_lists_the_fields():
    manifest = json.loads((FOLDER / "sq_pe_default.json").read_text())
    readme = (FOLDER / "README.md").read_text()
    shown = re.findall(r"^\| (?:`\w+`)? ?\| `(\w+)` \| (\d+):(\d+) \|", readme, re.MULTILINE)
    fields = [field for payload in manifest["payloads"].values() for field in payload]
    wanted = [(f["name"], str(f["offset"] + f["width"] - 1), str(f["offset"])) for f in fields]
    assert shown == wanted
    assert f"comes {manifest['latency']} cycles after" in readme
    assert all(name in readme for name in manifest["payloads"])


@needs_icarus
@pytest.mark.parametrize("target", ["pe", "lean", "engine"])
def test_testbench_compares_results(copy, target):
    code, shown = simulate(copy, target)
    assert code == 0, shown
    compared, of, differ = re.search(
        r"^(\d+) of (\d+) (?:words of )?results compared .*, (\d+) differ$", shown, re.M
    ).groups()
    assert (int(compared), int(differ)) == (int(of), 0)
    assert int(of) >= 24


@needs_icarus
@pytest.mark.parametrize(
    "break_it", ["a result", "no results", "a design that hangs", "a word of the engine"]
)
def test_testbench_fails(copy, break_it):
    if break_it == "a result":
        path = copy / "vectors" / "y.hex"
        path.write_text("3f800000\n" + path.read_text().split("\n", 1)[1])
    elif break_it == "an engine's word":
        path = copy / "vectors" / "engine_y.hex"
        path.write_text("3f800000\n" + path.read_text().split("\n", 1)[1])
    elif break_it == "no results":
        path = copy / "vectors" / "sizes.vh"
        path.write_text(re.sub(r"RESULTS = \d+", "RESULTS = 0", path.read_text()))
    else:
        path = copy / "sq_pe_default.v"
        text = path.read_text()
        path.write_text(
            text.replace(".s_axis_scale_tvalid", ".never").replace("pe_rst = ~aresetn", "pe_rst = 1'b1")
        )
    code, shown = simulate(copy)
    assert code != 0
    assert "PASS" not in shown
