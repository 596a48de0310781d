"""cocotb benches of an AXI4-Stream processing element, of an array and of an encoder."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from sim.bench.stream_bench import Run, StreamBench
from sqhw.arith.output_stage import output_stage_input
from sqhw.config import ArrayConfig, PEConfig
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.packing import axi_words, read_tile_row
from sqhw.pe.blocks import blocks

__all__ = ["ArrayBench", "EncoderBench", "PEBench"]


class PEBench(StreamBench):
    """Of an AXI4-Stream processing element, whose outputs depend on registers alone."""

    def __init__(self, dut: Any, config: PEConfig, seed: int):
        self._config = config
        # Ports of blocks: what is between them may have another name in the Verilog, or several.
        self._en = dut.pe.datapath.en
        self._finished, self._result = dut.pe.output_stage.i__valid, dut.pe.output_stage.i__payload
        self._acc = output_stage_input(config.acc_bits)["acc"]
        super().__init__(
            dut,
            clock="aclk",
            reset=("aresetn", 0),
            sources=[_axi(dut, f"s_axis_{name}", "tlast", "tuser") for name in ("sq", "dense", "scale")],
            sink=_axi(dut, "m_axis_y", "tuser"),
            active=[_registers(dut.pe.datapath.mac, config)],
            seed=seed,
        )

    async def run(self, streams: tuple[list[list[int]], list[list[int]], list[int]], **options: Any) -> Run:
        """Sends dot products, as :meth:`~sim.traffic.jobs.Job.streams` gives them, until all results came."""
        sq, dense, scales = streams
        records = [
            axi_words(layout, [beat for beats in products for beat in beats])
            for layout, products in (
                (pe_beat_layout(self._config), sq),
                (dense_beat_layout(self._config), dense),
            )
        ]
        return await self.send([*records, [(word, 0, 0) for word in scales]], len(scales), **options)

    def _observe(self, run: Run, at_work: int) -> None:
        """Notes finished sums and the outlier lanes' work, while the pipeline moves."""
        finished = self._finished.value
        if (at_work or finished) and self._en.value:
            run.active += at_work
            if finished:
                acc = int(self._result.value) >> self._acc.offset & (1 << self._acc.width) - 1
                run.sums.append(acc - (acc >> self._acc.width - 1 << self._acc.width))


class ArrayBench(StreamBench):
    """Of an array, whose inputs are ready when the other one is valid."""

    def __init__(self, dut: Any, config: ArrayConfig, seed: int):
        self._config = config
        super().__init__(
            dut,
            clock="clk",
            reset=("rst", 1),
            sources=[_stream(dut, name) for name in ("i_sq", "i_dense")],
            sink=_stream(dut, "o")[:-1],
            active=[_registers(getattr(dut, f"mac{row}_0"), config.pe) for row in range(config.rows)],
            seed=seed,
            counted=1,
            settles=True,
        )

    async def run(self, streams: tuple[list[int], list[int]], rows: int, **options: Any) -> Run:
        """Sends the payloads of both streams, until `rows` rows have come."""
        return await self.send([[(word, 0, 0) for word in stream] for stream in streams], rows, **options)

    def rows_of(self, run: Run) -> list[tuple[list[int], bool, bool]]:
        """Sums, whether they are void, whether they are the last of a tile."""
        return [read_tile_row(self._config, payload) for payload, _ in run.outputs]


class EncoderBench(StreamBench):
    """Of an encoder."""

    def __init__(self, dut: Any, seed: int):
        super().__init__(
            dut,
            clock="clk",
            reset=("rst", 1),
            sources=[_stream(dut, "i")],
            sink=_stream(dut, "o")[:-1],
            active=[],
            seed=seed,
        )

    async def run(self, words: list[int], banks: int, **options: Any) -> Run:
        """Sends words of rows, until `banks` banks have come."""
        return await self.send([[(word, 0, 0) for word in words]], banks, **options)


def _axi(dut: Any, name: str, *beside: str) -> list[Any]:
    return [getattr(dut, f"{name}_{port}", None) for port in ("tdata", "tvalid", "tready", *beside)]


def _stream(dut: Any, name: str) -> list[Any]:
    return [*(getattr(dut, f"{name}__{port}") for port in ("payload", "valid", "ready")), None, None]


def _registers(mac: Any, config: PEConfig) -> list[Any]:
    return [attrgetter(name)(mac) for name in blocks(config).active]
