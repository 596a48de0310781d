"""Schemes of activations beside a checkpoint's own weights, and what decides between them."""

from __future__ import annotations

from dataclasses import replace

from sw_reference.accuracy.bank_floats import BankFloats
from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Imported, Plain
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.selection import Largest
from sw_reference.accuracy.study import INT8
from sw_reference.codes import ScaleChoice

__all__ = ["exponents", "floats", "imported", "scattered", "sums"]

_A8 = Dense(8)
_W8 = Dense(8)


def imported() -> tuple[Scheme, ...]:
    """Activations beside the checkpoint's own weights: what each format costs once no weight is quantized
    anew. Last SQ x SQ, whose weights are."""
    weights = Imported()
    return (
        Scheme("float"),
        Scheme(INT8, _A8, _W8),
        *(
            Scheme(f"imported, {name}", activation, weights)
            for name, activation in (
                ("A8", _A8),
                ("A4", Dense(4)),
                ("A 2/32 e3m2s index", _narrow(32, 2)),
                ("A 4/32 e3m2s index", _narrow(32, 4)),
                ("A 2/32 e3m2s index, two candidates", _narrow(32, 2, scale="two_candidates")),
                ("A 4/32 e3m2s index, two candidates", _narrow(32, 4, scale="two_candidates")),
                ("A 2/32 e3m2s index, saturating", _narrow(32, 2, scale="saturating")),
                ("A 4/32 e3m2s index, saturating", _narrow(32, 4, scale="saturating")),
                ("A 2/16 bank 32 e3m2s index", _narrow(32, 2, segment=16)),
                ("A 2/32 bank 64 e4m2s index", _narrow(64, 2, "e4m2s", segment=32)),
                ("A 4/32 bank 64 e4m2s index", _narrow(64, 4, "e4m2s", segment=32)),
                ("A 2/16 e5m3", SQ(16, 2, high="int8")),
                ("A 1/16 e5m3 fp16", SQ(16, 1)),
                ("A 2/32 e2m3s index", _narrow(32, 2, "e2m3s")),
                ("A 4/32 e2m3s index", _narrow(32, 4, "e2m3s")),
                ("A-NVFP4", NVFP4()),
                ("A-NVFP4 4/6", NVFP4(adaptive=True)),
                ("A-IF4", IF4()),
                ("A-MXFP4", MX("fp4")),
            )
        ),
        *(
            Scheme(
                f"imported, A 4/32 e3m2s index, {what} cache 4/32",
                _narrow(32, 4),
                weights,
                keys=keys,
                values=_narrow(32, 4),
            )
            for what, keys in (("V", Plain()), ("K and V", _narrow(32, 4)))
        ),
        Scheme(
            "A 4/32 e3m2s index, W int4 g32 linear8 6/32 index, GPTQ smooth 0.6",
            _narrow(32, 4),
            _split(32, 6),
            "smooth",
            smoothing=0.6,
        ),
        *(
            Scheme(f"A {name}, GPTQ smooth", activation, weight, "smooth")
            for name, activation, weight in (
                ("4/32 e3m2s index, W int4 g32 linear8 6/32 index", _narrow(32, 4), _split(32, 6)),
                ("4/32 e3m2s index, W int4 g32 linear8 3/16 index", _narrow(32, 4), _split(16, 3)),
                ("4/32 e3m2s index, W int4 g32 linear8 4/32 index", _narrow(32, 4), _split(32, 4)),
                ("2/16 e3m2s index, W int4 g32 linear8 6/32 index", _narrow(16, 2), _split(32, 6)),
            )
        ),
    )


def _split(bank: int, outliers: int) -> DenseSQ:
    """SQ weights by magnitude, with positions, linear group scales and compensation."""
    return DenseSQ(bank, outliers, 32, group_scale="linear8", mask="index", compensate=True)


def _narrow(
    bank: int,
    outliers: int,
    bank_scale: str = "e3m2s",
    *,
    segment: int | None = None,
    scale: ScaleChoice = "least_squares",
) -> SQ:
    """SQ with positions and a narrow scale."""
    return SQ(bank, outliers, Largest(), "int8", "index", scale, bank_scale, segment)


_EXPONENTS = ("e3m2s", "e2m3s")


def exponents() -> tuple[Scheme, ...]:
    """Two bits of exponent against three, of bank scales of six bits, beside the checkpoint's own weights."""
    return (
        Scheme("float"),
        Scheme(INT8, _A8, _W8),
        *(
            Scheme(f"imported, A {outliers}/32 {scale} index", _narrow(32, outliers, scale), Imported())
            for outliers in (2, 4)
            for scale in _EXPONENTS
        ),
    )


def floats() -> tuple[Scheme, ...]:
    """High codes of 11 bits, floats in units of the bank scale, beside FP16 and INT8 ones and the
    checkpoint's own weights."""
    return (
        *exponents()[:2],
        *(
            Scheme(f"imported, A {name}", activation, Imported())
            for name, activation in (
                ("1/16 e5m3 fp16", SQ(16, 1)),
                ("1/16 e3m2s float e2m8", BankFloats(16, 2, 8)),
                ("1/16 e3m2s float e3m7", BankFloats(16, 3, 7)),
                ("2/16 e3m2s index", _narrow(16, 2)),
                ("2/32 e3m2s index", _narrow(32, 2)),
                ("4/32 e3m2s index", _narrow(32, 4)),
            )
        ),
    )


def sums() -> tuple[Scheme, ...]:
    """The same schemes with float32 sums in two orders."""
    both = (exponents()[1], exponents()[4])
    backward = (replace(s, name=f"{s.name}, sums backward", sums="backward") for s in both)
    return (*exponents()[:1], *both, *backward)


def scattered() -> tuple[Scheme, ...]:
    """Rows whose banks differ more in magnitude than the model's own: bank scales of two and three bits of
    exponent, with weights left alone."""
    return (
        *exponents()[:2],
        *(
            Scheme(f"A 4/32 {scale} index, scattered {width}", _narrow(32, 4, scale), scatter=width)
            for width in range(4)
            for scale in _EXPONENTS
        ),
    )
