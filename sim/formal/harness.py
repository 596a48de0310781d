"""What the harnesses of formal proofs are written with."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Elaboratable, Fragment, Module, Mux, Signal, Value

__all__ = ["assert_buffer", "assert_held", "embed", "inner", "queue", "rank_below"]


def embed(m: Module, name: str, block: Elaboratable) -> Fragment:
    """Adds a block to a harness and returns its fragment, in which :func:`inner` finds signals."""
    fragment = Fragment.get(block, None)
    m.submodules[name] = fragment
    return fragment


def inner(fragment: Fragment, path: str) -> Any:
    """Returns the register called `path` (``submodule.signal``) inside a fragment.

    Induction starts in any state, so an invariant must tie registers that no port shows to what they stand
    for. A claim never rests on the name: if the register is gone, so is the proof.
    """
    *modules, name = path.split(".")
    for module in modules:
        found = [part for part, label, _ in fragment.subfragments if label == module]
        if len(found) != 1:
            raise LookupError(f"There must be one submodule {module!r} of {path!r}, not {len(found)}")
        fragment = found[0]
    driven = [signal for part in fragment.statements.values() for signal in part._lhs_signals()]
    signals = [signal for signal in driven if signal.name == name]
    if len(signals) != 1:
        raise LookupError(f"There must be one register {path!r}, not {len(signals)}")
    return signals[0]


def assert_held(m: Module, what: str, valid: Any, payload: Any, ready: Any, *, domain: str = "sync") -> None:
    """Asserts the stream rule: once offered, a payload stays as it is until it is taken."""
    payload = Value.cast(payload)
    waiting = Signal(name=f"{what}_waiting")
    held = Signal(len(payload), name=f"{what}_held")
    m.d[domain] += [waiting.eq(valid & ~ready), held.eq(payload)]
    with m.If(waiting):
        m.d.comb += [
            Assert(valid, f"{what} is valid until it is taken"),
            Assert(payload == held, f"{what} keeps its payload until it is taken"),
        ]


def assert_buffer(m: Module, fragment: Fragment, path: str) -> None:
    """Asserts the invariant of a buffer of two places: what its level and its two pointers may be."""
    level, produce, consume = (inner(fragment, f"{path}.{name}") for name in ("level", "produce", "consume"))
    m.d.comb += [
        Assert(level <= 2, f"invariant: {path} has two places"),
        Assert((produce == consume) == (level != 1), f"invariant: {path}'s pointers fit its level"),
    ]


def queue(m: Module, places: int, word: Signal, *, put: Any, get: Any) -> tuple[Signal, Signal]:
    """Adds a model of a queue: `word` is its last one after `put`, the first one leaves after `get`.

    Returns how many words there are, and the first one.
    """
    words = [Signal(len(word), name=f"queue_{place}") for place in range(places)]
    level = Signal(range(places + 1))
    end = level - get
    m.d.sync += level.eq(level + put - get)
    for place, own in enumerate(words):
        after = words[place + 1] if place + 1 < places else own
        m.d.sync += own.eq(Mux(put & (end == place), word, Mux(get, after, own)))
    return level, words[0]


def rank_below(mask: Any, index: int) -> Any:
    """Returns how many of the bits of `mask` below `index` are set."""
    total: Any = 0
    for bit in range(index):
        total = (total + mask[bit])[: index.bit_length()]
    return total
