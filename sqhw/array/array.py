"""The array: an output-stationary tile of exact dot products."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..arith.pipeline import delay
from ..arith.repeated import repeated
from ..config import ArrayConfig
from ..layouts import dense_beats_layout, sq_beats_layout, tile_row_layout
from ..pe.blocks import blocks
from .drain import Drain
from .lockstep import Lockstep, lockstep_latency
from .long_drain import LongDrain
from .one_step import OneStepLockstep

__all__ = ["ProcessingArray"]


class ProcessingArray(wiring.Component):
    """``rows`` x ``columns`` exact dot products at a time.

    Each row of the SQ operand is decoded, unpacked and timed once for all its units, each column of the dense
    operand once for all of its own. Finished tiles leave row by row while the next one is computed; a tile
    can be computed as a whole while its predecessor leaves, and then waits in the accumulators.

    Latency: :attr:`latency` cycles from taking a tile's last beats to its first row, when nothing stalls.
    Throughput: one beat of all rows and columns per cycle, while no row's beat holds more outliers than there
    are outlier lanes; else as many cycles as the fullest row needs. At least ``rows`` cycles per tile.
    Backpressure: full. ``i_sq.ready`` and ``i_dense.ready`` depend combinationally on the other stream's
    ``valid``, in a long pipeline on registers alone; no input depends on ``o.ready``.

    Parameters
    ----------
    config
        Formats, lanes, k_max, rows and columns.

    Members
    -------
    i_sq : In(stream.Signature(sq_beats_layout(config)))
        One beat of each row, all at the same position along K.
    i_dense : In(stream.Signature(dense_beats_layout(config)))
        One beat of each column for each beat of the rows. A ``last`` that differs from the SQ beats' is an
        error.
    o : Out(stream.Signature(tile_row_layout(config)))
        One row of a tile, row 0 first.

    Raises
    ------
    TypeError
        If the configuration is not an ArrayConfig.
    """

    def __init__(self, config: ArrayConfig):
        if not isinstance(config, ArrayConfig):
            raise TypeError(f"Configuration must be an ArrayConfig, not {config!r}")
        self._config = config
        self._blocks = blocks(config.pe)
        super().__init__(
            {
                "i_sq": In(stream.Signature(sq_beats_layout(config))),
                "i_dense": In(stream.Signature(dense_beats_layout(config))),
                "o": Out(stream.Signature(tile_row_layout(config))),
            }
        )

    @property
    def config(self) -> ArrayConfig:
        return self._config

    @property
    def latency(self) -> int:
        """Cycles through decoders, datapath and capture registers."""
        pe = self._config.pe
        operands = OneStepLockstep.latency if pe.one_step else lockstep_latency(pe)
        return operands + self._spread + self._blocks.result + Drain.latency

    @property
    def _spread(self) -> int:
        """Registers in each row's and each column's way: the broadcast is what takes long there."""
        return 1 if self._long else 0

    @property
    def _long(self) -> bool:
        return self._config.pe.pipeline == "long"

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        one_step = config.pe.one_step
        m.submodules.lockstep = lockstep = OneStepLockstep(config) if one_step else Lockstep(config)
        m.submodules.drain = drain = LongDrain(config) if self._long else Drain(config)
        connect(m, flipped(self.i_sq), lockstep.i_sq)
        connect(m, flipped(self.i_dense), lockstep.i_dense)
        connect(m, drain.o, flipped(self.o))
        rows, columns = [], []
        side, of = self._blocks.column_side
        for r in range(config.rows):
            rows.append(row := repeated(m, platform, f"row{r}", *self._blocks.row_side))
            m.d.comb += [
                row.i.eq(delay(m, lockstep.steps[r], self._spread, name=f"step{r}")),
                row.valid.eq(delay(m, lockstep.valid, self._spread, name=f"valid{r}", reset=True)),
            ]
        for c in range(config.columns):
            m.submodules[f"column{c}"] = column = side(of)
            columns.append(column)
            m.d.comb += column.i.eq(delay(m, lockstep.beats[c], self._spread, name=f"beat{c}"))
            if self._blocks.column_valid:
                valid = delay(m, lockstep.valid, self._spread, name=f"column_valid{c}", reset=True)
                m.d.comb += column.valid.eq(valid)
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                mac = repeated(m, platform, f"mac{r}_{c}", *self._blocks.unit)
                m.d.comb += [mac.row.eq(row.o), mac.column.eq(column.o), drain.acc[r][c].eq(mac.acc)]
        step = lockstep.steps[0]
        m.d.comb += [
            drain.error.eq(Cat(row.o.error for row in rows)),
            self._finish(m, drain, rows[0]),
            drain.ended.eq(lockstep.ended if one_step else lockstep.valid & step.done & step.last),
            lockstep.hold.eq(drain.full),
        ]
        return m

    def _finish(self, m: Module, drain: Any, row: Any) -> Any:
        """Tells the drain of a finished tile, in a long pipeline a cycle before."""
        if not self._long:
            return drain.finished.eq(row.o.last)
        ends = row.valid & row.i.done & row.i.last
        return drain.finishes.eq(delay(m, ends, self._blocks.result - 1, name="finishes", reset=True))
