"""Reports of the accuracy study that are put together."""

import pytest

from sw_reference.accuracy.report import merged


def a_report(*names, windows=2, tokens=4, plain=30.0, command="first"):
    rows = [{"scheme": name, "perplexity": plain, "kl_x100": 1.0} for name in names]
    configuration = {
        "windows": windows,
        "tokens_per_window": tokens,
        "calibration_windows": 1,
        "schemes": len(rows),
        "of": 3,
    }
    same = {name: {"sha256": name} for name in ("model", "text", "calibration_text")}
    return {"command": command, "configuration": configuration, "rows": rows, "versions": {}} | same


def test_a_later_report_adds_its_schemes():
    first = a_report("float", "W8 A8", "a")
    later = a_report("float", "W8 A8", "b", "c", windows=1, plain=30.5, command="second")
    both = merged(first, later)
    assert [row["scheme"] for row in both["rows"]] == ["float", "W8 A8", "a", "b", "c"]
    assert [row["perplexity"] for row in both["rows"]] == [30.0] * 3 + [30.5] * 2
    assert (both["configuration"]["schemes"], both["configuration"]["of"]) == (5, 5)
    source = {"command": "second", "versions": {}, "float": 30.5, "windows": 1, "schemes": ["b", "c"]}
    assert both["later"] == [source]
    again = merged(both, a_report("float", "W8 A8", "d", command="third"))
    assert [run["schemes"] for run in again["later"]] == [["b", "c"], ["d"]]
    for other, message in (
        (later, "The report already has all of these schemes"),
        (
            a_report("float", "W8 A8", "d", tokens=5),
            "Reports to be merged must have the same tokens_per_window, not 4 and 5",
        ),
    ):
        with pytest.raises(ValueError) as error:
            merged(both, other)
        assert str(error.value) == message


def test_a_later_report_adds_divergences():
    """Only over as many windows, and not those of the schemes that all others were compared with."""
    first = a_report("float", "W8 A8", "a", "b")
    for row in (*first["rows"][:2], first["rows"][3]):
        del row["kl_x100"]
    both = merged(first, a_report("float", "W8 A8", "a", "b", plain=31.0, command="second"))
    assert [row["scheme"] for row in both["rows"]] == ["float", "W8 A8", "a", "b"]
    assert [row["perplexity"] for row in both["rows"]] == [30.0] * 3 + [31.0]
    assert both["rows"][3]["kl_x100"] == 1.0
    assert (both["configuration"]["schemes"], both["later"][0]["schemes"]) == (4, ["b"])
    with pytest.raises(ValueError) as error:
        merged(first, a_report("float", "W8 A8", "b", windows=1))
    assert str(error.value) == "The report already has all of these schemes"
