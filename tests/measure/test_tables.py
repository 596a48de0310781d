"""Tables of reports for pages and terminals, and paragraphs of pages."""

import pytest

from sqhw.measure.tables import markdown, only, rows, with_region, wrapped

RECORDS = [{"name": "a", "share": 0.125, "cells": {"LUT": 1234}}, {"name": "b", "share": None}]
COLUMNS = {"name": "{name}", "share": "{share:.1%}", "LUT": "{cells[LUT]:,}", "x": lambda r: r["name"] * 2}


def test_rows_leave_cells_without_a_value_empty():
    header, lines = rows(RECORDS, COLUMNS)
    assert header == ["name", "share", "LUT", "x"]
    assert lines == [["a", "12.5 %", "1,234", "aa"], ["b", "", "", "bb"]]
    assert only((header, lines), ("x", "name")) == (["name", "x"], [["a", "aa"], ["b", "bb"]])
    assert markdown(*only((header, lines), ("name", "x"))) == [
        "| name | x |",
        "| --- | ---: |",
        "| a | aa |",
        "| b | bb |",
    ]


def test_paragraphs_are_filled_and_tables_are_left_alone():
    words, table = " ".join(["word"] * 50), "| " + "x" * 120 + " |\n| --- |"
    text = f"# A title\n\n{words}\n\n* {words}\n* short\n\n{table}"
    title, paragraph, items, last = wrapped(text).split("\n\n")
    assert (title, last) == ("# A title", table)
    assert paragraph.split("\n")[0] == " ".join(["word"] * 20)
    assert [line[:6] for line in items.split("\n")] == ["* word", "  word", "  word", "* shor"]
    assert max(map(len, f"{paragraph}\n{items}".split("\n"))) <= 100
    assert " ".join(paragraph.split()) == words


def test_a_region_is_made_anew():
    page = "a\n<!-- x: made by y -->\nold\n<!-- end of x -->\nb"
    assert with_region(page, "x", "new", made_by="y") == (
        "a\n<!-- x: made by y -->\n\nnew\n\n<!-- end of x -->\nb"
    )
    with pytest.raises(ValueError) as error:
        with_region(page, "z", "new", made_by="y")
    assert str(error.value) == "The page must have one region 'z', not 0"
