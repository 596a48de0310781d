# amaranth: UnusedElaboratable=no
"""Emitted Verilog: what the manifest says, the same bytes every time, accepted by other tools."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.config import PRESETS
from sqhw.emit import Design, convert, emit, module_name, pinned_yosys, write
from sqhw.tools.lint import lint
from sqhw.tools.tools import ToolError, yosys

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "verilog"
REPORT = ROOT / "docs" / "results" / "synth.json"
TIMING = ("latency", "latency_max", "result_interval")


@cache
def emitted(label: str) -> Design:
    return emit(PRESETS[label], module_name(label))


@pytest.fixture(params=list(PRESETS))
def design(request) -> Design:
    return emitted(request.param)


@pytest.fixture
def default() -> Design:
    return emitted("default")


@pytest.fixture
def verilog_file(design, tmp_path) -> Path:
    return write([design], tmp_path)[0]


def test_manifest_names_the_text(design):
    assert design.manifest["sha256"] == hashlib.sha256(design.verilog.encode()).hexdigest()
    assert design.manifest["module"] == design.name
    assert f"\nmodule {design.name}(" in design.verilog


def test_manifest_lists_the_ports(design):
    """The top module's declarations, read from the Verilog."""
    body = re.search(rf"^module {design.name}\(.*?^endmodule", design.verilog, re.M | re.S)[0]
    declared = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.M)
    }
    assert declared == {port["name"]: (port["direction"], port["width"]) for port in design.manifest["ports"]}


def test_manifest_lays_out_tdata(design):
    """Fields follow each other without a gap, and the port is the next whole byte."""
    widths = {port["name"]: port["width"] for port in design.manifest["ports"]}
    for port, fields in design.manifest["payloads"].items():
        ends = [0]
        for field in fields:
            assert field["offset"] == ends[-1]
            assert field["width"] == field.get("elements", 1) * field.get("element_width", field["width"])
            ends.append(field["offset"] + field["width"])
        assert widths[port] == -(-ends[-1] // 8) * 8


def test_manifest_gives_the_parameters():
    manifest = emitted("wide").manifest
    assert manifest["parameters"] == {
        "sq": {"bank": 32, "outliers": 2, "high": "fp16", "mask": "bitmap"},
        "dense": {"bits": 4, "group": 64, "outliers": 0, "bank": None},
        "lanes": 32,
        "outlier_lanes": 1,
        "k_max": 4096,
        "output": "pipelined",
        "pipeline": "short",
    }
    assert manifest["format"] == {
        "sq_bits_per_element": 6.25,
        "dense_bits_per_element": 4.125,
        "sparsity": 0.9375,
        "beats_per_bank": 1,
        "high_codes_per_beat": 2,
        "accumulator_bits": PRESETS["wide"].acc_bits,
    }


def test_manifest_gives_the_timing():
    timing = {name: [emitted(name).manifest[key] for key in TIMING] for name in ("default", "tiny")}
    assert timing == {"default": [26, 26, 1], "tiny": [37, 109, 32]}


def test_committed_verilog_is_up_to_date(default, tmp_path):
    write([default], tmp_path)
    stale = [
        path.name
        for path in tmp_path.iterdir()
        if not (COMMITTED / path.name).exists() or path.read_bytes() != (COMMITTED / path.name).read_bytes()
    ]
    assert not stale, "renew it with: sqhw verilog --preset default --output verilog"


@pytest.mark.skipif(not REPORT.exists(), reason="no report is committed")
def test_committed_resources_are_of_this_verilog(design):
    modules = {entry["module"]: entry["sha256"] for entry in json.loads(REPORT.read_text())["designs"]}
    assert modules[design.name] == design.manifest["sha256"], "renew it with: make synth SYNTH=docs/results"


def test_same_bytes_in_another_process(tmp_path):
    """Neither the order of hashing nor the current folder enters the text."""
    texts = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "sqhw", "verilog", "--preset", "tiny", "--output", "out"]
        folder.mkdir()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        texts.append([path.read_bytes() for path in sorted((folder / "out").iterdir())])
    assert len(texts[0]) == 2
    assert texts[0] == texts[1]


def test_manifest_file_is_the_manifest(verilog_file, design):
    assert json.loads(verilog_file.with_suffix(".json").read_text()) == design.manifest


def test_verilator_has_no_warnings(verilog_file, design):
    lint(verilog_file, design.name)


def test_verilator_finds_faults(tmp_path):
    path = tmp_path / "sq_pe_bad.v"
    path.write_text("module sq_pe_bad(input a, output b);\nendmodule\n")
    with pytest.raises(ToolError) as error:
        lint(path, "sq_pe_bad")
    assert str(error.value).startswith(f"Verilator does not accept {path}:\n%Warning-UNDRIVEN")


def test_waivers_are_needed(default, tmp_path):
    """If Amaranth or Yosys stops causing a warning, its waiver should go."""
    path = write([default], tmp_path)[0]
    with pytest.raises(ToolError) as error:
        lint(path, default.name, waivers=None)
    found = set(re.findall(r"%Warning-(\w+)", str(error.value)))
    assert found == {"DECLFILENAME", "PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC"}


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")
def test_icarus_accepts(verilog_file, design):
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", design.name, str(verilog_file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


class _Wire(wiring.Component):
    i: In(2)
    o: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


@pytest.mark.parametrize("name", ["", "1st", "a b", "a.b", "é"])
def test_module_name_is_checked(name):
    with pytest.raises(ValueError, match=rf"^Module name must be a Verilog identifier, not {name!r}$"):
        convert(_Wire(), name)


def test_environment_is_left_alone(monkeypatch):
    monkeypatch.setenv("YOSYS", "mine")
    monkeypatch.delenv("AMARANTH_USE_YOSYS", raising=False)
    assert "module wire2" in convert(_Wire(), "wire2")
    assert (os.environ["YOSYS"], os.environ.get("AMARANTH_USE_YOSYS")) == ("mine", None)


def test_threads_do_not_take_the_pinned_yosys_from_each_other(monkeypatch):
    monkeypatch.delenv("YOSYS", raising=False)
    begun, left, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        begun.set()
        with pinned_yosys():
            left.wait(5)
            seen.append(os.environ.get("YOSYS"))

    thread = threading.Thread(target=other)
    with pinned_yosys():
        thread.start()
        begun.wait(5)
        time.sleep(0.1)  # time to change the environment under our feet, were it free to
    left.set()
    thread.join()
    assert seen == [yosys().path]
    assert "YOSYS" not in os.environ
