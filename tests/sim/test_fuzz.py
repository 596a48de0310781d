# amaranth: UnusedElaboratable=no
"""Slices of the fuzzing of an engine and of a serial line; who does not recover, or errs, is noticed."""

import pytest

from sim.bench.program import Bench
from sim.bench.streams import compile_encoder
from sim.fuzz import check as fuzz
from sim.fuzz import dma
from sim.fuzz.encoder import row_rounds
from sim.fuzz.engine import CONFIGS, engine_rounds
from sim.fuzz.line import compile_line, line_rounds
from sim.traffic.engine_jobs import RECOVER
from sqhw.driver.library import compile_engine
from sqhw.driver.rtl import RTLDevice
from sqhw.encoder.config import EncoderConfig

SEED = 7
CONFIG = CONFIGS["engine"]
pytestmark = pytest.mark.slow


class Deaf(RTLDevice):
    """Does not hear of a recovery."""

    def write(self, name, value):
        return 0 if (name, value) == ("CONTROL", RECOVER) else super().write(name, value)


class Wrong(RTLDevice):
    """Sends what it was not given."""

    def run(self, sq, dense, **arguments):
        return super().run(bytes(8) + sq[8:], dense, **arguments)


@pytest.fixture(scope="module")
def library():
    return compile_engine(CONFIG)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_an_engine_recovers(name):
    totals = fuzz.totals(list(engine_rounds(CONFIGS[name], RTLDevice(CONFIGS[name]), 10_000, SEED)))
    assert (totals["hangs"], totals["wrong"]) == (0, 0)
    assert totals["words"] >= 10_000
    assert totals["compared"] > 1000
    assert totals["accesses"] > 100


def test_an_engine_that_does_not_recover_is_noticed(library):
    rows = list(engine_rounds(CONFIG, Deaf(CONFIG, library), 10_000, SEED))
    assert rows[-1]["hangs"] == 1


def test_an_engine_that_errs_is_noticed(library):
    assert fuzz.totals(list(engine_rounds(CONFIG, Wrong(CONFIG, library), 1000, SEED)))["wrong"] > 20


def test_a_serial_line_recovers(tmp_path):
    totals = fuzz.totals(list(line_rounds(compile_line(tmp_path), 40, SEED)))
    assert (totals["hangs"], totals["wrong"]) == (0, 0)
    assert totals["compared"] > 500
    assert totals["damaged"] > 500
    assert totals["gave_up"] > 0


def test_rows_of_random_bits_leave_no_trace_in_an_encoder(tmp_path):
    config = EncoderConfig(elements=4, k_max=96)
    totals = fuzz.totals(
        list(row_rounds(compile_encoder(config, tmp_path), config, 8000, SEED, per_round=2000))
    )
    assert totals["hangs"] == totals["wrong"] == 0
    assert totals["rounds"] == 4
    assert totals["compared"] > 800
    assert totals["flagged"] > 100


@pytest.fixture(scope="module")
def reader_and_writer(tmp_path_factory):
    return dma.compile_dma(tmp_path_factory.mktemp("dma"))


def test_transfers_are_right(reader_and_writer):
    totals = fuzz.totals(list(dma.transfer_rounds(reader_and_writer, 20_000, SEED)))
    assert (totals["hangs"], totals["wrong"]) == (0, 0)
    assert totals["compared"] > 40_000
    assert min(totals[name] for name in ("bad", "vain", "resets")) > 10


@pytest.mark.parametrize(
    "port", ["o__payload", "ar__payload", "error", "w__payload", "aw__payload", "written"]
)
def test_a_transfer_that_errs_is_noticed(port, reader_and_writer, monkeypatch):
    class Flipped(Bench):
        """A port differs in its lowest bit, in one of seven cycles."""

        def get(self, name):
            return super().get(name) ^ (name == port and self.cycles % 7 == 0)

    monkeypatch.setattr(dma, "Bench", Flipped)
    rows = list(dma.transfer_rounds(reader_and_writer, 5000, SEED))
    assert rows[-1]["wrong"] == 1
