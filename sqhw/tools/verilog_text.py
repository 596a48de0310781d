"""Prints Yosys's modules as Verilog-2001 that people read and every tool takes.

Combinational logic is continuous assignment alone, so nothing waits for an event at time zero.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .verilog_cells import Bits, Expression, constants
from .verilog_clocked import clocked, consumed, initial
from .verilog_names import port_names
from .verilog_nets import Net, Nets, ReadPort

__all__ = ["LINE", "modules_text"]

LINE = 110
"""Columns of the longest line."""
_INLINE = 60
"""Columns of the longest expression that is printed as part of another one."""
_ASSOCIATIVE = "&|^+"
_C_WORDS = ("interrupt",)
"""Usual names of ports that Verilator minds, since headers in C++ use them."""
_FIRST = ("aclk", "clk", "aresetn", "rst")

Text = tuple[str, str]
"""An expression and its operator, none if no operator can tear it apart."""


def modules_text(
    modules: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
    comments: Mapping[str, str],
    orders: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Verilog of each module of a Yosys design.

    Parameters
    ----------
    modules
        What ``write_json`` calls so, after ``proc`` and ``memory_collect``.
    names
        Final names of modules.
    comments
        What to say above a module.
    orders
        Ports in the order in which to list them; clock and reset come first.
    """
    ports = port_names(modules)
    return {
        name: _Module(module, ports[name], ports, names).text(
            names[name], comments.get(name, ""), orders.get(name, ())
        )
        for name, module in modules.items()
    }


class _Module:
    def __init__(
        self,
        module: Mapping[str, Any],
        ports: dict[str, str],
        inside: dict[str, dict[str, str]],
        names: Mapping[str, str],
    ):
        self._ports, self._inside, self._names = ports, inside, names
        self._nets = Nets(module, ports, inside)
        self._module = self._nets.module
        self._shown: dict[Net, Text] = {}
        self._arms: dict[Net, list[Text]] = {}

    def text(self, name: str, comment: str, order: Sequence[str]) -> str:
        lines = [f"// {line}".rstrip() for line in comment.splitlines()]
        lines += [f"module {name} (", ",\n".join(self._port_lines(order)), ");"]
        assigned = list(self._assignments())  # names what it declares
        body = [*self._declarations(), *assigned, *self._outputs(), *self._instances()]
        body += [*clocked(self._nets, lambda bits: self._spec(bits)[0]), *initial(self._nets)]
        lines += [part for line in body for part in _wrapped(line)]
        return "\n".join([*lines, "endmodule"]) + "\n"

    def _port_lines(self, order: Sequence[str]) -> list[str]:
        places = {name: place for place, name in enumerate((*_FIRST, *order))}
        raw = list(self._module["ports"].items())
        raw.sort(key=lambda item: places.get(item[0].partition("$")[0] or item[0], len(places)))
        registers = {net.name for net in self._nets.nets if net.kind == "register"}
        lines = []
        for name, port in raw:
            kind = "reg" if self._ports[name] in registers else "wire"
            line = f"  {port['direction']} {kind} {_range(len(port['bits']))}{self._ports[name]}"
            if self._ports[name] in _C_WORDS:
                line = (
                    f"  /* verilator lint_off SYMRSVDWORD */\n{line}\n  /* verilator lint_on SYMRSVDWORD */"
                )
            lines += [line] if port["bits"] else []
        return lines

    def _declarations(self) -> Iterator[str]:
        for kind, word in (("register", "reg"), ("submodule", "wire")):
            for net in self._nets.nets:
                if net.kind == kind and not net.port:
                    yield f"  {word} {_range(net.width)}{net.name};"
        for memory in self._nets.memories:
            yield f"  reg {_range(memory.width)}{memory.name} [0:{memory.depth - 1}];"

    def _assignments(self) -> Iterator[str]:
        """Declarations of combinational nets, each after those that it reads."""
        self._consumed = consumed(self._nets)
        nets = [net for net in self._ordered() if net.kind == "expression" and net not in self._consumed]
        last = [net.driver.operands[-1] for net in nets if _chooses(net)]
        chained = {self._nets.whole(bits) for bits in last}
        for net in nets:
            self._shown[net] = self._render(net)
            if net.inline and len(self._shown[net][0]) > _INLINE and not (net in chained and _chooses(net)):
                self._nets.name_now(net)
            if not net.inline:
                head = f"assign {net.name}" if net.port else f"wire {_range(net.width)}{net.name}"
                yield from self._assigned(head, net)

    def _assigned(self, head: str, net: Net) -> Iterator[str]:
        arms = self._arms.get(net, [])
        if len(self._shown[net][0]) + len(head) < LINE - 8 and len(arms) < 4:
            yield f"  {head} = {self._shown[net][0]};"
            return
        if not arms:
            yield f"  {head} = {self._shown[net][0]};"
            return
        yield f"  {head} ="
        for condition, value in arms[:-1]:
            yield f"    {condition} ? {value} :"
        yield f"    {arms[-1][1]};"

    def _ordered(self) -> Iterator[Net]:
        """All nets, those that one reads before it."""
        done: set[Net] = set()
        for first in self._nets.nets:
            stack = [(first, False)]
            opened: set[Net] = set()
            while stack:
                net, complete = stack.pop()
                if complete:
                    done.add(net)
                    yield net
                elif net in opened and net not in done:
                    raise ValueError(f"Logic must not form a loop, as at {net.name or net.bits}")
                elif net not in done:
                    opened.add(net)
                    stack.append((net, True))
                    read = [run[0] for bits in self._nets.reads(net) for run in self._nets.runs(bits)]
                    stack += [(other, False) for other in reversed(read) if isinstance(other, Net)]

    def _render(self, net: Net) -> Text:
        if isinstance(net.driver, ReadPort):
            return f"{net.driver.memory.name}[{self._spec(net.driver.address)[0]}]", ""
        expression: Expression = net.driver
        operator, operands = expression.operator, expression.operands
        if operator == "?":
            arms = [
                (self._operand(c), self._operand(v, "?:"))
                for c, v in zip(*[iter(operands[:-1])] * 2, strict=True)
            ]
            other = self._nets.whole(operands[-1])
            rest = self._arms.get(other) if other and other.inline else None
            arms += rest or [("", self._operand(operands[-1], "?:"))]
            self._arms[net] = arms
            return "".join(f"{c} ? {v} : " for c, v in arms[:-1]) + arms[-1][1], "?"
        if operator == "":
            return self._spec(operands[0])
        if len(operands) == 1:
            return f"{operator}{self._operand(operands[0])}", "" if operator in "~-" else operator
        sides = [self._operand(bits, operator if operator in _ASSOCIATIVE else "") for bits in operands]
        if expression.signed:
            last = sides[1] if operator == ">>>" else f"$signed({self._spec(operands[1])[0]})"
            sides = [f"$signed({self._spec(operands[0])[0]})", last]
        return f"{sides[0]} {operator} {sides[1]}", operator

    def _operand(self, bits: Bits, allowed: str = "") -> str:
        """An expression in parentheses, unless its operator is allowed; ``?:`` allows all but choices."""
        text, operator = self._spec(bits)
        bare = not operator or operator == allowed or (allowed == "?:" and operator != "?")
        return text if bare else f"({text})"

    def _spec(self, bits: Bits) -> Text:
        parts = []
        for net, low, width in reversed(list(self._nets.runs(bits))):
            if isinstance(net, str):
                parts += constants(net)
            elif width < 0:
                inner = self._slice(net, low, 1)[0]
                parts.append(f"{{{-width}{{{inner}}}}}")
            else:
                text, operator = self._slice(net, low, width)
                if width == len(bits):
                    return text, operator
                parts.append(text)
        return (parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"), ""

    def _slice(self, net: Net, low: int, width: int) -> Text:
        if net.inline:
            return self._shown[net]
        if width == net.width:
            return net.name, ""
        return f"{net.name}[{low}]" if width == 1 else f"{net.name}[{low + width - 1}:{low}]", ""

    def _outputs(self) -> Iterator[str]:
        named = {net.port for net in self._nets.nets}
        for raw, port in self._module["ports"].items():
            if port["direction"] == "output" and self._ports[raw] not in named and port["bits"]:
                yield f"  assign {self._ports[raw]} = {self._spec(port['bits'])[0]};"

    def _instances(self) -> Iterator[str]:
        for instance in self._nets.instances:
            kind = instance.kind
            numbers = ", ".join(f".{key}({value})" for key, value in instance.parameters.items())
            numbers = f" #({numbers})" if numbers else ""
            yield f"  {self._names[kind]}{numbers} {instance.name} ("
            ports = [(self._inside[kind][pin], bits) for pin, bits in instance.pins.items() if bits]
            ports.sort(key=lambda port: port[0] not in _FIRST)
            for place, (port, bits) in enumerate(ports):
                comma = "" if place == len(ports) - 1 else ","
                yield f"    .{port}({self._spec(bits)[0]}){comma}"
            yield "  );"


def _chooses(net: Net) -> bool:
    return isinstance(net.driver, Expression) and net.driver.operator == "?"


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _wrapped(line: str) -> list[str]:
    if len(line) <= LINE:
        return [line]
    indent = len(line) - len(line.lstrip())
    return textwrap.wrap(
        line,
        LINE,
        initial_indent="",
        subsequent_indent=" " * (indent + 4),
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )
