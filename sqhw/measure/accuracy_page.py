"""Tables, findings and claims of docs/results/accuracy.md, from the report of the accuracy study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from .goals import smallest
from .tables import Columns, Record, markdown, rows

__all__ = ["ARRAY", "REGIONS", "by_name", "gates_per_mac", "section"]

Rows = dict[str, Record]
Gates = Mapping[str, float]

UNITS = {
    "W4 g64 A-SQ 16/1": ("sq", 16),
    "W4 g64 A-SQ 32/1": ("sq", 32),
    "W4 g64 A-SQ 64/1": ("sq-shared", 32),
    "W4 g64 A-SQ 16/1 INT8 codes": ("sq-int8-one", 16),
    "W4 g64 A-SQ 16/2 INT8 codes": ("sq-int8", 16),
    "W4 g64 A-SQ 32/1 INT8 codes": ("sq-int8-one", 32),
    "W4 g64 A-SQ 32/2 INT8 codes": ("sq-int8", 32),
    "SQ 16/1 both": ("sq-sq", 16),
    "W4 g64 A8": ("w4a8", 32),
    "W4 g64 A4": ("w4a4", 32),
    "W8 A8": ("w8a8", 32),
    "MXFP4 both": ("mxfp4", 32),
    "MXINT8 both": ("mxint8", 32),
    "NVFP4 both": ("nvfp4", 32),
}
"""Family and lanes of the unit, in the survey of area, that computes a scheme; rivals have as many lanes as
the best SQ units."""
ARRAY = "8x8"

LLAMA_70B = {"blocks": 80, "hidden": 8192, "ffn": 28672}
MASK_CLAIM = 5.94  # MB, the paper's masks of Llama-3-70B


def by_name(report: Record) -> Rows:
    return {row["scheme"]: row for row in report["rows"]}


def gates_per_mac(area: Record) -> dict[str, float]:
    """Gates (NAND2 = 1) per multiplication and cycle by scheme, as far as the report of area has them."""
    found = {
        (u["family"], u["lanes"], u["size"]): u["gates_per_mac"]
        for u in area["units"]
        if u.get("size") == ARRAY
    }
    gates = {name: smallest(found, family, lanes, ARRAY) for name, (family, lanes) in UNITS.items()}
    return {name: value for name, value in gates.items() if value is not None}


def section(row: Record) -> str:
    """Which table a row belongs to, by what it leaves at eight bits or more."""
    activation, weight = row["bits_activation"] < 8.25, row["bits_weight"] < 8
    if row["bits_activation"] >= 8 and weight:
        return "weights"
    return "both" if activation and weight else "activations"


_COLUMNS: Columns = {
    "scheme": "{scheme}",
    "bits A": "{bits_activation:.4g}",
    "bits W": "{bits_weight:.4g}",
    "perplexity": "{perplexity:.2f}",
    "against float": "{delta_percent:+.2f} ± {standard_error:.2f} %",
    "against W8 A8": "{int8_percent:+.2f} ± {int8_standard_error:.2f} %",
    "outliers": "{outliers_percent:.2f} %",
    "gate rate": "{gate_rate:.0%}",
    "gates per MAC": "{gates}",
    "hardware": lambda row: "yes" if row["hardware"] else "",
}


def table(report: Record, gates: Gates, name: str) -> str:
    """The schemes of one section."""
    own = [row for row in report["rows"] if section(row) == name]
    measured = [row | ({"gates": gates[row["scheme"]]} if row["scheme"] in gates else {}) for row in own]
    return "\n".join(markdown(*rows(measured, _COLUMNS)))


def conditions(report: Record) -> str:
    configuration = report["configuration"]
    return (
        f"{configuration['schemes']} of {configuration['of']} schemes; "
        f"{configuration['windows']} windows of {configuration['tokens_per_window']:,} tokens of "
        f"{report['text']['source']} (SHA-256 of the text {report['text']['sha256'][:12]}), calibrated on "
        f"{configuration['calibration_windows']} windows of {report['calibration_text']['source']}; "
        f"model {report['model']['sha256'][:12]}, NumPy {report['versions']['numpy']}, "
        f"seed {report['versions']['seed']}. Command: `{report['command']}`."
    )


# The claims


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
    inputs = 6 * LLAMA_70B["hidden"] + LLAMA_70B["ffn"]  # q, k, v, output, gate, up; down
    total = LLAMA_70B["blocks"] * inputs
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
        "confirmed" if round(byte, 2) == MASK_CLAIM else "not confirmed",
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
        (f"Masks of Llama-3-70B take {MASK_CLAIM} MB", mask),
        (
            "48 s, 41 s, 38 s for W4A8, SQ, W4A4 on a GPU",
            ("not checkable", "no such GPU, no code of the paper"),
        ),
        (
            "35.8 % less area than an INT6 MAC array, in TSMC 12 nm",
            ("not checkable", "no such library here; area by open tools is a report of its own"),
        ),
    ]
    lines = ["| claim | verdict | numbers (perplexity against float) |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {claim} | {v} | {numbers} |" for claim, (v, numbers) in listed)])


# The goals


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


SUMMARY = (
    (
        "SQ activations with a bank of 16 are level with INT8 ones under the same weights, with 6.5 bits "
        "(5.5 with the sentinel mask) instead of 8; a bank of 8 is better than INT8, whose scale per token "
        "does not hold massive activations",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 8/1"),
    ),
    (
        "At one density of outliers (1/16) larger banks cost little",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 32/2", "W8 A-SQ 64/4"),
    ),
    (
        "A threshold leaves half of the banks without an outlier, for one or two points",
        "int8",
        ("W8 A-SQ 32/2", "W8 A-SQ 32/2 p97.5"),
    ),
    ("One outlier per 32 is too few", "int8", ("W8 A-SQ 32/2 p97.5", "W8 A-SQ 32/1 p97.5")),
    (
        "On activations INT8 high codes cost a point at most and save three quarters of a bit; with two of "
        "them per 32 nothing is lost that could be told from chance",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 16/1 INT8 codes", "W8 A-SQ 32/2", "W8 A-SQ 32/2 INT8 codes"),
    ),
    (
        "So two INT8 codes per 16 take fewer bits than one FP16 code, and beat it and INT8 activations",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 16/2 INT8 codes"),
    ),
    (
        "A static mask loses what dynamic selection gains",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 16/1 static"),
    ),
    (
        "Least-squares scales are worth their search",
        "int8",
        ("W8 A-SQ 16/1", "W8 A-SQ 16/1 absmax scale"),
    ),
    (
        "SQ on both operands is far ahead of the 4-bit floats",
        "float",
        ("SQ 32/2 both", "NVFP4 both", "MXFP4 both"),
    ),
    (
        "INT8 codes in units of the scale want the largest weights as outliers; a rule that picks small "
        "weights of large inputs needs high codes that are precise for them, which FP16 is",
        "float",
        ("SQ 32/2 both", "SQ 32/2 both, weights by rms", "W-SQ 32/2 rms, A8"),
    ),
    (
        "Plain INT4 weights are what hurts (the model's own were 4-bit before); SQ weights repair most of it",
        "float",
        ("W4 g64 A8", "W4 g64 A-SQ 32/2", "W-SQ 32/2 rms, A8", "W-SQ 32/2 rms GPTQ, A8"),
    ),
)
"""What the tables say, what it is measured against, and the rows that show it."""


def summary(report: Record) -> str:
    """Returns the findings whose rows are all there."""
    rows = by_name(report)
    lines = []
    for text, against, names in SUMMARY:
        if all(name in rows for name in names):
            delta, error = ("int8_percent", "int8_standard_error")
            if against == "float":
                delta, error = ("delta_percent", "standard_error")
            numbers = ", ".join(f"{n} {rows[n][delta]:+.1f} ± {rows[n][error]:.1f} %" for n in names)
            lines.append(f"* {text} (against {'W8 A8' if against == 'int8' else 'float'}: {numbers}).")
    return "\n".join(lines)


REGIONS: dict[str, Callable[[Record, Gates], str]] = {
    "conditions": lambda report, _: conditions(report),
    "summary": lambda report, _: summary(report),
    "goals": lambda report, _: goals(report),
    "activations": lambda report, gates: table(report, gates, "activations"),
    "weights": lambda report, gates: table(report, gates, "weights"),
    "both": lambda report, gates: table(report, gates, "both"),
    "claims": lambda report, _: claims(report),
}
"""What fills docs/results/accuracy.md, from the report and the gates of each scheme's unit."""
