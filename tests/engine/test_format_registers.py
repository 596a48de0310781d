"""An engine tells its formats: every one of them, and none as another."""

from dataclasses import replace
from itertools import product

import pytest

from sqhw.boards.targets import BOARDS
from sqhw.config import ArrayConfig
from sqhw.config.engine import DENSE_OUTLIERS_MAX
from sqhw.engine.format_registers import (
    DENSE_FORMAT,
    SQ_FORMAT,
    dense_format,
    described,
    format_constants,
    sq_format,
    sq_format_of,
)
from sqhw.presets import ENGINE_PRESETS
from sw_reference.format import DenseFormat, SQFormat

FIRST = ("tiny", "2x2", "8x8")
"""Their formats need no field that the first edition did not have."""
ENGINES = {**ENGINE_PRESETS, **{name: board.config for name, board in BOARDS.items()}}
LEAN = ENGINE_PRESETS["lean"].pe
SCALES = ("e5m3", *(f"e{e}m{m}{s}" for e, m, s in product(range(1, 5), range(4), ("", "s"))))


def sq_formats():
    for bank, mask, high, scale in product(
        (4, 16, 128), ("bitmap", "sentinel", "index"), ("fp16", "int8"), SCALES
    ):
        if mask == "index" and (high == "fp16" or scale == "e5m3"):
            continue
        for segment in (4, bank // 2, bank):
            for outliers in (0, 1, segment) if segment >= 4 else ():
                yield SQFormat(bank, outliers, high, mask, scale, segment)


def dense_formats():
    """Those of engines, beside an SQ operand of 32 elements in a bank."""
    for bits, group, offset in product((4, 8), (None, 4, 96, 65536), (False, True)):
        for scale in ("e3m3", "linear8") if group else ("e3m3",):
            if group or not offset:
                yield DenseFormat(bits, group, scale=scale, offset=offset)
    for group, outliers, offset in product((32, 1024), (1, 6, DENSE_OUTLIERS_MAX), (False, True)):
        yield DenseFormat(4, group, outliers, 32, "linear8", offset, "index")


def test_every_format_comes_back_and_no_two_read_alike():
    sq, dense = set(sq_formats()), set(dense_formats())
    told = {format_constants(fmt, DenseFormat())["SQ_FORMAT"]: fmt for fmt in sq}
    assert len(told) == len(sq) > 1000
    assert all(sq_format(value) == fmt for value, fmt in told.items())
    assert all(value >> sq_format_of(fmt).bits == 0 for value, fmt in told.items())
    told = {format_constants(LEAN.sq, fmt)["DENSE_FORMAT"]: fmt for fmt in dense}
    assert len(told) == len(dense) > 30
    assert all(dense_format(value, LEAN.sq) == fmt for value, fmt in told.items())


def test_fields_have_room():
    assert SQ_FORMAT.bits <= 32
    assert DENSE_FORMAT.bits == 32
    assert DENSE_FORMAT.unpack(DENSE_FORMAT.pack(outliers=DENSE_OUTLIERS_MAX))["outliers"] == 31


@pytest.mark.parametrize("name", ENGINES)
def test_engines_of_the_first_formats_have_the_first_fields(name):
    sq = ENGINES[name].pe.sq
    whole = sq_format_of(sq) == SQ_FORMAT
    assert whole == (sq.mask == "index")
    assert name not in FIRST or not whole


def test_refuses_what_no_field_can_tell():
    pe = replace(LEAN, dense=DenseFormat(4, 32, 32, 32, "linear8", mask="index"))
    with pytest.raises(
        ValueError, match=r"^Dense outliers of an engine must be an integer from 1 to 31, not 32$"
    ):
        replace(ENGINE_PRESETS["both"], array=ArrayConfig(pe, 4, 16))


def test_described():
    values = format_constants(LEAN.sq, LEAN.dense)
    assert described("SQ_FORMAT", values["SQ_FORMAT"], LEAN.sq) == "'2/32 e3m2s index'"
    assert described("DENSE_FORMAT", values["DENSE_FORMAT"], LEAN.sq) == "'int4 g32 linear8'"
    assert described("SQ_FORMAT", 0, LEAN.sq) == described("K_MAX", 0, LEAN.sq) == "0x00000000"
