"""An array as a core of ZigZag (PyPI ``zigzag-dse``), with measured area and energy of a multiplication."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sw_reference.activations import load_activations

from ..config import ArrayConfig
from ..tools.cache import CACHE
from ..tools.libraries import fetched
from .core import BareArray
from .cost import cost
from .energy import VOLT, femtojoules, simulate
from .energy_points import Simulated, own_point, rival_point
from .units import Unit, unit

__all__ = ["core", "of_config", "of_rival"]

_LIBRARY = "osu018"
_BUFFER_BITS = 8 << 20
_WIDEST_PORT = 1 << 16


def of_config(config: ArrayConfig, *, tokens: int = 8, columns: int = 4, cache: Path = CACHE) -> str:
    """Measures an SQ array; returns its core.

    Area is that of the whole array. Energy is that of one processing element on `tokens` x `columns` dot
    products of each site of the embedded activations, outliers as in the report of energy.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    pe = config.pe
    sq = pe.sq
    name = f"sq_{sq.bank}_{sq.outliers}_{sq.high}_{pe.lanes}_{config.rows}x{config.columns}"
    shape = (config.rows, config.columns)
    array = Unit("zigzag", pe.lanes, shape, partial(BareArray, config))
    return _measured(name, array, own_point(pe, name, name), tokens, columns, cache)


def of_rival(
    family: str, lanes: int, shape: tuple[int, int], *, tokens: int = 8, columns: int = 4, cache: Path = CACHE
) -> str:
    """The same of a rival that :data:`~sqhw.measure.rival_beats.DRIVEN` names."""
    array = unit(family, lanes, shape)
    return _measured(array.name, array, rival_point(family, lanes), tokens, columns, cache)


def _measured(name: str, array: Unit, element: Simulated, tokens: int, columns: int, cache: Path) -> str:
    assert array.shape is not None
    area = cost(array, fetched(_LIBRARY, cache=cache), cache=cache).area / array.macs
    found = simulate(element, load_activations().sites, tokens, columns, cache)
    return core(name, array.shape, array.lanes, area, femtojoules(found) / 1000)


def core(name: str, shape: tuple[int, int], lanes: int, area: float, energy: float) -> str:
    """Returns a core as YAML.

    D1 are the rows of the array, which share an element of the columns' operand, D2 its columns, D3 the lanes
    of a processing element, whose products are one sum. Registers of operands and sums are part of
    the array's own area and energy, so the level of accumulators costs nothing. The buffer's cost is not
    measured: whoever uses the core puts in that of a memory.

    Parameters
    ----------
    name
        Identifier.
    shape, lanes
        Rows, columns, and multiplications per cycle of each processing element.
    area
        Square micrometres per multiplication and cycle.
    energy
        Picojoules per multiplication.
    """
    rows, columns = shape
    return _CORE.format(
        name=name,
        rows=rows,
        columns=columns,
        lanes=lanes,
        area=area,
        energy=energy,
        volt=VOLT,
        buffer=_BUFFER_BITS,
        port=_WIDEST_PORT,
    )


_CORE = """\
# Made by `sqhw measure zigzag`. Area in square micrometres and energy in picojoules, per multiplication, of
# OSU018 cells at {volt} V: without wires, glitches, leakage, the clock's tree, output stages and buffers.
name: {name}

operational_array:
  unit_energy: {energy:.6f}
  unit_area: {area:.3f}
  dimensions: [D1, D2, D3]  # rows, columns, lanes of a processing element
  sizes: [{rows}, {columns}, {lanes}]

memories:
  accumulators:  # their registers are part of the array's area and energy
    size: 32
    r_cost: 0.0
    w_cost: 0.0
    area: 0.0
    latency: 1
    operands: [O]
    ports:
      - {{name: w_port_1, type: write, bandwidth_min: 32, bandwidth_max: 32, allocation: ["O, fh"]}}
      - {{name: r_port_1, type: read, bandwidth_min: 32, bandwidth_max: 32, allocation: ["O, tl"]}}
      - {{name: w_port_2, type: write, bandwidth_min: 32, bandwidth_max: 32, allocation: ["O, fl"]}}
      - {{name: r_port_2, type: read, bandwidth_min: 32, bandwidth_max: 32, allocation: ["O, th"]}}
    served_dimensions: [D3]

  buffer:  # not measured: put in the size, cost, area and ports of a memory of yours
    size: {buffer}
    r_cost: 0.0
    w_cost: 0.0
    area: 0.0
    latency: 1
    operands: [I1, I2, O]
    ports:
      - {{name: rw_port_1, type: read_write, bandwidth_min: 8, bandwidth_max: {port},
         allocation: ["I1, tl", "I1, fh"]}}
      - {{name: rw_port_2, type: read_write, bandwidth_min: 8, bandwidth_max: {port},
         allocation: ["I2, tl", "I2, fh"]}}
      - {{name: rw_port_3, type: read_write, bandwidth_min: 8, bandwidth_max: {port},
         allocation: ["O, tl", "O, fl", "O, fh", "O, th"]}}
    served_dimensions: [D1, D2, D3]
"""
