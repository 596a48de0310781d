"""What happens at clock edges: choices that Yosys made of ``if`` and ``switch`` become conditions again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .verilog_cells import Bits, Expression, constants
from .verilog_nets import Memory, Net, Nets, ReadPort

__all__ = ["clocked", "consumed", "initial"]

Item = tuple[Net, int, Bits]
"""A register, the lowest of its bits that are set, and what they are set to."""
Text = Callable[[Bits], str]
"""Prints what bits hold."""


def clocked(nets: Nets, text: Text) -> Iterator[str]:
    """One block for each clock: registers, memories that are written, and those that are read."""
    blocks: dict[Any, list[str]] = {}
    registers: dict[Any, list[Item]] = {}
    for net in nets.nets:
        if isinstance(net.driver, dict):
            registers.setdefault(net.driver["CLK"][0], []).append((net, 0, net.driver["D"]))
    for clock, items in registers.items():
        blocks[clock] = _statements(nets, items, text)
    for memory in nets.memories:
        for port in memory.writes:
            blocks.setdefault(port[0][0], []).extend(_write(memory, *port[1:], text))
    for net in nets.nets:
        if isinstance(net.driver, ReadPort) and net.driver.clock:
            read = f"{net.name} <= {net.driver.memory.name}[{text(net.driver.address)}];"
            enable = "" if net.driver.enable == ["1"] else f"if ({text(net.driver.enable)}) "
            blocks.setdefault(net.driver.clock[0], []).append(enable + read)
    for clock, lines in blocks.items():
        yield f"  always @(posedge {text([clock])}) begin"
        yield from (f"    {line}" for line in lines)
        yield "  end"


def _write(memory: Memory, enable: Bits, address: Bits, data: Bits, text: Text) -> Iterator[str]:
    """Statements that write parts of a word, each of which has an enable."""
    start = 0
    for end in range(1, len(enable) + 1):
        if end == len(enable) or enable[end] != enable[start]:
            part = "" if end - start == len(enable) else f"[{end - 1}:{start}]"
            place = f"{memory.name}[{text(address)}]{part}"
            yield f"if ({text(enable[start : start + 1])}) {place} <= {text(data[start:end])};"
            start = end


def initial(nets: Nets) -> Iterator[str]:
    """Values at power-up: FPGAs load them with the bitstream."""
    lines = []
    for net in nets.nets:
        value = nets.initial(net)
        if net.kind == "register" and "x" not in value:
            lines.append(f"{net.name} = {_literal(value)};")
    for memory in nets.memories:
        if len(set(memory.words)) == 1:
            loop = f"for ({nets.index} = 0; {nets.index} < {memory.depth}; {nets.index} = {nets.index} + 1)"
            lines.append(f"{loop} {memory.name}[{nets.index}] = {_literal(memory.words[0])};")
        else:
            words = enumerate(memory.words)
            lines += [f"{memory.name}[{place}] = {_literal(word)};" for place, word in words]
    if any(line.startswith("for") for line in lines):
        yield f"  integer {nets.index};"
    if lines:
        yield "  initial begin"
        yield from (f"    {line}" for line in lines)
        yield "  end"


def _literal(digits: str) -> str:
    parts = constants(digits)
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _choice(nets: Nets, net: Net | str, width: int) -> Expression | None:
    """The choice that a whole net is, if it is printed nowhere else."""
    if isinstance(net, str) or not net.inline or width != net.width:
        return None
    return net.driver if isinstance(net.driver, Expression) and net.driver.operator == "?" else None


def consumed(nets: Nets) -> set[Net]:
    """The choices that become conditions."""
    found: set[Net] = set()
    waiting = [net.driver["D"] for net in nets.nets if isinstance(net.driver, dict)]
    while waiting:
        for net, _, width in nets.runs(waiting.pop()):
            choice = _choice(nets, net, width)
            if choice and isinstance(net, Net):
                found.add(net)
                waiting += choice.operands[1::2]
                waiting.append(choice.operands[-1])
    return found


def _statements(nets: Nets, items: list[Item], text: Text) -> list[str]:
    """Assignments of registers; those with the same condition share it."""
    lines: list[str] = []
    choices: dict[tuple[Any, ...], list[tuple[Net, int, Expression]]] = {}
    for register, low, bits in items:
        for at, width, choice in _pieces(nets, bits):
            part = bits[at : at + width]
            if choice:
                key = tuple(bit for condition in choice.operands[:-1:2] for bit in condition)
                choices.setdefault(key, []).append((register, low + at, choice))
            elif part != (own := register.bits[low + at : low + at + width]):
                lines.append(f"{text(own)} <= {text(part)};")
    for key, ruled in choices.items():
        arms = [
            [(register, low, choice.operands[2 * arm + 1]) for register, low, choice in ruled]
            for arm in range(len(key))
        ]
        arms.append([(register, low, choice.operands[-1]) for register, low, choice in ruled])
        texts = [_statements(nets, arm, text) for arm in arms]
        lines += _if([text([bit]) for bit in key], texts)
    return lines


def _pieces(nets: Nets, bits: Bits) -> Iterator[tuple[int, int, Expression | None]]:
    """Cuts bits where a choice begins or ends: first bit, width, choice."""
    at = start = 0
    for net, _, width in nets.runs(bits):
        choice = _choice(nets, net, width)
        if choice:
            if at > start:
                yield start, at - start, None
            yield at, width, choice
            start = at + width
        at += abs(width)
    if at > start:
        yield start, at - start, None


def _if(tests: list[str], arms: list[list[str]]) -> list[str]:
    """Conditions with their statements, the last ones for none of them."""
    if len(tests) == 1 and not arms[0]:
        test = tests[0] if tests[0].isidentifier() else f"({tests[0]})"
        tests, arms = [f"!{test}"], [arms[1], []]
    lines: list[str] = []
    for test, arm in zip(tests, arms, strict=False):
        lead = f"end else if ({test}) begin" if lines else f"if ({test}) begin"
        lines += [lead, *(f"  {line}" for line in arm)]
    other = arms[-1]
    if not other:
        return [*lines, "end"]
    if other[0].startswith("if (") and other.index("end") == len(other) - 1:
        return [*lines, f"end else {other[0]}", *other[1:]]
    return [*lines, "end else begin", *(f"  {line}" for line in other), "end"]
