"""The summary joins reports by product; what a report lacks is None."""

import json

import pytest

from sqhw.measure import pages
from sqhw.measure.summary import PRODUCTS, document, table

KEYS = """name title lanes array bits_activation bits_weight scheme loss_weights rule tokens
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
OWN = {"activation": {"format": "SQ", "scale": "least_squares"}, "weight": {"format": "Imported"}}
LOSS |= {"bits_weight": 4.5, "configuration": OWN}
IMPORTED = {
    "command": "imported",
    "configuration": {"windows": 4, "tokens_per_window": 2},
    "rows": [{"scheme": "imported, A 2/32 e3m2s index"} | LOSS],
}
ANEW = {"activation": {"format": "SQ", "scale": "absmax"}, "weight": {"format": "Dense"}}
ACCURACY = {
    "command": "accuracy",
    "configuration": {"windows": 8, "tokens_per_window": 1024},
    "rows": [
        {"scheme": "W4 g64 A-SQ 16/1", "delta_percent": 49.0, "standard_error": 2.0}
        | {"bits_weight": 4.125, "configuration": ANEW}
    ],
}
REPORTS = (AREA, ENERGY, IMPORTED, ACCURACY)


def test_reports_are_joined():
    rows = {row["name"]: row for row in document(*REPORTS)["rows"]}
    assert list(rows) == ["lean", "w4a8", *(p.name for p in PRODUCTS if p.name not in ("lean", "w4a8"))]
    lean, rival = rows["lean"], rows["w4a8"]
    assert set(lean) == set(KEYS.split())
    assert (lean["um2_per_mac"], lean["mhz"], lean["fj_per_mac"]) == (
        1.0,
        250.0,
        200.0,
    )  # the fastest netlist
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
    rows = {row["name"]: row for row in document(single, *REPORTS[1:])["rows"]}
    assert [rows["w4a8"][name] for name in ("um2_per_mac", "mhz", "fj_per_mac")] == [2.0, 200.0, 200.0]


def test_a_form_that_is_not_measured_is_no_ratio():
    area = AREA | {"units": AREA["units"][:2]}
    (lean, *_) = document(area, *REPORTS[1:])["rows"]
    assert lean["ratio_w4a8"] is None


def test_a_loss_says_whose_weights_it_has_and_on_how_many_tokens():
    rows = {row["name"]: row for row in document(*REPORTS)["rows"]}
    own, anew, none = rows["lean"], rows["default"], rows["w4a4"]
    assert own["loss_weights"] == "codes of the checkpoint, with group offsets, 4.5 bits"
    assert (anew["loss_weights"], anew["tokens"]) == ("quantized anew, 4.125 bits", 8184)
    assert (anew["perplexity_percent"], anew["kl_x100"]) == (49.0, None)
    assert (none["loss_weights"], none["tokens"]) == (None, None)


def test_the_table_has_units_that_take_the_weights_of_their_loss():
    forms = [
        area_unit("lean-offset", 2048),
        *(area_unit(f"w4a8-offset{form}", 8192) for form in ("", "-pairs")),
    ]
    area = {**AREA, "units": [*AREA["units"], *forms, area_unit("sq", 2048, lanes=16)]}
    lines = table(document(area, *REPORTS[1:])).splitlines()
    assert lines[2:] == [
        "| SQ `lean`: 2 of 32 INT8 | 4.75 | 4.5 | 1 | 0.25 |  | 4.00 ± 0.25 | +1.0 ± 0.5 % |",
        "| SQ `default`: 1 of 16 FP16 | 6.5 | 4.12 | 1 |  |  |  | +49.0 ± 2.0 % |",
    ]


def test_a_ratio_is_to_int8_with_as_much_quantized():
    areas = {"w4a8_offset": 100, "w8a8": 200, "both": 150, "lean_offset": 80, "default": 90}
    summary = {
        "rows": [
            {"name": name, "title": name, "um2_per_mac": um2, "ratio_w4a8": 1.5, "fj_per_mac": 1250.0}
            | {"perplexity_percent": 1.0}
            for name, um2 in areas.items()
        ]
    }
    found = {
        cells[1].strip(): [cell.strip() for cell in cells[5:7]]
        for cells in (line.split("|") for line in table(summary).splitlines()[2:])
    }
    ratios = {"w4a8_offset": "1.00", "w8a8": "1.00", "both": "0.75", "lean_offset": "0.80", "default": "1.50"}
    assert found == {name: [ratio, "1.2"] for name, ratio in ratios.items()}


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_every_product_is_in_the_committed_summary(product):
    summary = json.loads(pages.SUMMARY.read_text())
    assert summary == json.loads(json.dumps(pages.summed_up())), "renew it with: sqhw measure pages"
    assert product.name in {row["name"] for row in summary["rows"]}
