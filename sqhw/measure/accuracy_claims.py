"""The paper's claims and the project's goals about accuracy, judged by the rows of the study."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from .tables import Record

__all__ = ["by_name", "claims", "goals", "mask_megabytes"]

Rows = dict[str, Record]

_LLAMA_70B = {"blocks": 80, "hidden": 8192, "ffn": 28672}
_MASK_CLAIM = 5.94
"""MB, the paper's masks of Llama-3-70B."""


def by_name(report: Record) -> Rows:
    """The rows by scheme."""
    return {row["scheme"]: row for row in report["rows"]}


def _ppl(rows: Rows, name: str) -> str:
    row = rows[name]
    return f"{name} {row['delta_percent']:+.1f} ± {row['standard_error']:.1f} %"


def _verdict(rows: Rows, needed: tuple[str, ...], check: Callable[[Rows], bool]) -> tuple[str, str]:
    """Returns the verdict and the numbers of the rows it rests on."""
    missing = [name for name in needed if name not in rows]
    if missing:
        return "not measured", f"needs {', '.join(missing)}"
    return ("confirmed" if check(rows) else "not confirmed"), "; ".join(_ppl(rows, name) for name in needed)


def _close(a: Record, b: Record) -> bool:
    """Whether two rows differ by less than twice the larger of their standard errors."""
    error = max(a["standard_error"], b["standard_error"])
    return abs(a["delta_percent"] - b["delta_percent"]) < 2 * error


def mask_megabytes() -> tuple[float, float]:
    """Static activation masks of Llama-3-70B: MiB at a byte and at a bit for each input of each layer."""
    inputs = 6 * _LLAMA_70B["hidden"] + _LLAMA_70B["ffn"]  # q, k, v, output, gate, up; down
    total = _LLAMA_70B["blocks"] * inputs
    return total / 2**20, total / 8 / 2**20


def stored() -> tuple[str, str]:
    """What (8/4) at s = 0.5 takes in the paper's own layout, bank 32."""
    bank, high, low, scales = 32, 8, 4, 8 + 16
    bits = low + high / 2 + scales / bank
    return (
        "not confirmed",
        f"{bits:g}: low codes stay dense with a sentinel at each outlier ({low}), high codes come on top "
        f"({high // 2}), a scale of each kind per bank of {bank} ({scales / bank:g})",
    )


def claims(report: Record) -> str:
    """Returns the table of the paper's claims."""
    rows = by_name(report)

    def rising(*names: str) -> Callable[[Rows], bool]:
        return lambda r: all(r[a]["perplexity"] < r[b]["perplexity"] for a, b in pairwise(names))

    def order(*names: str) -> tuple[str, str]:
        verdict, numbers = _verdict(rows, names, rising(*names))
        close = verdict != "not measured" and any(_close(rows[a], rows[b]) for a, b in pairwise(names))
        return (f"{verdict} (not resolved)" if close else verdict), numbers

    def within(percent: float, *names: str) -> tuple[str, str]:
        def near(r: Rows) -> bool:
            return all(r[n]["int8_percent"] <= percent for n in names)

        verdict, numbers = _verdict(rows, names, near)
        if verdict != "not measured":
            pairs = [(rows[n]["int8_percent"], rows[n]["int8_standard_error"]) for n in names]
            numbers = "against W8 A8: " + "; ".join(f"{delta:+.1f} ± {error:.1f} %" for delta, error in pairs)
        return verdict, numbers

    byte, bit = mask_megabytes()
    mask = (
        "confirmed" if round(byte, 2) == _MASK_CLAIM else "not confirmed",
        f"{byte:.2f} MiB at a byte per input channel of every layer; a bit each takes {bit:.2f} MiB",
    )
    static = tuple(f"W8 A-SQ {b} static" for b in ("8/1", "16/1", "32/2", "64/4"))
    listed = [
        ("SQ activations within 1 % of INT8 activations (bank 16, s = 0.9375)", within(1, "W8 A-SQ 16/1")),
        ("the same with a bank of 8 (s = 0.875)", within(1, "W8 A-SQ 8/1")),
        ("Dynamic selection beats a static mask", order("W8 A-SQ 16/1", "W8 A-SQ 16/1 static")),
        ("Static masks want small banks", order(*static)),
        (
            "A static mask by the product with the weights beats one by the activations alone",
            order("W8 A-SQ 16/1 static", "W8 A-SQ 16/1 static by mean"),
        ),
        (
            "Importance w²/(H⁻¹)² beats the magnitude of weights",
            order("W-SQ 32/2 Hessian, A8", "W-SQ 32/2 magnitude, A8"),
        ),
        ("GPTQ compensation helps", order("W-SQ 32/2 rms GPTQ, A8", "W-SQ 32/2 rms, A8")),
        (
            "Smoothing helps SQ weights",
            order("W-SQ 32/2 Hessian GPTQ smooth, A8", "W-SQ 32/2 Hessian GPTQ, A8"),
        ),
        ("At s = 0.9375 weights want the larger bank", order("W-SQ 32/2 rms, A8", "W-SQ 16/1 rms, A8")),
        (
            "SQ6, SQ5, SQ4.5 (8/4): accuracy falls with s",
            order(*(f"W-SQ (8/4) s={s} b=32, A8" for s in ("0.5", "0.75", "0.875"))),
        ),
        ("SQ6 weights within 1 % of INT8 ones", within(1, "W-SQ (8/4) s=0.5 b=32, A8")),
        ("SQ6, (8/4) at s = 0.5, takes 6 bits per element", stored()),
        (
            "INT2 low codes only under INT8 high codes",
            order("W-SQ (8/2) s=0.5 b=32, A8", "W-SQ (4/2) s=0.5 b=32, A8"),
        ),
        (f"Masks of Llama-3-70B take {_MASK_CLAIM} MB", mask),
        (
            "48 s, 41 s, 38 s for W4A8, SQ, W4A4 on a GPU",
            ("not checkable", "no such GPU, no code of the paper"),
        ),
        (
            "35.8 % less area than an INT6 MAC array, in TSMC 12 nm",
            ("not checkable", "no such library here; area by open tools is a report of its own"),
        ),
    ]
    head = ("claim", "verdict", "numbers (perplexity against float)")
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * 3, *((c, *v) for c, v in listed)))


def goals(report: Record) -> str:
    """Returns what was aimed at, and whether it is reached."""
    rows = by_name(report)
    lines = ["| goal | reached | numbers |", "|---|---|---|"]
    fitting = [
        row
        for name, row in rows.items()
        if name.startswith("W8 A-SQ ")
        and row["hardware"]
        and row["bits_activation"] <= 6.5
        and "static" not in name
        and "8/1" not in name.split()
    ]
    if fitting:
        best = min(fitting, key=lambda row: row["perplexity"])
        good = best["int8_percent"] <= 1
        numbers = (
            f"best: {best['scheme']}, {best['bits_activation']:.4g} bits, "
            f"{best['int8_percent']:+.2f} ± {best['int8_standard_error']:.2f} % against W8 A8"
        )
        goal = "SQ activations, bank 16 or larger, at most 6.5 bits: within 1 % of INT8 activations"
        lines.append(f"| {goal} | {'yes' if good else 'no'} | {numbers} |")
    pair = ("SQ 32/2 both", "NVFP4 both")
    if all(name in rows for name in pair):
        sq, nv = (rows[name] for name in pair)
        numbers = "; ".join(_ppl(rows, name) for name in pair)
        good = sq["delta_percent"] + 2 * (sq["standard_error"] + nv["standard_error"]) < nv["delta_percent"]
        goal = "SQ on both operands well ahead of NVFP4 on both"
        lines.append(f"| {goal} | {'yes' if good else 'no'} | {numbers} |")
    return "\n".join(lines)
