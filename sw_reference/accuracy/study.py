"""What is compared: the schemes of the default, the quick and the grid study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sw_reference.accuracy.blocks import IF4, MX, NVFP4, ColumnSplit
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.selection import (
    AbovePercentile,
    ByHessian,
    ByRms,
    OnePerSegment,
    Static,
    Unstructured,
)
from sw_reference.accuracy.variants import Variant

__all__ = ["INT8", "default", "extended", "grid", "quick"]

INT8 = "W8 A8"
"""The scheme that activations are judged by."""

_A8 = Dense(8)
_W8 = Dense(8)


def _activations() -> Iterator[Scheme]:
    """SQ activations under INT8 weights: a product that the hardware computes."""
    yield Scheme("float")
    yield Scheme(INT8, _A8, _W8)
    for bank, outliers in ((16, 1), (32, 2), (64, 4), (8, 1), (32, 1), (64, 1)):
        yield Scheme(f"W8 A-SQ {bank}/{outliers}", SQ(bank, outliers), _W8)
    for bank, outliers in ((32, 1), (32, 2), (64, 4)):
        yield _threshold(bank, outliers, 97.5)


def _threshold(bank: int, outliers: int, percent: float) -> Scheme:
    selection = AbovePercentile(percent)
    return Scheme(f"W8 A-SQ {bank}/{outliers} p{percent:g}", SQ(bank, outliers, selection), _W8)


def _further() -> Iterator[Scheme]:
    """What the extended study has on top: other thresholds, other capacities."""
    for outliers in (1, 2):
        for percent in (97.0, 98.0, 98.5):
            yield _threshold(32, outliers, percent)
    yield _threshold(128, 8, 97.5)
    for bank, outliers in ((64, 3), (128, 3)):
        yield Scheme(f"W8 A-SQ {bank}/{outliers}", SQ(bank, outliers), _W8)
    yield Scheme("W8 A-SQ 32/2, one per half", SQ(32, 2, OnePerSegment(16)), _W8)
    yield Scheme("W8 A-SQ 32/2 p97.5, one per half", SQ(32, 2, OnePerSegment(16, 97.5)), _W8)
    yield Scheme("SQ 32/2 p97.5 both", SQ(32, 2, AbovePercentile(97.5)), DenseSQ(32, 2, 32))
    yield Scheme("W-SQ 32/2 rms INT8 codes, A8", _A8, SQ(32, 2, ByRms(), "int8", "sentinel"))


def _both() -> Iterator[Scheme]:
    """Both operands in few bits."""
    for bank, outliers in ((32, 2), (16, 1)):
        yield Scheme(f"SQ {bank}/{outliers} both", SQ(bank, outliers), DenseSQ(bank, outliers, bank))
    yield Scheme("SQ 32/2 both, weights by rms", SQ(32, 2), DenseSQ(32, 2, 32, ByRms()))
    yield Scheme("SQ 32/2 both, FP16 weights by rms", SQ(32, 2), SQ(32, 2, ByRms(), mask="sentinel"))
    gptq = Variant(32, 2, selection=ByRms(), compensate=True, mask="sentinel")
    yield Scheme("SQ 32/2 both, FP16 weights by rms GPTQ", SQ(32, 2), gptq)
    yield Scheme("NVFP4 both", NVFP4(), NVFP4())
    yield Scheme("NVFP4 4/6 both", NVFP4(adaptive=True), NVFP4(adaptive=True))


def _hardware() -> Iterator[Scheme]:
    """What the units are whose area is measured: INT4 weights with a scale per 64."""
    weights = Dense(4, 64, "least_squares")
    yield Scheme("W4 g64 A-SQ 16/1", SQ(16, 1), weights)
    yield Scheme("W4 g64 A-SQ 32/2", SQ(32, 2), weights)
    yield Scheme("W4 g64 A-SQ 32/1", SQ(32, 1), weights)
    yield Scheme("W4 g64 A-SQ 64/1", SQ(64, 1), weights)
    for bank, outliers in ((16, 1), (16, 2), (32, 2), (32, 1)):
        yield Scheme(f"W4 g64 A-SQ {bank}/{outliers} INT8 codes", SQ(bank, outliers, high="int8"), weights)
    yield Scheme("W4 g64 A8", _A8, weights)
    yield Scheme("W4 g64 A4", Dense(4), weights)
    beat = SQ(64, 4, high="int8", mask="index", bank_scale="e4m2s", segment=32)
    linear = replace(weights, group_scale="linear8")
    yield Scheme("W4 g64 linear8 A-SQ 4/32 bank 64 e4m2s index", beat, linear)
    yield Scheme("W4 A-SQ 8/1 INT8 codes", SQ(8, 1, high="int8"), Dense(4, None, "least_squares"))
    yield Scheme("W8 A-SQ 16/4 INT8 codes sentinel", SQ(16, 4, high="int8", mask="sentinel"), _W8)


def _weights() -> Iterator[Scheme]:
    """SQ weights under INT8 activations, the paper's W(SQ)A8."""
    for bank, outliers in ((16, 1), (32, 2)):
        yield Scheme(f"W-SQ {bank}/{outliers} rms, A8", _A8, SQ(bank, outliers, ByRms(), mask="sentinel"))
    yield Scheme("W-SQ 32/2 magnitude, A8", _A8, SQ(32, 2, mask="sentinel"))
    yield Scheme("W-SQ 32/2 Hessian, A8", _A8, SQ(32, 2, ByHessian(), mask="sentinel"))
    gptq = Variant(32, 2, selection=ByHessian(), compensate=True, mask="sentinel")
    yield Scheme("W-SQ 32/2 Hessian GPTQ, A8", _A8, gptq)
    yield Scheme("W-SQ 32/2 rms GPTQ, A8", _A8, replace(gptq, selection=ByRms()))
    yield Scheme("W-SQ 32/2 Hessian GPTQ smooth, A8", _A8, gptq, "smooth")


def _rivals() -> Iterator[Scheme]:
    yield Scheme("W4 A4", Dense(4), Dense(4, None, "least_squares"))
    fmt = Dense(4, 32, "least_squares")
    yield Scheme("W4 A4 g32", fmt, fmt)
    yield Scheme("MXFP4 both", MX("fp4"), MX("fp4"))
    yield Scheme("MXINT8 both", MX("int8"), MX("int8"))
    yield Scheme("MXFP6 both", MX("fp6"), MX("fp6"))
    yield Scheme("IF4 both", IF4(), IF4())
    yield Scheme("W8 A-NVFP4", NVFP4(), _W8)
    yield Scheme("W8 A-NVFP4 4/6", NVFP4(adaptive=True), _W8)
    yield Scheme("W8 A-IF4", IF4(), _W8)
    yield Scheme("W8 A-MXFP4", MX("fp4"), _W8)
    yield Scheme("W8 A-MXFP6", MX("fp6"), _W8)
    yield Scheme("W4 A4 rotated", Dense(4), Dense(4, None, "least_squares"), "rotate")
    yield Scheme("W4 A4 g32 rotated", fmt, fmt, "rotate")
    yield Scheme("LLM.int8() columns", ColumnSplit(), ColumnSplit())
    spqr = Variant(16, 0, selection=Unstructured(0.01), compensate=True)
    yield Scheme("W-SpQR 1 %, A8", _A8, spqr)
    yield Scheme("W4 g32 GPTQ A8", _A8, Variant(32, 0, compensate=True))


def _choices() -> Iterator[Scheme]:
    """What each choice of the format costs, on activations."""
    for bank, outliers in ((8, 1), (16, 1), (32, 2), (64, 4)):
        static = Variant(bank, outliers, selection=Static(), mask="static")
        yield Scheme(f"W8 A-SQ {bank}/{outliers} static", static, _W8)
    yield Scheme("W8 A-SQ 16/1 static by mean", Variant(selection=Static("mean"), mask="static"), _W8)
    yield Scheme("W8 A-SQ 16/1 absmax scale", SQ(16, 1, scale="absmax"), _W8)
    yield Scheme("W8 A-SQ 16/1 power of two", Variant(scale="e8m0"), _W8)
    yield Scheme("W8 A-SQ 16/1 scale per row", Variant(shared=0), _W8)
    for bank, outliers in ((16, 1), (16, 2), (32, 2), (32, 1)):
        yield Scheme(f"W8 A-SQ {bank}/{outliers} INT8 codes", SQ(bank, outliers, high="int8"), _W8)
    yield Scheme("W8 A-SQ 16/1 E4M3", Variant(high="e4m3"), _W8)


def _more() -> Iterator[Scheme]:
    """Choices and rivals that the default study has no time for."""
    yield Scheme("W8 A-SQ 16/1 scale per 64", Variant(shared=64), _W8)
    yield Scheme("W8 A-SQ 16/1 FP16 scale", Variant(scale="fp16"), _W8)
    yield Scheme("W8 A-SQ 16/1 INT8 row scale", Variant(high="int8_row"), _W8)
    yield Scheme("W8 A-SQ 16/1 E5M2", Variant(high="e5m2"), _W8)
    yield Scheme("W4 A8", _A8, Dense(4, None, "least_squares"))
    yield Scheme("W8 A-SQ 16/1 power of two, rounded up", Variant(scale="e8m0", search=False), _W8)
    yield Scheme("W8 A-SQ 16/1 static by rms", Variant(selection=Static("rms"), mask="static"), _W8)
    own = Variant(32, 2, high="int8_own", selection=ByHessian(), compensate=True, mask="sentinel")
    yield Scheme("W-SQ 32/2 Hessian GPTQ INT8 own scale, A8", _A8, own)
    yield Scheme("W-SQ 16/1 magnitude, A8", _A8, SQ(16, 1, mask="sentinel"))
    fmt = Dense(4, 16, "least_squares")
    yield Scheme("W4 A4 g16", fmt, fmt)


def _paper() -> Iterator[Scheme]:
    """Points of the paper's grid on weights: (high/low) bits, sparsity s, bank."""
    for low, bank, outliers in ((4, 32, 16), (4, 32, 8), (4, 32, 4), (3, 32, 8), (2, 32, 16)):
        s = 1 - outliers / bank
        yield Scheme(f"W-SQ (8/{low}) s={s:g} b={bank}, A8", _A8, _paper_weights(low, bank, outliers))
    yield Scheme("W-SQ (4/2) s=0.5 b=32, A8", _A8, _paper_weights(2, 32, 16, "int4_own"))


def _paper_weights(low: int, bank: int, outliers: int, high: str = "int8_own") -> Variant:
    return Variant(
        bank,
        outliers,
        low,  # type: ignore[arg-type]
        high=high,  # type: ignore[arg-type]
        selection=ByHessian(),
        compensate=True,
        mask="sentinel",
    )


def default() -> tuple[Scheme, ...]:
    """The schemes of the default study, those first that most depends on."""
    return (*_activations(), *_both(), *_hardware(), *_weights(), *_rivals(), *_choices(), *_paper())


def quick() -> tuple[Scheme, ...]:
    """Ten schemes that show the outline."""
    names = (
        "float",
        INT8,
        "W8 A-SQ 16/1",
        "W8 A-SQ 32/2",
        "W8 A-SQ 32/2 p97.5",
        "SQ 32/2 both",
        "NVFP4 both",
        "MXFP4 both",
        "W4 A4 g32",
        "W8 A-SQ 16/1 static",
    )
    return tuple(scheme for scheme in default() if scheme.name in names)


def extended() -> tuple[Scheme, ...]:
    """The default study, further thresholds and further capacities."""
    return (*default(), *_further())


def grid() -> tuple[Scheme, ...]:
    """The extended study and the grid around it: banks 4 to 128, s from 0.5 to 0.96875, all widths."""
    schemes: dict[str, Scheme] = {}
    for scheme in (*extended(), *_more(), *_grid()):
        schemes.setdefault(scheme.key, scheme)
    return tuple(schemes.values())


def _grid() -> Iterator[Scheme]:
    for bank in (4, 8, 16, 32, 64, 128):
        for part in (2, 4, 8, 16, 32):
            outliers = bank // part
            if not outliers:
                continue
            s = 1 - outliers / bank
            yield Scheme(f"W8 A-SQ {bank}/{outliers}", SQ(bank, outliers), _W8)
            for percent in (95.0, 97.5, 99.0):
                selection = AbovePercentile(percent)
                yield Scheme(f"W8 A-SQ {bank}/{outliers} p{percent:g}", SQ(bank, outliers, selection), _W8)
            static = Variant(bank, outliers, selection=Static(), mask="static")
            yield Scheme(f"W8 A-SQ {bank}/{outliers} static", static, _W8)
            weights = SQ(bank, outliers, ByRms(), mask="sentinel")
            yield Scheme(f"W-SQ {bank}/{outliers} rms, A8", _A8, weights)
            both = DenseSQ(bank, outliers, bank)
            yield Scheme(f"SQ {bank}/{outliers} both", SQ(bank, outliers), both)
            for low in (4, 3, 2):
                fmt = _paper_weights(low, bank, outliers)
                yield Scheme(f"W-SQ (8/{low}) s={s:g} b={bank}, A8", _A8, fmt)
            fmt = _paper_weights(2, bank, outliers, "int4_own")
            yield Scheme(f"W-SQ (4/2) s={s:g} b={bank}, A8", _A8, fmt)
