"""Formats as text: ``"4/32 e3m2s index"`` is an SQ operand, ``"int4 g32 linear8 offset"`` a dense one.

An SQ operand is ``OUTLIERS/SEGMENT``, then in any order

* ``bank N`` where several segments share a bank scale,
* the bank scale, ``e5m3`` if none is named,
* ``sentinel`` or ``index`` where the mask is no ``bitmap``,
* ``fp16`` where high codes are no ``int8``.

A dense operand is ``int4`` or ``int8``, then in any order

* ``gN`` where N elements share a group scale, and that scale, ``linear8`` if none is named,
* ``offset`` where groups have one,
* ``OUTLIERS/BANK`` where it has outliers, and ``index`` where their mask is no ``bitmap``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sw_reference.format import DenseFormat, SQFormat

__all__ = ["format_text", "parse_format"]

_KINDS = (
    ("part", re.compile(r"(\d+)/(\d+)")),
    ("bank", re.compile(r"bank (\d+)")),
    ("group", re.compile(r"g(\d+)")),
    ("bits", re.compile(r"int4|int8")),
    ("high", re.compile(r"fp16")),
    ("mask", re.compile(r"bitmap|sentinel|index")),
    ("offset", re.compile(r"offset")),
    ("scale", re.compile(r"linear8|e\d+m\d+s?")),
)
_SQ = {"part", "bank", "high", "mask", "scale"}
_DENSE = {"bits", "part", "group", "mask", "offset", "scale"}
_EXAMPLES = "'4/32 e3m2s index' or 'int4 g32 linear8'"


def format_text(fmt: SQFormat | DenseFormat) -> str:
    """Returns a format as text; ``parse_format`` of it is the format again.

    The group scale of a dense operand without groups means nothing and is not written.
    """
    return " ".join(_sq_words(fmt) if isinstance(fmt, SQFormat) else _dense_words(fmt))


def parse_format(text: str) -> SQFormat | DenseFormat:
    """Returns the format that a text stands for.

    Raises
    ------
    ValueError
        If a word is unknown, comes twice or belongs to the other operand, or as the format does.
    """
    words: dict[str, re.Match[str]] = {}
    for word in re.findall(r"bank \S+|\S+", text):
        kind, match = _word(word, text)
        if kind in words:
            raise ValueError(f"Format {text!r} must have one of {words[kind][0]!r} and {word!r}, not both")
        words[kind] = match
    if not {"part", "bits"} & words.keys():
        raise ValueError(f"Format must be such as {_EXAMPLES}, not {text!r}")
    allowed, operand = (_DENSE, "dense") if "bits" in words else (_SQ, "SQ")
    for kind in words.keys() - allowed:
        raise ValueError(f"Format {text!r} is of {operand} operands, which have no {words[kind][0]!r}")
    return _dense(words) if "bits" in words else _sq(words)


def _word(word: str, text: str) -> tuple[str, re.Match[str]]:
    for kind, pattern in _KINDS:
        match = pattern.fullmatch(word)
        if match:
            return kind, match
    raise ValueError(f"Format {text!r} has the unknown word {word!r}: it must be such as {_EXAMPLES}")


def _sq(words: dict[str, re.Match[str]]) -> SQFormat:
    outliers, segment = map(int, words["part"].groups())
    bank = int(words["bank"][1]) if "bank" in words else segment
    return SQFormat(
        bank,
        outliers,
        "fp16" if "high" in words else "int8",
        _choice(words, "mask", "bitmap"),
        _choice(words, "scale", "e5m3"),
        segment,
    )


def _dense(words: dict[str, re.Match[str]]) -> DenseFormat:
    outliers, bank = map(int, words["part"].groups()) if "part" in words else (0, None)
    group = int(words["group"][1]) if "group" in words else None
    if group is None and "scale" in words:
        raise ValueError(f"Group scale {words['scale'][0]!r} must come with groups, such as 'g32'")
    return DenseFormat(
        8 if words["bits"][0] == "int8" else 4,
        group,
        outliers,
        bank,
        _choice(words, "scale", "linear8" if group else "e3m3"),
        "offset" in words,
        _choice(words, "mask", "bitmap"),
    )


def _choice(words: dict[str, re.Match[str]], kind: str, usual: str) -> Any:
    return words[kind][0] if kind in words else usual


def _sq_words(fmt: SQFormat) -> Iterator[str]:
    yield f"{fmt.outliers}/{fmt.segment_size}"
    if fmt.segment is not None:
        yield f"bank {fmt.bank}"
    yield fmt.scale
    if fmt.mask != "bitmap":
        yield fmt.mask
    if fmt.high == "fp16":
        yield "fp16"


def _dense_words(fmt: DenseFormat) -> Iterator[str]:
    yield f"int{fmt.bits}"
    if fmt.group is not None:
        yield f"g{fmt.group}"
        yield fmt.scale
    if fmt.offset:
        yield "offset"
    if fmt.bank is not None:
        yield f"{fmt.outliers}/{fmt.bank}"
    if fmt.mask != "bitmap":
        yield fmt.mask
