"""Verilog of any component: Amaranth's netlist, cleaned by Yosys, printed for people."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from .adders import MODULE, module_text
from .tools import ToolError, yosys
from .verilog_names import check_identifier
from .verilog_text import modules_text

__all__ = ["Part", "check_module_name", "convert", "convert_parts"]

_SCRIPT = """
proc -norom
memory_collect
opt_clean
opt_merge t:* t:$dff %d t:$mem_v2 %d
opt_clean
write_json
"""
"""Equal logic is one; registers and memories stay as they were written."""
_LEFT_OUT = ("Parameters", "Raises", "Attributes", "Returns")


@dataclass(frozen=True)
class Part:
    """A module with all that is below it, but for repeated modules, which are parts of their own."""

    name: str
    component: wiring.Component
    verilog: str


def check_module_name(name: str) -> None:
    """Raises ValueError unless `name` can name a Verilog module."""
    check_identifier(name, "Module name")


def convert(component: wiring.Component, name: str) -> str:
    """Returns Verilog of any component; the same text on every run and with every version of Python.

    What it adds with :func:`~sqhw.arith.repeated.repeated` has one module, however often it is used; so have
    full adders (:class:`~sqhw.arith.full_adders.FullAdders`), but for one in each repeated module.

    Raises
    ------
    ValueError
        If `name` or a port is no Verilog identifier or is a reserved word, or if logic forms a loop.
    ToolError
        If Yosys is missing, is not the pinned version, or fails.
    """
    return "\n".join(part.verilog for part in convert_parts(component, name))


def convert_parts(component: wiring.Component, name: str) -> list[Part]:
    """What :func:`convert` joins: the top module first, then each repeated module. Raises alike."""
    check_module_name(name)
    for path, _, _ in component.signature.flatten(component):
        check_identifier("__".join(map(str, path)), "Port")
    tool = yosys()
    repeated = _Repeated(name)
    sources = [(name, component, _Source(component, name, repeated))]
    sources += [
        (module, unit, _Source(unit, module, _Platform(module))) for module, unit in repeated.units.items()
    ]
    adders = {top: _adders(top) for top, _, _ in sources}
    modules = _cleaned(tool.path, [source.text for _, _, source in sources], adders.values())
    comments, orders = {}, {}
    for _, _, source in sources:
        for module in source.modules:
            described = source.component_of(module)
            if described is not None:
                comments[module] = _comment(described)
                orders[module] = [
                    "__".join(map(str, p)) for p, _, _ in described.signature.flatten(described)
                ]
    names = {module: re.sub(r"\W", "_", module.replace(".", "__")) for module in modules}
    if len(set(names.values())) < len(names):
        raise ValueError("Submodules must have different names, also without dots and dollars")
    texts = modules_text(modules, names, comments, orders)
    texts |= {module: module_text(module) for module in adders.values()}
    used = {cell["type"] for module in modules.values() for cell in module["cells"].values()}
    return [
        Part(top, part, "\n".join(texts[module] for module in (*source.modules, *({adders[top]} & used))))
        for top, part, source in sources
    ]


def _adders(top: str) -> str:
    return f"{top}__{MODULE}"


class _Platform:
    """What Amaranth knows as a platform: names the module of full adders."""

    def __init__(self, top: str):
        self.full_adders = _adders(top)


class _Repeated(_Platform):
    """The same, and makes the modules that serve several instances."""

    def __init__(self, top: str):
        super().__init__(top)
        self._top = top
        self._names: dict[Hashable, str] = {}
        self.units: dict[str, wiring.Component] = {}

    def module_of(
        self, make: Callable[..., wiring.Component], *arguments: Hashable
    ) -> tuple[str, wiring.Signature]:
        key = make, arguments
        if key not in self._names:
            name = self._names[key] = f"{self._top}_{make.__name__}{len(self._names)}"
            self.units[name] = make(*arguments)
        name = self._names[key]
        return name, self.units[name].signature


class _Source:
    """A component's netlist as RTLIL text, its modules' names, and the component of each."""

    def __init__(self, component: wiring.Component, name: str, platform: Any):
        ports = {
            "__".join(map(str, path)): (Value.cast(value), _DIRECTIONS[member.flow])
            for path, member, value in component.signature.flatten(component)
        }
        fragment = Fragment.get(component, platform)
        self._components = dict(_components(fragment, name))
        self.text, _ = rtlil.convert_fragment(fragment, ports, name, emit_src=False)
        self.modules = re.findall(r"^module \\(\S+)$", self.text, re.MULTILINE)

    def component_of(self, module: str) -> wiring.Component | None:
        return self._components.get(re.sub(r"\$\d+(?=\.|$)", "", module))


_DIRECTIONS = {wiring.In: PortDirection.Input, wiring.Out: PortDirection.Output}


def _components(fragment: Fragment, name: str) -> Iterator[tuple[str, wiring.Component]]:
    """Components by the name of their modules, which are their paths."""
    found = [origin for origin in fragment.origins or () if isinstance(origin, wiring.Component)]
    if found:
        yield name, found[0]
    for inside, label, _ in fragment.subfragments:
        yield from _components(inside, f"{name}.{label}")


def _cleaned(program: str, texts: list[str], adders: Iterable[str]) -> dict[str, Any]:
    """All modules of the texts, and those of full adders, as Yosys describes them."""
    script = "".join(f"read_verilog <<end_of_text\n{module_text(name)}end_of_text\n" for name in adders)
    script += "".join(f"read_rtlil <<end_of_text\n{text}\nend_of_text\n" for text in texts) + _SCRIPT
    done = subprocess.run([program, "-q", "-"], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"Yosys failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    modules: dict[str, Any] = json.loads(done.stdout)["modules"]
    return modules


def _comment(component: wiring.Component) -> str:
    """A component's contract: its docstring with its own numbers, without what concerns Python alone."""
    sections = re.split(r"\n\n(?=\w+\n-+\n)", inspect.getdoc(type(component)) or "")
    text = "\n\n".join(part for part in sections if not part.startswith(_LEFT_OUT))

    def plain(found: re.Match[str]) -> str:
        name = found[2].rpartition(".")[2]
        value = getattr(component, name, None) if found[1] == "attr" else None
        return str(value) if isinstance(value, int) else name

    return re.sub(r":(\w+):`~?([\w.]+)`", plain, text).replace("``", "").replace("`", "")
