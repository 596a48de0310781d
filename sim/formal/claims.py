"""The list of proofs: which claim, about which configuration, by induction or to which depth.

Those about units stand here, the others in engine_claims.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module, Signal

from sqhw.config import PEConfig
from sqhw.presets import PRESETS, engine_preset
from sw_reference.format import DenseFormat, SQFormat

from .accumulator import AccumulatorProof
from .buffers import BufferProof, CreditProof, stream_buffer
from .decoder import DECODER_BUGS, Bug, DecoderProof
from .engine_claims import ENGINE_PROOFS
from .index import INDEX_BUGS, IndexProof
from .long_decoder import LongDecoderProof
from .meetings import MEETING_BUGS, MeetingProof
from .operands import JoinProof, PEScalesProof
from .prove import Build, Proof
from .streams import AXIResultProof, PEResultProof, PETokenProof

__all__ = ["PROOFS", "QUICK"]

CONFIGS: dict[str, PEConfig] = {
    **PRESETS,
    "engine 8x8": engine_preset("8x8").pe,
    "steps": PEConfig(SQFormat(8, 3, "int8", "sentinel"), DenseFormat(4), 4, 2, 32),
    "no outliers": PEConfig(SQFormat(8, 0), DenseFormat(4, 16), 8, 0, 256),
    "all outliers": PEConfig(SQFormat(8, 8, "fp16"), DenseFormat(4), 8, 3, 64),
    "small": PEConfig(SQFormat(4, 0), DenseFormat(4), 4, 0, 16),
    "narrow": PEConfig(k_max=32),
}
"""What proofs are about: the presets, and what the presets do not have."""

_INDEX = PEConfig(SQFormat(8, 2, "int8", "index", "e1m0s", 4), DenseFormat(4), 8, 4, 32)

_MEETINGS: dict[str, PEConfig] = {
    "row near": PEConfig(
        SQFormat(8, 2, "int8", "index", "e1m0s"), DenseFormat(4, None, 2, 4, mask="index"), 8, 2, 32
    ),
    "column near": PEConfig(
        SQFormat(8, 2, "int8", "index", "e1m0s", 4), DenseFormat(4, None, 2, 8, mask="index"), 8, 4, 32
    ),
}
"""Outliers of both operands, of which either has fewer slots."""

_STEPS = ("default", "engine 8x8", "tiny", "paper", "steps", "no outliers", "all outliers")


def _decoder(name: str) -> Proof:
    config = CONFIGS[name]
    bugs: dict[str, Build] = {}
    if name == "steps":
        bugs = {label: _with_bug(config, bug) for label, bug in DECODER_BUGS.items()}
        looser = replace(config, sq=replace(config.sq, outliers=4))
        bugs["capacity not checked"] = lambda: DecoderProof(config, decoder=looser)
    return Proof(
        f"decoder[{name}]",
        "each beat becomes steps with exactly its marked elements, in order, each with its high code; none "
        "lost, doubled or reordered; an error exactly when a rule is broken",
        lambda: DecoderProof(config),
        depth=2,
        bugs=bugs,
    )


_LONG_BUGS: dict[str, Iterable[str]] = {
    "steps": DECODER_BUGS,
    "engine 8x8": ("outlier in the last lane lost", "high codes mixed up"),
}
"""Of decoders whose beats are several steps, and of those that find outliers while they count."""


def _index_with_bug(bug: str) -> Build:
    return lambda: IndexProof(_INDEX, bug=bug)


def _meeting(name: str) -> Proof:
    config = _MEETINGS[name]
    return Proof(
        f"meetings[{name}]",
        "a slot of one operand meets the sum of the nibbles of all slots of the other that name its element",
        lambda: MeetingProof(config),
        depth=2,
        bugs={label: _meeting_with_bug(config, label) for label in MEETING_BUGS},
    )


def _meeting_with_bug(config: PEConfig, bug: str) -> Build:
    return lambda: MeetingProof(config, bug=bug)


def _long_decoder(name: str) -> Proof:
    config = CONFIGS[name]
    bugs: dict[str, Build] = {}
    if name in _LONG_BUGS:
        bugs = {label: _long_with_bug(config, DECODER_BUGS[label]) for label in _LONG_BUGS[name]}
    return Proof(
        f"long_decoder[{name}]",
        "a decoder of a long pipeline shows what one of a short pipeline shows, two cycles later",
        lambda: LongDecoderProof(config),
        depth=2,
        bugs=bugs,
    )


def _long_with_bug(config: PEConfig, bug: Bug) -> Build:
    return lambda: LongDecoderProof(config, bug=bug)


def _with_bug(config: PEConfig, bug: Bug) -> Build:
    return lambda: DecoderProof(config, bug=bug)


def _accumulator(name: str, bugs: Mapping[str, Build]) -> Proof:
    config = CONFIGS[name]
    return Proof(
        f"accumulator[{name}]",
        f"a sum of up to k_max = {config.k_max} elements never overflows {config.acc_bits} bits",
        lambda: AccumulatorProof(config),
        depth=2,
        bugs=bugs,
    )


def _stale(m: Module, buffer: Any) -> Any:
    """What is seen if a word replaces the one that waits."""
    seen = Signal(len(buffer.r_data))
    full = buffer.level == 2
    m.d.comb += seen.eq(buffer.r_data)
    with m.If(full & buffer.w_en):
        m.d.comb += seen.eq(buffer.w_data)
    return seen


_SMALL = CONFIGS["small"]


PROOFS: tuple[Proof, ...] = (
    *(_decoder(name) for name in _STEPS),
    *(_long_decoder(name) for name in _STEPS),
    *(_accumulator(name, {}) for name in PRESETS),
    _accumulator("narrow", {"a bit too narrow": lambda: AccumulatorProof(CONFIGS["narrow"], missing_bits=1)}),
    Proof(
        "index",
        "each beat with an index mask is one step, none lost, doubled or reordered; each slot's position is "
        "the one that its index names, and only that",
        lambda: IndexProof(_INDEX),
        depth=2,
        bugs={label: _index_with_bug(label) for label in INDEX_BUGS},
    ),
    *(_meeting(name) for name in _MEETINGS),
    Proof(
        "buffer",
        "a stream buffer gives every word once, in order, and holds it until it is taken",
        lambda: BufferProof(stream_buffer, 2),
        depth=20,
        induction=False,
        bugs={"waiting word replaced": lambda: BufferProof(stream_buffer, 2, bug=_stale)},
    ),
    Proof(
        "credits",
        "behind a pipeline that cannot stop every word leaves once, in order and in time; no more are on "
        "their way than there are credits, and no credit is lost",
        CreditProof,
        depth=20,
        induction=False,
        bugs={
            "sent without a credit": lambda: CreditProof(bug="spent"),
            "credit back too early": lambda: CreditProof(bug="early"),
        },
    ),
    Proof(
        "pe.result",
        "a result stays as it is until it is taken",
        lambda: PEResultProof(_SMALL),
        depth=2,
        bugs={"result withdrawn": lambda: PEResultProof(_SMALL, withdraw=True)},
        cut=("pe/output_stage",),
    ),
    Proof(
        "axi.result",
        "TVALID stays and TDATA and TUSER hold until TREADY",
        lambda: AXIResultProof(_SMALL),
        depth=2,
        bugs={"result withdrawn": lambda: AXIResultProof(_SMALL, withdraw=True)},
        cut=("axi.pe/output_stage",),
    ),
    Proof(
        "pe.order",
        "one result per dot product, in order, none lost or doubled; the error flag stands with the dot "
        "product that broke a rule and with no other",
        lambda: PETokenProof(_SMALL),
        depth=28,
        induction=False,
        bugs={
            "result lost": lambda: PETokenProof(_SMALL, bug="lost"),
            "result doubled": lambda: PETokenProof(_SMALL, bug="doubled"),
        },
        reach=28,
    ),
    Proof(
        "pe.completion",
        "after any 6 cycles of beats, stalls and resets every dot product has its result four cycles "
        "after the latency at the latest",
        lambda: PETokenProof(_SMALL, active=6),
        depth=38,
        induction=False,
        bugs={"result lost": lambda: PETokenProof(_SMALL, active=6, bug="lost")},
        reach=38,
    ),
    Proof(
        "pe.join",
        "whatever `last` says and whatever waits, beat n of one operand meets beat n of the other, and dot "
        "products end by the count; an error where a stream says otherwise or a length is refused, and "
        "nowhere else",
        lambda: JoinProof(_SMALL),
        depth=2,
        bugs={
            "end not heard of": lambda: JoinProof(_SMALL, bug="deaf"),
            "ends with the stream": lambda: JoinProof(_SMALL, bug="obedient"),
            "operand does not wait": lambda: JoinProof(_SMALL, bug="hasty"),
        },
        reach=8,
    ),
    Proof(
        "pe.scales",
        "after any 6 cycles a result leaves, four cycles after the latency at the latest, once its own "
        "scales are there, whether later ones come or not",
        lambda: PEScalesProof(_SMALL, active=6),
        depth=38,
        induction=False,
        bugs={"result held until scales come": lambda: PEScalesProof(_SMALL, active=6, coupled=True)},
        reach=38,
    ),
    *ENGINE_PROOFS,
)

QUICK = (
    "decoder[tiny]",
    "decoder[steps]",
    "long_decoder[engine 8x8]",
    "accumulator[narrow]",
    "buffer",
    "credits",
    "pe.result",
    "axi.result",
    "pe.join",
)
"""Proofs that the quick tests run, with their bugs."""
