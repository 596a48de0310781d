"""Formal contracts of streams: nothing lost, duplicated or reordered, payloads held until they are taken."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, ClockSignal, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, pe_beat_layout, scales_layout
from sqhw.pe.axi import AXIProcessingElement
from sqhw.pe.pe import ProcessingElement

from .harness import assert_buffer, assert_held, embed

__all__ = ["AXIResultProof", "PEResultProof", "PETokenProof"]


class _PEHarness(wiring.Component):
    """A processing element, all of whose inputs are free."""

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "sq": In(pe_beat_layout(config)),
                "dense": In(dense_beat_layout(config)),
                "scales": In(scales_layout()),
                "sq_valid": In(1),
                "dense_valid": In(1),
                "scales_valid": In(1),
                "ready": In(1),
            }
        )

    def _embed(self, m: Module) -> ProcessingElement:
        dut = ProcessingElement(self._config)
        self._fragment = embed(m, "pe", dut)
        m.d.comb += [
            dut.i_sq.payload.eq(self.sq),
            dut.i_sq.valid.eq(self.sq_valid),
            dut.i_dense.payload.eq(self.dense),
            dut.i_dense.valid.eq(self.dense_valid),
            dut.i_scales.payload.eq(self.scales),
            dut.i_scales.valid.eq(self.scales_valid),
            dut.o.ready.eq(self.ready),
        ]
        return dut


class PEResultProof(_PEHarness):
    """A result that is offered stays as it is until it is taken, whatever happens at the inputs."""

    def __init__(self, config: PEConfig, *, withdraw: bool = False):
        super().__init__(config)
        self._withdraw = withdraw

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._embed(m)
        valid = dut.o.valid & ~(dut.i_sq.valid & dut.i_dense.valid) if self._withdraw else dut.o.valid
        assert_held(m, "result", valid, dut.o.payload, self.ready)
        assert_buffer(m, self._fragment, "buffer")
        m.d.comb += Cover(valid & ~self.ready, "a result waits")
        return m


class PETokenProof(_PEHarness):
    """One result per dot product, in order: none lost, none twice.

    Every beat carries a legal or a reserved bank scale, any ``last`` and any length, and so every dot product
    a flag of its own: its error flag. The harness counts beats, queues the flags of the dot products taken
    and compares them with those of the results. So a ``last`` that is lost or added flags its own result and
    no other. Results must come when scales are there and the sink takes them.

    Parameters
    ----------
    config
        A format without outliers.
    bug
        Every fourth result is not seen (``"lost"``), or every other one is seen twice (``"doubled"``).
    active
        If not 0, beats come in this many cycles from power-up only: then every result must have come within
        the latency and ``SPARE`` cycles more.
    """

    WAITING_MAX = 31
    SPARE = 4
    """Cycles that a result may take beside the latency."""
    LEGAL, RESERVED = 0xF8, 0x01

    def __init__(self, config: PEConfig, *, bug: str = "", active: int = 0):
        super().__init__(config)
        self._bug = bug
        self._active = active

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._embed(m)
        taken_sq = dut.i_sq.valid & dut.i_sq.ready
        taken_dense = dut.i_dense.valid & dut.i_dense.ready
        result = self._result(m, dut)
        # The beat that waits in the decoder for its dense beat: whether it ends a dot product, its flag.
        pending, pending_end, pending_flag = Signal(), Signal(), Signal()
        end, flag = self._counted(m, taken_sq)
        with m.If(taken_dense):
            m.d.sync += pending.eq(0)
        with m.If(taken_sq):
            m.d.sync += [pending.eq(1), pending_end.eq(end), pending_flag.eq(flag)]
        before = Signal()
        flagged = before | pending_flag | (self.dense.last != pending_end)
        with m.If(taken_dense):
            m.d.sync += before.eq(flagged & ~pending_end)
        m.d.comb += [
            Assume((self.sq.scale == self.LEGAL) | (self.sq.scale == self.RESERVED)),
            Assert(~taken_dense | pending, "a dense beat is taken with the SQ beat that it meets"),
            Assert(~taken_sq | ~pending | taken_dense, "an SQ beat waits for its dense beat"),
        ]
        self._queue(m, taken_dense & pending_end, flagged, result, dut.o.payload.error)
        if self._active:
            self._comes(m, dut, pending)
        return m

    def _counted(self, m: Module, taken: Any) -> tuple[Any, Any]:
        """Counts beats of the SQ operand; returns whether this one is the last, and whether it is wrong."""
        sq, most = self.sq, self._config.beats_max
        place, of_first = (Signal(sq.length.shape(), name=name) for name in ("place", "of_first"))
        length, end = Signal(sq.length.shape()), Signal()
        refused = (place == 0) & ((sq.length == 0) | (sq.length > most))
        bank = self._config.beats_per_bank
        cut = end & (((place + 1) % bank) != 0)
        m.d.comb += [length.eq(Mux(place == 0, sq.length, of_first)), end.eq(place + 1 >= length)]
        with m.If(taken):
            m.d.sync += [of_first.eq(length), place.eq(Mux(end, 0, place + 1))]
        return end, (sq.scale == self.RESERVED) | (sq.last != end) | refused | cut

    def _result(self, m: Module, dut: ProcessingElement) -> Any:
        seen = dut.o.valid & self.ready
        if self._bug == "lost":
            count = Signal(2)
            m.d.sync += count.eq(count + seen)
            return seen & (count != 2)
        if self._bug == "doubled":
            before = Signal()
            m.d.sync += before.eq(seen & ~before)
            return seen | before
        return seen

    def _queue(self, m: Module, put: Any, flag: Any, get: Any, error: Any) -> None:
        level = self._level = Signal(range(self.WAITING_MAX + 1))
        flags = Signal(self.WAITING_MAX + 1)
        end = (level - get)[: level.shape().width]
        m.d.sync += [
            level.eq(level + put - get),
            flags.eq(((flags >> get) & ~(1 << end)) | ((put & flag) << end)),
        ]
        in_order = ~get | (level == 0) | (error == flags[0])
        m.d.comb += [
            Assert(~get | (level != 0), "no result without a dot product"),
            Assert(in_order, "results leave in the order of dot products"),
            Assert(level < self.WAITING_MAX, "not more dot products inside than there is room for"),
        ]
        m.d.comb += Cover(get & error), Cover(get & ~error & (level == 1))

    def _comes(self, m: Module, dut: ProcessingElement, pending: Any) -> None:
        """With scales there and the sink ready, what is complete leaves in time."""
        idle = self.ready & self.scales_valid & ~self.sq_valid & ~pending
        settled = self.ready & self.scales_valid & ~self.sq_valid & self.dense_valid
        m.d.comb += Assume(~self._late(m) | settled)
        with m.If(self._overdue(m, dut, idle)):
            m.d.comb += Assert(self._level == 0, "every dot product has its result")

    def _late(self, m: Module) -> Any:
        """After the cycles in which anything may happen."""
        age = Signal(range(self._active + 1), reset_less=True)
        late = age == self._active
        m.d.sync += age.eq(age + ~late)
        return late

    def _overdue(self, m: Module, dut: ProcessingElement, waits: Any) -> Any:
        """For the latency and ``SPARE`` cycles more `waits` has not been interrupted."""
        limit = dut.latency + self.SPARE
        quiet = Signal(range(limit + 1))
        m.d.sync += quiet.eq(Mux(waits, Mux(quiet == limit, limit, quiet + 1), 0))
        return quiet == limit


class AXIResultProof(wiring.Component):
    """A result on the AXI wrapper's output stays until it is taken, whatever happens at the inputs."""

    def __init__(self, config: PEConfig, *, withdraw: bool = False):
        self._dut = AXIProcessingElement(config)
        self._withdraw = withdraw
        ports = {name: member for name, member in self._dut.signature.members.items() if member.flow is In}
        del ports["aclk"], ports["aresetn"]
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._dut
        fragment = embed(m, "axi", dut)
        m.d.comb += [dut.aclk.eq(ClockSignal("check")), dut.aresetn.eq(~ResetSignal("check"))]
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        payload = Signal(33)
        m.d.comb += [payload[:32].eq(dut.m_axis_y_tdata), payload[32].eq(dut.m_axis_y_tuser)]
        valid, ready = dut.m_axis_y_tvalid, self.m_axis_y_tready
        if self._withdraw:
            valid &= ~self.s_axis_scale_tvalid
        # The wrapper's own domain is called sync, so the harness needs another one.
        assert_held(m, "m_axis_y", valid, payload, ready, domain="check")
        assert_buffer(m, fragment, "pe.buffer")
        m.d.comb += Cover(valid & ~ready, "a result waits")
        return m
