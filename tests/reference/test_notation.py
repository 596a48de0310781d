"""Formats as text."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import format_text, parse_format

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
EXAMPLES = {
    "4/32 e3m2s index": SQFormat(32, 4, "int8", "index", "e3m2s"),
    "2/16 e5m3": SQFormat(16, 2, "int8", "bitmap", "e5m3"),
    "2/16 bank 32 e3m2s index": SQFormat(32, 2, "int8", "index", "e3m2s", 16),
    "1/16 e5m3 fp16": SQFormat(16, 1, "fp16", "bitmap", "e5m3"),
    "1/8 e4m3 sentinel fp16": SQFormat(8, 1, "fp16", "sentinel", "e4m3"),
    "0/64 e2m3s": SQFormat(64, 0, "int8", "bitmap", "e2m3s"),
    "int8": DenseFormat(8),
    "int4 g64 e3m3": DenseFormat(4, 64, scale="e3m3"),
    "int4 g32 linear8 offset": DenseFormat(4, 32, scale="linear8", offset=True),
    "int4 g32 linear8 6/32 index": DenseFormat(4, 32, 6, 32, "linear8", mask="index"),
}
OTHER_WAYS = {
    "  4/32   index e3m2s ": "4/32 e3m2s index",
    "2/16": "2/16 e5m3",
    "2/16 bitmap": "2/16 e5m3",
    "4/32 bank 32 e3m2s": "4/32 e3m2s",
    "g32 int4": "int4 g32 linear8",
    "offset linear8 int4 g32": "int4 g32 linear8 offset",
}


def test_texts_and_formats():
    for text, fmt in EXAMPLES.items():
        assert parse_format(text) == fmt
        assert format_text(fmt) == text
    for text, usual in OTHER_WAYS.items():
        assert format_text(parse_format(text)) == usual


def test_the_page_shows_these_texts():
    rows = re.findall(
        r"^\| `([^`]*(?:/|int)[^`]*)` \|", PAGE.read_text().partition("## Formats as text")[2], re.M
    )
    assert len(rows) == 7
    assert [format_text(parse_format(text)) for text in rows] == rows


@st.composite
def sq_formats(draw):
    bank = draw(st.sampled_from([4, 8, 16, 32, 64, 128]))
    segment = draw(st.sampled_from([n for n in (4, 8, 16, 32, 64, 128) if n <= bank]))
    mask = draw(st.sampled_from(["bitmap", "sentinel", "index"]))
    high = "int8" if mask == "index" else draw(st.sampled_from(["int8", "fp16"]))
    scale = draw(st.sampled_from(["e3m2s", "e1m0", "e4m3"] + ["e5m3"] * (mask != "index")))
    return SQFormat(bank, draw(st.integers(0, segment)), high, mask, scale, segment)


@st.composite
def dense_formats(draw):
    group = draw(st.sampled_from([None, 32, 64, 128]))
    how = {"scale": draw(st.sampled_from(["e3m3", "linear8"]))} if group else {}
    how |= {"offset": draw(st.booleans())} if group else {}
    if draw(st.booleans()):
        return DenseFormat(draw(st.sampled_from([4, 8])), group, **how)
    bank = draw(st.sampled_from([16, 32, 64]))
    mask = draw(st.sampled_from(["bitmap", "index"]))
    return DenseFormat(4, group, draw(st.integers(1, bank)), bank, **how, mask=mask)


@given(sq_formats() | dense_formats())
def test_the_text_of_a_format_is_the_format_again(fmt):
    assert parse_format(format_text(fmt)) == fmt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Format must be such as '4/32 e3m2s index' or 'int4 g32 linear8', not ''"),
        ("e3m2s", "Format must be such as '4/32 e3m2s index' or 'int4 g32 linear8', not 'e3m2s'"),
        (
            "4/32 e3m2s indexed",
            "Format '4/32 e3m2s indexed' has the unknown word 'indexed': "
            "it must be such as '4/32 e3m2s index' or 'int4 g32 linear8'",
        ),
        ("4/32 2/16", "Format '4/32 2/16' must have one of '4/32' and '2/16', not both"),
        ("4/32 offset", "Format '4/32 offset' is of SQ operands, which have no 'offset'"),
        ("int4 fp16", "Format 'int4 fp16' is of dense operands, which have no 'fp16'"),
        ("int4 linear8", "Group scale 'linear8' must come with groups, such as 'g32'"),
        ("40/32 e3m2s", "Outliers must be an integer from 0 to 32, not 40"),
        ("4/32 e9m9", "Scale must be 'e5m3', or 'e1m0' to 'e4m3' with or without 's', not 'e9m9'"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(ValueError) as error:
        parse_format(text)
    assert str(error.value) == message
