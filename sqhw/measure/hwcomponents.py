"""Processing elements as components of HWComponents and AccelForge (PyPI), from the committed reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .energy import VOLT, femtojoules
from .tables import Record

__all__ = ["components"]


def components(area: Record, energy: Record) -> str:
    """Returns Python text: a component for each element of which area, clock and energy are measured.

    All three are of the element's smallest netlist in the cells of the clock; one action is a multiplication.

    Parameters
    ----------
    area, energy
        Reports of ``sqhw measure area`` and ``sqhw measure energy``.
    """
    switched = {f"{row['name']}_pe": row for row in energy["units"]}
    cells = area["libraries"]["clock"]
    found = [
        _component(record, switched[record["name"]], cells)
        for record in area["units"]
        if "clock" in record and record["name"] in switched
    ]
    return _HEAD.format(cells=cells["title"], volt=VOLT) + "".join(found)


def _component(record: Record, switched: Record, cells: Mapping[str, Any]) -> str:
    smallest, lanes = record["clock"][0], record["lanes"]
    return _COMPONENT.format(
        title=record["title"],
        lanes=lanes,
        name=record["name"].removesuffix("_pe"),
        identifier="".join(part.capitalize() for part in record["name"].removesuffix("_pe").split("_")),
        area=f"{smallest['gates'] * cells['nand2_area'] / lanes * 1e-12:.4e}",
        energy=f"{femtojoules(switched) * 1e-15:.4e}",
        period=f"{smallest['period'] * 1e-9:.4e}",
    )


_HEAD = '''\
"""Processing elements as components of HWComponents and AccelForge. Made by `sqhw measure hwcomponents`.

One action, `compute`, is a multiplication and its share of the sum. Area is that of a multiplication too: the
element's by its lanes. {cells} cells at {volt} V, the smallest netlist and its own clock. Left out: wires,
glitches, leakage, the clock's tree, output stages and buffers.
"""

from hwcomponents import ActionCost, ComponentModel, action


class _Multiplication(ComponentModel):
    square_metres: float
    joules: float
    seconds: float

    def __init__(self):
        super().__init__(area=self.square_metres, leak_power=0.0)

    @action
    def compute(self) -> ActionCost:
        return ActionCost(energy=self.joules, latency=self.seconds, throughput=1 / self.seconds)
'''

_COMPONENT = '''

class {identifier}(_Multiplication):
    """{title}, {lanes} lanes."""

    component_name = ["{name}"]
    square_metres, joules, seconds = {area}, {energy}, {period}
'''
