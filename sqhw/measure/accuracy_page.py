"""Tables and findings of docs/results/accuracy.md, from the report of the accuracy study."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .accuracy_claims import by_name, claims, goals
from .goals import smallest
from .tables import Columns, Record, markdown, rows

__all__ = ["ARRAY", "COLUMNS", "LANES", "REGIONS", "gates_per_mac", "section"]

Gates = Mapping[str, float]

_UNITS = {
    "W4 g64 A-SQ 16/1": "sq",
    "W4 g64 A-SQ 16/2 INT8 codes": "sq-int8",
    "W4 g64 A8": "w4a8",
    "W4 g64 A4": "w4a4",
    "W8 A8": "w8a8",
    "NVFP4 both": "nvfp4",
    "MXFP4 both": "mxfp4",
    "MXINT8 both": "mxint8",
    "IF4 both": "if4",
}
"""Family of the unit that computes a scheme."""
LANES = 16
"""Of every unit: an array of more lanes takes less per multiplication."""
ARRAY = "8x8"


def gates_per_mac(area: Record, explore: Record) -> dict[str, float]:
    """Gates (NAND2 = 1) per multiplication and cycle by scheme, of units of :data:`LANES`.

    Those of rivals that the survey of area has with other lanes alone are from the design space, whose cells
    are the same. A scheme without either is left out.
    """
    found = {
        (rival["family"], rival["lanes"], f"{rival['size']}x{rival['size']}"): rival["gates_per_useful_mac"]
        for rival in explore.get("rivals", ())
    } | {(u["family"], u["lanes"], u["size"]): u["gates_per_mac"] for u in area["units"] if "family" in u}
    gates = {name: smallest(found, family, LANES, ARRAY) for name, family in _UNITS.items()}
    return {name: value for name, value in gates.items() if value is not None}


def section(row: Record) -> str:
    """Which table a row belongs to, by what it leaves at eight bits or more."""
    activation, weight = row["bits_activation"] < 8.25, row["bits_weight"] < 8
    if row["bits_activation"] >= 8 and weight:
        return "weights"
    return "both" if activation and weight else "activations"


COLUMNS: Columns = {
    "scheme": "{scheme}",
    "bits A": "{bits_activation:.4g}",
    "bits W": "{bits_weight:.4g}",
    "perplexity": "{perplexity:.2f}",
    "against float": "{delta_percent:+.2f} ± {standard_error:.2f} %",
    "against W8 A8": "{int8_percent:+.2f} ± {int8_standard_error:.2f} %",
    "KL x 100": "{kl_x100:.2f} ± {kl_error:.2f}",
    "outliers": "{outliers_percent:.2f} %",
    "gate rate": "{gate_rate:.0%}",
    "gates per MAC": "{gates}",
    "hardware": lambda row: "yes" if row["hardware"] else "",
}


def table(report: Record, gates: Gates, name: str) -> str:
    """The schemes of one section; divergence where it was measured."""
    own = [row for row in report["rows"] if section(row) == name]
    measured = [row | ({"gates": gates[row["scheme"]]} if row["scheme"] in gates else {}) for row in own]
    return "\n".join(markdown(*rows(measured, COLUMNS)))


def conditions(report: Record) -> str:
    configuration = report["configuration"]
    return (
        f"{configuration['schemes']} of {configuration['of']} schemes; "
        f"{_windows(configuration['windows'])} of {configuration['tokens_per_window']:,} tokens of "
        f"{report['text']['source']} (SHA-256 of the text {report['text']['sha256'][:12]}), calibrated on "
        f"{configuration['calibration_windows']} windows of {report['calibration_text']['source']}; "
        f"model {report['model']['sha256'][:12]}, NumPy {report['versions']['numpy']}, "
        f"seed {report['versions']['seed']}. Command: `{report['command']}`."
        + "".join(_later(run) for run in report.get("later", ()))
    )


def _windows(count: int) -> str:
    return "1 window" if count == 1 else f"{count} windows"


def _later(run: Record) -> str:
    names = ", ".join(run["schemes"])
    windows = f" over {_windows(run['windows'])}" if "windows" in run else ""
    model = f"whose float model has {run['float']:.2f}{windows}"
    return f" Of a later run, `{run['command']}`, {model}: {names}."


_SUMMARY = (
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
        "them per 32 no loss differs from chance",
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
        "Plain INT4 weights hurt most (the model's own were 4-bit before); SQ weights repair most of it",
        "float",
        ("W4 g64 A8", "W4 g64 A-SQ 32/2", "W-SQ 32/2 rms, A8", "W-SQ 32/2 rms GPTQ, A8"),
    ),
)
"""What the tables say, what it is measured against, and the rows that show it."""


def summary(report: Record) -> str:
    """Returns the findings whose rows are all there."""
    rows = by_name(report)
    lines = []
    for text, against, names in _SUMMARY:
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
