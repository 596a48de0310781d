# amaranth: UnusedElaboratable=no
"""Formal proofs: claims hold, planted bugs do not get through, and the search itself can be trusted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sim.formal import decoder as formal_decoder
from sim.formal.claims import PROOFS, QUICK
from sim.formal.prove import Proof, prove, refute
from sim.mutation.pe import CONFIG
from sqhw.cli import main
from sqhw.pe import decoder as bitmap_decoder
from sqhw.pe import mask

BY_NAME = {proof.name: proof for proof in PROOFS}
BUGS = [(proof.name, bug) for proof in PROOFS for bug in proof.bugs]


def marked(name):
    return pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("name", [marked(name) for name in BY_NAME])
def test_proof(name, tmp_path):
    outcome = prove(BY_NAME[name], folder=tmp_path)
    assert outcome.violated == ()
    assert outcome.proven


@pytest.mark.parametrize(
    ("name", "bug"), [pytest.param(name, bug, marks=marked(name).marks) for name, bug in BUGS]
)
def test_planted_bug_is_found(name, bug, tmp_path):
    outcome = refute(BY_NAME[name], bug, folder=tmp_path)
    assert outcome.violated
    assert (outcome.folder / "trace.vcd").exists()


def changed(module, before, after):
    """Names of a module whose source says something else in one place."""
    source = Path(module.__file__).read_text()
    assert source.count(before) == 1
    names = {"__name__": module.__name__, "__package__": module.__package__}
    exec(source.replace(before, after), names)
    return names


def decoder_of_mutants():
    return Proof("decoder of the mutants", "", lambda: formal_decoder.DecoderProof(CONFIG), depth=2)


def test_a_bank_counter_that_runs_on_is_refuted(monkeypatch, tmp_path):
    """The mutants at `monitor.$8`: no result shows them, the contract does, without its invariants too."""

    def claim(test, message):
        return Assert(1 if message.startswith("invariant") else test, message)

    mutant = changed(mask, "bank_last & ~too_long", "bank_last")
    config = replace(CONFIG, k_max=16)
    proof = Proof("contract", "", lambda: formal_decoder.DecoderProof(config), depth=12, induction=False)
    monkeypatch.setattr(formal_decoder, "Assert", claim)
    assert prove(proof, folder=tmp_path / "right").proven
    monkeypatch.setattr(bitmap_decoder, "BankMonitor", mutant["BankMonitor"])
    found = prove(proof, folder=tmp_path / "runs on")
    assert found.violated == ("an error is told exactly when a rule is broken",)


def test_codes_behind_the_last_do_not_matter(monkeypatch, tmp_path):
    """The mutant at the decoder's ternary: the contract holds with anything in their place."""
    anything = changed(
        bitmap_decoder, "Mux(more, codes, arriving)", "Mux(more, Cat(codes, ~arriving[:now]), arriving)"
    )
    monkeypatch.setattr(formal_decoder, "BitmapDecoder", anything["BitmapDecoder"])
    assert prove(decoder_of_mutants(), folder=tmp_path / "behind").proven
    wrong = changed(bitmap_decoder, "Mux(more, codes, arriving)", "Mux(more, ~codes, arriving)")
    monkeypatch.setattr(formal_decoder, "BitmapDecoder", wrong["BitmapDecoder"])
    found = prove(decoder_of_mutants(), folder=tmp_path / "last")
    assert found.violated == ("each has its high code",)


def test_every_kind_of_proof_has_a_planted_bug():
    kinds = {name.partition("[")[0] for name in BY_NAME}
    assert {name.partition("[")[0] for name, _ in BUGS} == kinds


class Counter(wiring.Component):
    """Counts to a limit; what is asserted and assumed is up to the test."""

    enable: In(1)

    def __init__(self, top, *, assumption=1, cover=3, asserts=True, covers=True):
        self._top, self._assumption, self._cover = top, assumption, cover
        self._asserts, self._covers = asserts, covers
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        with m.If(self.enable & (count != 5)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += Assume(self._assumption)
        if self._covers:
            m.d.comb += Cover(count == self._cover, "the count is reached")
        if self._asserts:
            m.d.comb += Assert(count <= self._top, "the count stays below")
        return m


def test_what_holds_for_a_while_is_no_proof(tmp_path):
    """The bound 4 is broken in the sixth cycle: a shorter search misses it, induction does not."""
    bounded = Proof("short", "", lambda: Counter(4), depth=4, induction=False)
    assert prove(bounded, folder=tmp_path).proven
    unbounded = Proof("for ever", "", lambda: Counter(4), depth=3)
    assert prove(unbounded, folder=tmp_path).violated == ("the count stays below",)
    right = Proof("right", "", lambda: Counter(5), depth=1)
    assert prove(right, folder=tmp_path).proven


def test_a_cover_that_is_not_reached_is_no_proof(tmp_path):
    outcome = prove(Proof("cover", "", lambda: Counter(5, cover=6), depth=1), folder=tmp_path)
    assert (outcome.proven, outcome.violated) == (False, ("the count is reached",))


def test_contradictory_assumptions_are_no_proof(tmp_path):
    """Nothing is violated where nothing is possible, but then no cover is reached either."""
    outcome = prove(Proof("vacuous", "", lambda: Counter(2, assumption=0), depth=2), folder=tmp_path)
    assert (outcome.proven, outcome.violated) == (False, ("the count is reached",))


@pytest.mark.parametrize("missing", ["asserts", "covers"])
def test_an_empty_harness_is_refused(missing, tmp_path):
    with pytest.raises(ValueError, match=rf"^A harness must hold an assertion and a cover, .* no {missing}$"):
        prove(Proof("empty", "", lambda: Counter(2, **{missing: False}), depth=2), folder=tmp_path)


def test_command_writes_a_report(tmp_path, capsys):
    path = tmp_path / "formal.json"
    assert main(["verify", "formal", "--only", "buffer", "--output", str(path)]) == 0
    report = json.loads(path.read_text())
    assert [row["name"] for row in report["proofs"]] == ["buffer"]
    assert (report["proven"], report["bugs_found"], report["bugs_planted"]) == (1, 1, 1)
    out = capsys.readouterr().out
    assert "1 claims proven, 0 of them by induction; 1 of 1 planted bugs found" in out
