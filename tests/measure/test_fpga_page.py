"""FPGAs: the page of stand-in units, and what docs/pipelines.md says against the committed report."""

import json

from sqhw.measure import fpga_page, pages

SLOWEST = {"from": "mac.a", "to": "mac.b", "logic_ns": 1.25, "wires_ns": 3.3}
UNIT = {"name": "sq_16_pe", "title": "SQ x INT4", "lanes": 16, "size": "pe", "ecp5": {"LUT": 3200, "FF": 400}}


def page(**more):
    report = {"command": "command", "tools": {"sqhw": "0"}, "seeds": [1], "goals": []}
    return fpga_page.page(report | {"units": [UNIT | more]})


def test_the_page():
    assert "| SQ x INT4 | 16 | 3,200 | 400 | 200.0 | 219.8 |" in page(mhz=219.78, slowest=SLOWEST)
    row = "| SQ x INT4 | 16 | pe | `mac.a` | `mac.b` | 1.25 | 3.30 |"
    assert row in page(mhz=219.78, slowest=SLOWEST)
    assert "Longest paths" not in page()


def test_what_pipelines_bring():
    text = " ".join((pages.ROOT / "docs" / "pipelines.md").read_text().split())
    units = {u["name"]: u for u in json.loads((pages.RESULTS / "fpga.json").read_text())["units"]}
    for preset, family, lanes in (("default", "sq", 16), ("lean", "lean", 32)):
        short, long, dsp = (units[f"{family}{kind}_{lanes}_pe"] for kind in ("", "_long", "_dsp"))
        tables, registers = (f"{short['ecp5'][kind]:,} → {long['ecp5'][kind]:,}" for kind in ("LUT", "FF"))
        array = units[f"{family}_long_{lanes}_2x2"]["mhz"]
        row = f"| `{preset}`, {lanes} lanes | {tables} | {registers} | {long['mhz']:.0f} | {array:.0f} |"
        assert row in text
        assert f"{dsp['ecp5']['LUT']:,}" in text
        assert f"{dsp['mhz']:.0f}" in text
    assert f"The short pipeline of `default` reaches {units['sq_16_pe']['mhz']:.0f} MHz" in text


def test_lookup_tables_beside_rivals():
    """What the page says of the committed report; nothing where a unit is missing."""
    report = json.loads((pages.RESULTS / "fpga.json").read_text())
    tables = {u["name"]: u["ecp5"]["LUT"] for u in report["units"] if "ecp5" in u}
    text = " ".join(fpga_page.page(report).split())
    lean, fine, int8, nvfp4 = (tables[f"{n}_32_pe"] for n in ("lean", "fine", "w4a8_linear", "nvfp4"))
    assert f"*lean* takes {lean / int8:.2f} of the tables of INT4 x INT8 and {lean / nvfp4:.2f}" in text
    assert f"*fine* takes {fine / int8:.2f} and {fine / nvfp4:.2f}: more than either." in text
    assert fine > max(int8, nvfp4)
    assert f"*lean* takes {tables['lean_long_32_pe']:,} lookup tables, more than the 2,717" in text
    assert tables["lean_long_32_pe"] > 2717
    units = [unit for unit in report["units"] if unit["name"] != "fine_32_pe"]
    assert "lookup tables" not in fpga_page.page(report | {"units": units}).partition("## Goals")[2]
