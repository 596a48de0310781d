"""The summary joins reports by product; what a report lacks is None."""

import json

import pytest

from sqhw.measure import pages
from sqhw.measure.summary import PRODUCTS, document, table

KEYS = """name title lanes array bits_activation bits_weight scheme rule tokens
perplexity_percent perplexity_error
kl_x100 kl_error um2_per_mac ge_per_mac mhz fj_per_mac
ratio_w4a8 ratio_w4a4 ratio_w8a8 ratio_nvfp4 cells command"""


def area_unit(family, um2, size="8x8", **more):
    macs = 2048 if size == "8x8" else 32
    numbers = {"macs": macs, "um2": um2, "gates_per_mac": um2 / macs}
    return {"family": family, "lanes": 32, "size": size} | numbers | more


def element(family, *periods):
    return area_unit(family, 1, "pe", clock=[{"period": period} for period in periods])


AREA = {
    "command": "area",
    "libraries": {"area": {"title": "sky"}, "clock": {"title": "osu"}},
    "units": [
        *(area_unit("lean", 2048), area_unit("w4a8-linear", 8192), area_unit("w4a8-linear-pairs", 4096)),
        *(element("lean", 5.0, 4.0), element("w4a8-linear", 5.0), area_unit("w4a8", 1024)),
    ],
}
ENERGY = {
    "command": "energy",
    "volt": 2,
    "units": [
        {"name": name, "switching_per_mac": 30.0, "clock_per_mac": 20.0}
        for name in ("lean_32", "w4a8_linear_32")
    ],
}
LOSS = {"delta_percent": 1.0, "standard_error": 0.5, "kl_x100": 4.0, "kl_error": 0.25, "tokens": 1023}
LOSS |= {"configuration": {"activation": {"format": "SQ", "scale": "least_squares"}}}
IMPORTED = {
    "command": "accuracy",
    "configuration": {"windows": 4},
    "rows": [{"scheme": "imported, A 2/32 e3m2s index"} | LOSS],
}


def test_reports_are_joined():
    rows = {row["name"]: row for row in document(AREA, ENERGY, IMPORTED)["rows"]}
    assert list(rows) == ["lean", "w4a8", *(p.name for p in PRODUCTS if p.name not in ("lean", "w4a8"))]
    lean, rival = rows["lean"], rows["w4a8"]
    assert set(lean) == set(KEYS.split())
    assert (lean["um2_per_mac"], lean["mhz"], lean["fj_per_mac"]) == (1.0, 200.0, 200.0)
    assert (lean["kl_x100"], lean["perplexity_percent"], lean["bits_activation"]) == (4.0, 1.0, 4.75)
    assert (lean["rule"], lean["tokens"], rows["w4a8"]["rule"]) == ("least_squares", 1023, None)
    assert (lean["ratio_w4a8"], lean["ratio_w4a4"]) == (0.5, None)  # the smaller of two forms
    # Area of pairs, but clock and energy were measured of single products.
    assert [rival[name] for name in ("um2_per_mac", "kl_x100", "mhz", "fj_per_mac")] == [2.0, *3 * [None]]
    assert rows["if4"]["um2_per_mac"] is None


def test_clock_and_energy_are_of_the_form_of_the_area():
    forms = [
        area_unit("w4a8-linear", 4096),
        area_unit("w4a8-linear-pairs", 8192),
        element("w4a8-linear", 5.0),
    ]
    single = {**AREA, "units": forms}
    rows = {row["name"]: row for row in document(single, ENERGY, IMPORTED)["rows"]}
    assert [rows["w4a8"][name] for name in ("um2_per_mac", "mhz", "fj_per_mac")] == [2.0, 200.0, 200.0]


def test_a_form_that_is_not_measured_is_no_ratio():
    area = AREA | {"units": AREA["units"][:2]}
    (lean, *_) = document(area, ENERGY, IMPORTED)["rows"]
    assert lean["ratio_w4a8"] is None


def test_the_table_has_what_is_known():
    lines = table(document(AREA, ENERGY, IMPORTED)).splitlines()
    assert lines[2:] == ["| SQ `lean`: 2 of 32 INT8 | 4.75 | 1 | 0.50 | 4.0 ± 0.2 | +1.0 ± 0.5 % | 1,023 |"]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_every_product_is_in_the_committed_summary(product):
    summary = json.loads(pages.SUMMARY.read_text())
    assert summary == json.loads(json.dumps(pages.summed_up())), "renew it with: sqhw measure pages"
    assert product.name in {row["name"] for row in summary["rows"]}
