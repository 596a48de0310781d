"""What the registers of a DMA's reader and writer stand for: invariants that an induction needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Assert, Module, Mux
from amaranth.lib import wiring

from sqhw.dma.axi import AXIDMAEngine
from sqhw.dma.config import DMAConfig

from .harness import embed, inner

__all__ = ["MasterStates"]

_OUTSTANDING = 16
_READER = ("IDLE", "PACKET", "SIZE", "ASK", "REST")
_WRITER = ("IDLE", "GATHER", "ADDRESS", "WORDS")
"""States in the order of their numbers."""


class MasterStates(wiring.Component):
    """A harness of masters, without its claims.

    Parameters
    ----------
    config
        The masters.
    ports
        Of the harness.
    """

    def __init__(self, config: DMAConfig, ports: Mapping[str, Any]):
        self._config = config
        self._bytes = config.engine.axi_bytes
        self._low = self._bytes.bit_length() - 1
        super().__init__(dict(ports))

    def _embed(self, m: Module, dut: AXIDMAEngine) -> None:
        self._fragment = embed(m, "dma", dut)

    def _own(self, path: str) -> Any:
        return inner(self._fragment, path)

    def _place(self, base: Any, words: Any) -> Any:
        """The address so many words behind another one."""
        return (base + (words << self._low))[: self._config.address_bits]

    def _to_border(self, address: Any) -> Any:
        """Words up to the next multiple of a burst."""
        burst = self._config.burst
        return burst - address[self._low : self._low + burst.bit_length() - 1]

    def _reader(self, m: Module, name: str, at: Any, claimed: Any, offered: Any, size: Any) -> None:
        """What a reader's registers stand for; a burst that is offered is asked for."""

        def own(register: str) -> Any:
            return self._own(f"{name.lower()}_reader.{register}")

        state = {label: own("fsm_state") == number for number, label in enumerate(_READER)}
        asks, rest = state["SIZE"] | state["ASK"], state["IDLE"]
        ends = offered & (at.asked + size == at.words)
        asked = Mux(ends, 0, at.asked + Mux(offered, size, 0))[:32]
        rounds = (at.rounds - ends)[:32]
        left, address, to_border = own("left"), own("address"), self._to_border(own("address"))
        m.d.comb += [
            Assert(own("fsm_state") < len(_READER), "invariant: states"),
            Assert(own("claimed") == claimed, "invariant: claimed words"),
            Assert(
                own("queue.inner_level") + own("queue.r_rdy") == at.inside, "invariant: words in the queue"
            ),
            Assert(own("busy") == ~rest, "invariant: busy"),
            Assert(~rest | (at.rounds == 0) & (claimed == 0), "invariant: at rest"),
            Assert(rest | (own("begin") == at.base), "invariant: base"),
            Assert(own("begin")[: self._low] == 0, "invariant: whole words"),
            Assert(rest | (own("words") == at.words) & (at.words != 0), "invariant: words of a packet"),
            Assert(rest | (own("behind") == at.words - 1 - at.place), "invariant: words behind this one"),
            Assert(rest | (at.place < at.words) & (at.asked < at.words), "invariant: places in a packet"),
            Assert(
                ~state["PACKET"] | (own("times") == rounds) & (rounds != 0) & (asked == 0),
                "invariant: a round begins",
            ),
            Assert(~asks | (own("times") == rounds - 1) & (rounds != 0), "invariant: a round goes on"),
            Assert(~asks | (address == self._place(at.base, asked)), "invariant: the next address"),
            Assert(~asks | (left == at.words - asked) & (left != 0), "invariant: words left"),
            Assert(
                ~state["ASK"] | (own("size") == Mux(left < to_border, left, to_border)),
                "invariant: words of the next burst",
            ),
            Assert(~state["REST"] | (rounds == 0) & (claimed != 0), "invariant: all is asked for"),
        ]

    def _writer(self, m: Module, at: Any) -> None:
        """What a writer's registers stand for."""

        def own(register: str) -> Any:
            return self._own(f"y_writer.{register}")

        state = {label: own("fsm_state") == number for number, label in enumerate(_WRITER)}
        rest, words = state["IDLE"], state["WORDS"]
        size, gathered, missing = own("size"), own("gathered"), own("missing")
        queue = own("queue.inner_level")
        fits = (size <= self._to_border(own("address"))) & (size != 0) & (size <= gathered)
        m.d.comb += [
            Assert(own("busy") == ~rest, "invariant: busy"),
            Assert(~rest | ~at.open & (gathered == 0) & (missing == 0), "invariant: at rest"),
            Assert(own("open_") == at.open, "invariant: open"),
            Assert(own("written") == at.written, "invariant: written"),
            Assert(rest | (own("room") == at.room), "invariant: room"),
            Assert(gathered == at.written - at.announced + at.left, "invariant: words gathered"),
            Assert(gathered == queue + own("queue.r_rdy"), "invariant: words in the queue"),
            Assert(queue <= 2 * self._config.burst, "invariant: places of the queue"),
            Assert(at.announced <= at.written, "invariant: words announced"),
            Assert(own("address")[: self._low] == 0, "invariant: whole words"),
            Assert(rest | (own("address") == self._place(at.base, at.announced)), "invariant: next address"),
            Assert(~state["ADDRESS"] | fits, "invariant: words of the next burst"),
            Assert(at.left == Mux(words, size, 0), "invariant: words of this burst"),
            Assert(~words | (size != 0) & (size <= gathered), "invariant: words of this burst are there"),
            Assert(missing == at.unanswered + words, "invariant: answers that are missing"),
            Assert(missing + state["ADDRESS"] <= _OUTSTANDING, "invariant: places for answers"),
        ]
