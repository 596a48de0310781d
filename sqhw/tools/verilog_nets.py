"""The nets of one Yosys module: what drives each, its name, and which are part of another's expression."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .verilog_cells import Bits, Expression, expression, settled
from .verilog_names import Names, identifier, public_names

__all__ = ["Instance", "Memory", "Net", "Nets", "ReadPort"]

_CLOCKED = ("$dff", "$mem_v2")


@dataclass(eq=False)
class Net:
    """Bits with one driver: an input port, a submodule, a register, a memory, or an expression.

    Attributes
    ----------
    uses : int
        Places that read it; it is part of another's expression only if one place reads all of it.
    inline : bool
        Whether it has no declaration of its own.
    """

    bits: Bits
    kind: str
    driver: Any = None
    name: str = ""
    uses: int = 0
    inline: bool = False
    port: str | None = None

    @property
    def width(self) -> int:
        return len(self.bits)


@dataclass
class ReadPort:
    """One read port of a memory; without a clock its data follows the address."""

    memory: Memory
    address: Bits
    enable: Bits
    clock: Bits | None


@dataclass
class Memory:
    """A memory's size, contents and write ports (clock, enables by bit, address, data)."""

    cell: str
    width: int
    depth: int
    words: list[str]
    writes: list[tuple[Bits, Bits, Bits, Bits]] = field(default_factory=list)
    name: str = ""


@dataclass
class Instance:
    """A submodule: its cell, the module's name, its parameters and what its ports are connected to."""

    cell: str
    kind: str
    parameters: dict[str, int]
    pins: dict[str, Bits]
    name: str = ""


class Nets:
    """All nets of a module, in the order of their drivers.

    ``index`` is a name for a variable that counts through memories.

    Parameters
    ----------
    module
        As Yosys's ``write_json`` describes it.
    ports
        Final names of its ports, and those of the modules inside it by kind.
    """

    def __init__(
        self, module: Mapping[str, Any], ports: dict[str, str], inside: Mapping[str, dict[str, str]]
    ):
        self.module = settled(module)
        self.nets: list[Net] = []
        self.memories: list[Memory] = []
        self.instances: list[Instance] = []
        self._of: dict[int, tuple[Net, int]] = {}
        self._ports, self._inside = ports, inside
        self._add_drivers()
        self._count_uses()
        self._name()

    def runs(self, bits: Bits) -> Iterator[tuple[Net | str, int, int]]:
        """Splits bits, lowest first, into slices: net, lowest bit, width; constants: digits, 0, width.

        A width of -n is n copies of one bit.
        """
        at = 0
        while at < len(bits):
            end = at + 1
            if isinstance(bits[at], str):
                while end < len(bits) and isinstance(bits[end], str):
                    end += 1
                yield "".join(reversed(bits[at:end])), 0, end - at
            elif end < len(bits) and bits[end] == bits[at]:
                while end < len(bits) and bits[end] == bits[at]:
                    end += 1
                yield *self._of[bits[at]], at - end
            else:
                net, low = self._of[bits[at]]
                while (
                    end < len(bits) and bits[end : end + 1] == net.bits[low + end - at : low + end - at + 1]
                ):
                    end += 1
                yield net, low, end - at
            at = end

    def whole(self, bits: Bits) -> Net | None:
        """The net that consists of just these bits, if there is one."""
        found = self._of.get(bits[0]) if bits and not isinstance(bits[0], str) else None
        return found[0] if found and found[0].bits == bits else None

    def reads(self, net: Net) -> list[Bits]:
        """What a net depends on within a clock cycle."""
        if isinstance(net.driver, Expression):
            return list(net.driver.operands)
        if isinstance(net.driver, ReadPort) and net.driver.clock is None:
            return [net.driver.address]
        return []

    def initial(self, net: Net) -> str:
        """Value before the first clock edge, highest bit first; ``x`` for bits without one."""
        values = self._initial
        return "".join(values.get(bit, "x") for bit in reversed(net.bits))

    def _add(self, bits: Bits, kind: str, driver: Any = None) -> Net:
        net = Net(bits, kind, driver)
        self.nets.append(net)
        self._of |= {bit: (net, place) for place, bit in enumerate(bits)}
        return net

    def _add_drivers(self) -> None:
        for raw, port in self.module["ports"].items():
            if port["direction"] == "input":
                self._add(port["bits"], "input").name = self._ports[raw]
        for name, cell in self.module["cells"].items():
            pins = cell["connections"]
            if cell["type"] == "$dff":
                self._add(pins["Q"], "register", pins)
            elif cell["type"] == "$mem_v2":
                self._add_memory(name, cell)
            elif not cell["type"].startswith("$"):
                numbers = {key: int(value, 2) for key, value in cell["parameters"].items()}
                self.instances.append(Instance(name, cell["type"], numbers, pins))
                for pin, direction in cell["port_directions"].items():
                    if direction == "output":
                        self._add(pins[pin], "submodule", (name, self._inside[cell["type"]][pin]))
            else:
                value = expression(cell)
                hidden = [(name, place) for place in range(len(pins["Y"]), value.width)]
                self._add(pins["Y"] + hidden, "expression", value)
        self._initial = {
            bit: value
            for net in self.module["netnames"].values()
            for bit, value in zip(net["bits"], reversed(net["attributes"].get("init", "")), strict=False)
        }

    def _add_memory(self, name: str, cell: Mapping[str, Any]) -> None:
        setting, pins = cell["parameters"], cell["connections"]
        number = {key: int(setting[key], 2) for key in ("WIDTH", "SIZE", "ABITS", "RD_PORTS", "WR_PORTS")}
        width, depth, address = number["WIDTH"], number["SIZE"], number["ABITS"]
        if "1" in setting["RD_TRANSPARENCY_MASK"] + setting["RD_COLLISION_X_MASK"] + setting["OFFSET"]:
            raise ValueError(f"Memory {name} must not forward what is being written")
        init = setting["INIT"]
        words = [init[i - width : i] for i in range(len(init), 0, -width)] if "x" not in init else []
        self.memories.append(memory := Memory(name, width, depth, words))

        def part(pin: str, port: int, size: int) -> Bits:
            return list(pins[pin][port * size : (port + 1) * size])

        for port in range(number["RD_PORTS"]):
            clocked = setting["RD_CLK_ENABLE"][-1 - port] == "1"
            read = ReadPort(
                memory,
                part("RD_ADDR", port, address),
                part("RD_EN", port, 1),
                part("RD_CLK", port, 1) if clocked else None,
            )
            self._add(part("RD_DATA", port, width), "register" if clocked else "expression", read)
        for port in range(number["WR_PORTS"]):
            memory.writes.append(
                (
                    part("WR_CLK", port, 1),
                    part("WR_EN", port, width),
                    part("WR_ADDR", port, address),
                    part("WR_DATA", port, width),
                )
            )

    def _count_uses(self) -> None:
        read = [bits for net in self.nets for bits in self.reads(net)]
        read += [net.driver["D"] for net in self.nets if isinstance(net.driver, dict)]
        read += [bits for memory in self.memories for port in memory.writes for bits in port[1:]]
        for net in self.nets:
            if isinstance(net.driver, ReadPort) and net.driver.clock:
                read += [net.driver.address, net.driver.enable]
        for instance in self.instances:
            ports = self._inside[instance.kind]
            read += [bits for pin, bits in instance.pins.items() if pin in ports]
        read += [port["bits"] for port in self.module["ports"].values() if port["direction"] == "output"]
        for bits in read:
            for source, _, width in self.runs(bits):
                if isinstance(source, Net):
                    source.uses += 1 if width == source.width or source.width == 1 else 2
        for net in self.nets:
            alone = net.uses == 1 and isinstance(net.driver, Expression) and net.driver.operator != ">>>"
            net.inline = alone and net.width == len([bit for bit in net.bits if not isinstance(bit, tuple)])

    def _name(self) -> None:
        names = Names()
        for name in self._ports.values():
            names.take(name)
        for raw, port in self.module["ports"].items():
            net = self.whole(port["bits"]) if port["direction"] == "output" else None
            if net and net.kind != "input" and not net.name:
                net.name = net.port = self._ports[raw]
                net.inline = False
        self.instances.sort(key=lambda instance: _counting(instance.cell))
        for instance in self.instances:
            instance.name = names.take(identifier(instance.cell))
        for memory in self.memories:
            memory.name = names.take(identifier(memory.cell))
        self.index = names.take("index") if self.memories else ""
        pins, publics = self._pins(), public_names(self.module)
        for net in self.nets:
            if not net.name:
                bits = tuple(bit for bit in net.bits if not isinstance(bit, tuple))
                public = publics.get(bits)
                wanted = self._wanted(net, public, pins.get(bits))
                net.inline = net.inline and public is None and wanted is None
                if not net.inline:
                    net.name = names.take(wanted or "n")
        self._names = names

    def name_now(self, net: Net) -> None:
        """Gives a declaration to a net that was to be part of another's expression."""
        net.inline, net.name = False, self._names.take("n")

    def _pins(self) -> dict[tuple[Any, ...], tuple[str, str]]:
        """Submodule and port that take just these bits."""
        return {
            tuple(bits): (instance.name, self._inside[instance.kind][pin])
            for instance in reversed(self.instances)
            for pin, bits in instance.pins.items()
        }

    def _wanted(self, net: Net, public: str | None, pin: tuple[str, str] | None) -> str | None:
        """Name of a net: its signal's, or after the submodule that has it as a port."""
        if net.kind == "submodule":
            return f"{identifier(net.driver[0])}_{net.driver[1]}"
        own = identifier(public) if public else None
        if pin and (own is None or own == pin[1] or "$" in (public or "")):
            return f"{identifier(pin[0])}_{pin[1]}"
        return own


def _counting(name: str) -> list[tuple[str, int]]:
    """Sorts names as people count: ``adders2`` before ``adders10``."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]
