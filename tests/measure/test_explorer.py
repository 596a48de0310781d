"""docs/explorer.html: made from the committed reports, opened in a headless Chromium without network."""

import html
import re

import pytest

from sqhw.measure import explorer, pages
from sqhw.measure.explorer import points
from sqhw.measure.headless import chromium, headless, screenshot
from sqhw.presets import preset
from sqhw.tools.tools import ToolError
from sw_reference.format import as_parameters

PAGE = pages.EXPLORER


@pytest.fixture(scope="module")
def browser():
    try:
        chromium()
    except ToolError as error:
        pytest.skip(str(error))


def reports():
    return pages.explored()


def libraries():
    return explorer.libraries(list(points(*reports())))


def shown(loss="activations", library=None, size=8, lanes=32, **wanted):
    """The points that the page should show, and those of them that no other beats; `lanes` may be None."""
    wanted |= {"lanes": lanes} if lanes else {}
    library = library or libraries()[0]
    found = [
        point | point["gates"]
        for point in points(*reports())
        if point["size"] == size
        and point.get(loss) is not None
        and library in point["gates"]
        and all(point[k] == v for k, v in wanted.items() if k == "lanes" or point["kind"] != "rival")
    ]
    return found, explorer.front(found, library, loss)


def opened(path=PAGE, view=""):
    """The page after its script: names of points, rows of the table, messages of the console."""
    run = headless(path, "--dump-dom", "--virtual-time-budget=2000", view=view)
    dots = [html.unescape(text) for text in re.findall(r"<circle.*?<title>(.*?)</title>", run.stdout)]
    lines = re.findall(r"<tr data-id.*?</tr>", run.stdout)
    rows = [[html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", line)] for line in lines]
    return dots, rows, re.findall(r".*CONSOLE.*", run.stderr)


def test_the_committed_page_is_made_from_the_committed_reports():
    assert PAGE.read_text() == explorer.page(*reports()), "renew it with: sqhw measure pages"
    assert PAGE.stat().st_size < 400_000


def test_front():
    def point(gates, loss):
        return {"gates": {"x": gates}, "activations": loss}

    points = [point(3, 1), point(1, 9), point(2, 9), point(2, 5), point(4, 2), point(5, 0)]
    best = explorer.front(points, "x", "activations")
    assert [(p["gates"]["x"], p["activations"]) for p in best] == [(1, 9), (2, 5), (3, 1), (5, 0)]


def test_losses_are_of_the_format_itself():
    """Not of another choice of scales, another bank scale or other weights, nor beside a cache in SQ."""

    def row(delta, weight, **activation):
        usual = {"format": "SQ", "bank": 32, "outliers": 2, "high": "int8", "mask": "index"}
        usual |= {"selection": {"format": "Largest"}, "scale": "least_squares"}
        return {"delta_percent": delta, "configuration": {"activation": usual | activation, "weight": weight}}

    int8 = {"format": "Dense", "width": 8, "group": None}
    int4, codes = (
        {"format": "Dense", "width": 4, "group": 64},
        {"format": "Imported", "width": 4, "group": 32},
    )
    study = [
        row(1.0, int8),
        row(2.0, int8, scale="absmax"),
        row(3.0, int4),
        row(4.0, codes),
        row(5.0, codes, bank_scale="e3m2s"),
        row(6.0, codes, bank_scale="e3m2s", segment=16),
        row(7.0, codes, bank_scale="e3m2s"),
    ]
    study[-1]["configuration"]["values"] = {"format": "SQ"}
    usual = (32, 2, "int8", "index")
    lean = explorer.format_key(as_parameters(preset("lean").sq))
    assert lean == (*usual, "e3m2s", None)
    assert explorer._activations(study) == {
        (*usual, None, None): 4.0,
        lean: 5.0,
        (*usual, "e3m2s", 16): 6.0,
    }
    assert explorer._products(study) == {(*usual, None, None): 3.0}


def test_outliers_are_named_by_their_segment():
    wide = {"bank": 64, "outliers": 4, "high": "int8", "mask": "index", "segment": 32}
    assert explorer._sq_name(wide) == "SQ 4 INT8 of 32, bank 64, index"
    assert explorer._short(wide | {"bank": 32}) == "4 INT8 of 32"
    other = wide | {"bank": 32, "segment": None, "scale": "e2m3s", "weights": "int4 g32 linear8 offset"}
    assert explorer._sq_name(other) == "SQ 4 INT8 of 32, index e2m3s, int4 g32 linear8 offset"
    assert explorer._short(other) == "4 INT8 of 32, e2m3s, offset"
    both = wide | {"bank": 32, "scale": "e3m2s", "weights": "int4 g32 linear8 6/32 index"}
    assert explorer._short(both) == "4 INT8 of 32, 6 of weights"
    offset = {
        p["short"] for p in points(*reports()) if p["name"].endswith("offset") or ", offset" in p["name"]
    }
    assert {"2 INT8 of 32, offset", "4 INT8 of 32, offset", "INT4 x INT8, offset"} <= offset


def test_nothing_is_fetched():
    text = PAGE.read_text()
    addresses = set(re.findall(r"https?://[^\"'\s]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a vocabulary, which is not fetched
    assert re.findall(r"(?:src|href)=[\"'](?!data:)", text) == []
    assert "default-src 'none'" in text


def test_points_are_of_all_kinds():
    found = list(points(*reports()))
    assert len(found) > 500
    assert {point["kind"] for point in found} == {"fp16", "int8", "rival"}
    (nvfp4,) = (p for p in found if p["name"] == "NVFP4 x NVFP4" and (p["lanes"], p["size"]) == (32, 8))
    _, area, accuracy = reports()
    (unit,) = (u for u in area["units"] if u["name"] == "nvfp4_32_8x8")
    (row,) = (row for row in accuracy["rows"] if row["scheme"] == "imported, A-NVFP4")
    assert (nvfp4["gates"][area["libraries"]["area"]["title"]], nvfp4["activations"]) == (
        unit["gates_per_mac"],
        row["delta_percent"],
    )


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"lanes": None},
        {"bank": 32, "outliers": 2},
        {"lanes": 16, "size": 1, "loss": "product"},
        {"loss": "error", "bank": 64, "lanes": 64},
        {"library": "sky130_fd_sc_hd"},
    ],
)
def test_shows_the_points_and_the_front(browser, wanted):
    found, front = shown(**wanted)
    assert len(found) > 1
    dots, rows, messages = opened(
        view="&".join(f"{k}={'null' if v is None else v}" for k, v in wanted.items())
    )
    assert messages == []
    names = [re.fullmatch(r"(.*, \d+) lanes, (?:one PE|\d+ x \d+): .*", dot)[1] for dot in dots]
    assert sorted(names) == sorted(f"{p['name']}, {p['lanes']}" for p in found)
    assert [row[0] for row in rows if row[-1] == "yes"] == [point["name"] for point in front]
    assert len(rows) == len(front) + sum(p["kind"] == "rival" and p not in front for p in found)


def test_sliders_filter_and_points_are_named(browser, tmp_path):
    """What a reader does, done by a script at the end of a copy of the page."""
    script = """<script>
    const bank = document.getElementById("bank");
    bank.value = controls[0].steps.indexOf(32);
    bank.dispatchEvent(new Event("input"));
    document.querySelector("circle.rival").dispatchEvent(new Event("pointerenter"));
    document.title = document.getElementById("tip").textContent;
    </script></body>"""
    copy = tmp_path / "copy.html"
    copy.write_text(PAGE.read_text().replace("</body>", script))
    run = headless(copy, "--dump-dom")
    found, _ = shown(bank=32)
    assert run.stdout.count("<circle") == len(found)
    title = html.unescape(re.search(r"<title>(.*?)</title>", run.stdout)[1])
    rival = min((p for p in found if p["kind"] == "rival"), key=lambda p: p[libraries()[0]])
    assert title.startswith(
        f"{rival['name']}, {rival['lanes']} lanes, 8 x 8: {rival[libraries()[0]]:.0f} GE per MAC"
    )


def test_messages_of_the_console_are_seen(browser, tmp_path):
    """The check for silence hears an error, and an attempt to fetch something."""
    copy = tmp_path / "copy.html"
    for broken in ("<script>nothing()</script>", '<img src="https://example.com/x.png">'):
        copy.write_text(PAGE.read_text().replace("</body>", f"{broken}</body>"))
        assert len(opened(copy)[2]) > 0


def test_picture(browser, tmp_path):
    picture = screenshot(PAGE, tmp_path / "explorer.png")
    for path in (picture, pages.FIGURES / "explorer.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert 20_000 < path.stat().st_size < 200_000


def test_without_chromium(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError) as caught:
        headless(PAGE)
    assert str(caught.value) == (
        "chromium is needed to show the page, but it is not on PATH: apt-get install chromium"
    )
