# amaranth: UnusedElaboratable=no
"""The ruler: area, parts and clock of a small rival, alone and as an array."""

import itertools
from functools import partial

import pytest

from sqhw.measure.cost import cost, curve
from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import integer
from sqhw.measure.units import Unit
from sqhw.tools.libraries import fetched
from sqhw.tools.targets import GENERIC, RECIPES
from sqhw.tools.timing import opensta
from sqhw.tools.tools import ToolError

SMALL = next(iter(RECIPES))


def small(shape):
    rows, columns = shape or (1, 1)
    make = partial(RivalArray, integer(4, 4, 4, None), rows, columns, drained=shape is not None)
    return Unit("small", 4, shape, make)


def test_parts_are_counted(tmp_path):
    found = cost(small((2, 3)), GENERIC, cache=tmp_path)
    assert (found.recipe, found.period, found.blocks) == (SMALL, None, {})
    count, each = found.parts["unit"]
    assert count == 6
    assert found.parts["shared once"][0] == 1
    assert found.gates == pytest.approx(6 * each + found.parts["shared once"][1])
    assert found.area == found.gates
    assert found.registers == found.cells["DFF"]


def test_blocks_hold_every_gate(tmp_path):
    found = cost(small(None), GENERIC, breakdown=True, cache=tmp_path)
    assert sum(found.blocks.values()) == pytest.approx(found.gates, rel=0.05)


def test_area_against_clock(tmp_path):
    library, element = fetched("osu018"), small(None)
    try:
        opensta(library)
    except ToolError as error:
        pytest.skip(str(error))
    points = curve(element, library, cache=tmp_path)
    assert points[0].recipe == SMALL
    assert all(a.gates < b.gates and a.period > b.period for a, b in itertools.pairwise(points))
    slow = cost(element, library, period=1000, cache=tmp_path)
    assert (slow.recipe, slow.period) == (SMALL, points[0].period)
    fast = cost(element, library, period=0.001, cache=tmp_path)
    assert (fast.recipe, fast.gates, fast.period) == (points[-1].recipe, points[-1].gates, points[-1].period)
    array = cost(small((1, 2)), library, element=element, period=0.001, cache=tmp_path)
    assert (array.recipe, array.period) == (fast.recipe, fast.period)
    assert array.gates > fast.gates


def test_a_clock_needs_delays(tmp_path):
    with pytest.raises(ToolError) as caught:
        cost(small(None), GENERIC, period=5, cache=tmp_path)
    assert str(caught.value) == (
        "Generic gates has no delays: a clock needs a library with timing, such as osu018"
    )
