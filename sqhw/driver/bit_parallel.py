"""Units that stand many times in a design, simulated side by side: bit u of a machine word is unit u.

A unit becomes a netlist of simple gates, each gate one C++ expression on words, so one pass serves up to 64
units. In the design a stub takes its place that hands its inputs over at the rising clock edge and shows its
outputs from the falling edge on; nothing samples them in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["YOSYS_SCRIPT", "stub_and_gates"]

YOSYS_SCRIPT = (
    "read_verilog {verilog}; hierarchy -top {module}; proc; flatten; opt -full; techmap; opt; "
    "dfflegalize -cell $_DFF_P_ 01; simplemap; opt_expr; opt_clean; "
    "abc -g AND,OR,XOR,ANDNOT,ORNOT,MUX; opt_clean; write_json {json}"
)
"""Maps a unit to the gates that :func:`stub_and_gates` knows."""

_GATES = {
    "$_NOT_": "~{A}",
    "$_AND_": "{A} & {B}",
    "$_OR_": "{A} | {B}",
    "$_XOR_": "{A} ^ {B}",
    "$_ANDNOT_": "{A} & ~{B}",
    "$_ORNOT_": "{A} | ~{B}",
    "$_MUX_": "{A} ^ (({A} ^ {B}) & {S})",
}
_REGISTER = "$_DFF_P_"
_CLOCK = "clk"
_CONSTANTS = {"0": "word(0)", "1": "~word(0)", "x": "word(0)"}


def stub_and_gates(module: str, netlist: dict[str, Any]) -> tuple[str, str]:
    """Returns a unit's stub in SystemVerilog and its gates in C++ (for ``bit_parallel.h``).

    Parameters
    ----------
    module
        Name of the unit's module; its clock is ``clk``.
    netlist
        What ``YOSYS_SCRIPT`` wrote.

    Raises
    ------
    ValueError
        If an output depends on an input within a clock cycle, or gates form a loop.
    """
    found = netlist["modules"][module]
    ports = {name: port for name, port in found["ports"].items() if name != _CLOCK}
    inputs = {name: port["bits"] for name, port in ports.items() if port["direction"] == "input"}
    outputs = {name: port["bits"] for name, port in ports.items() if port["direction"] == "output"}
    return _stub(module, inputs, outputs), _Gates(module, found, inputs, outputs).text()


def _stub(module: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> str:
    """The parts of both vectors lie in the order of the ports, the first one in the low bits."""
    bits_in, bits_out = (sum(map(len, side.values())) for side in (inputs, outputs))
    declared = [f"input [{len(bits) - 1}:0] {name}" for name, bits in inputs.items()]
    declared += [f"output [{len(bits) - 1}:0] {name}" for name, bits in outputs.items()]
    given, shown = ("{" + ", ".join(reversed(side)) + "}" for side in (inputs, outputs))
    return f"""module {module}(input {_CLOCK}, {", ".join(declared)});
  import "DPI-C" function chandle unit_new();
  import "DPI-C" function void unit_put(input chandle unit, input bit [{bits_in - 1}:0] given);
  import "DPI-C" function void unit_get(input chandle unit, output bit [{bits_out - 1}:0] shown);
  chandle unit;
  bit [{bits_out - 1}:0] shown;
  initial unit = unit_new();
  always @(posedge {_CLOCK}) unit_put(unit, {given});
  always @(negedge {_CLOCK}) unit_get(unit, shown);
  assign {shown} = shown;
endmodule
"""


class _Gates:
    """A unit's gates as C++: next state and outputs, each a function of words."""

    def __init__(
        self, module: str, found: dict[str, Any], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]
    ):
        self._module = module
        self._inputs = [bit for bits in inputs.values() for bit in bits]
        self._outputs = [bit for bits in outputs.values() for bit in bits]
        cells = [cell for cell in found["cells"].values() if cell["type"] != "$scopeinfo"]
        pins = [(cell["type"], {pin: bits[0] for pin, bits in cell["connections"].items()}) for cell in cells]
        self._registers = [nets for kind, nets in pins if kind == _REGISTER]
        self._drivers = {nets["Y"]: (kind, nets) for kind, nets in pins if kind != _REGISTER}
        self._initial = {
            bit
            for net in found["netnames"].values()
            for bit, value in zip(net["bits"], reversed(net["attributes"].get("init", "")), strict=False)
            if value == "1"
        }
        self._sources = dict(_CONSTANTS)
        self._sources |= {bit: f"given[{index}]" for index, bit in enumerate(self._inputs)}
        self._sources |= {nets["Q"]: f"state[{index}]" for index, nets in enumerate(self._registers)}

    def text(self) -> str:
        """Constants and the two functions."""
        following = [nets["D"] for nets in self._registers]
        initial = ", ".join(str(int(nets["Q"] in self._initial)) for nets in self._registers)
        shown = "\n".join(self._function(self._outputs, "shown"))
        if "given[" in shown:
            raise ValueError(f"Outputs of {self._module} must come from registers")
        return "\n".join(
            [
                f"enum {{ INPUTS = {len(self._inputs)}, OUTPUTS = {len(self._outputs)}, "
                f"REGISTERS = {len(self._registers)} }};",
                f"static const bool initial[REGISTERS] = {{{initial}}};",
                "static void unit_step(const word *given, const word *state, word *next) {",
                *self._function(following, "next"),
                "}",
                "static void unit_show(const word *state, word *shown) {",
                shown,
                "}",
                "",
            ]
        )

    def _function(self, wanted: list[Any], target: str) -> Iterator[str]:
        """Computes `wanted` into an array; gates in depth first order, so that values are used soon."""
        done: set[Any] = set()
        for index, bit in enumerate(wanted):
            for net in self._cone(bit, done):
                kind, nets = self._drivers[net]
                names = {pin: self._name(source) for pin, source in nets.items() if pin != "Y"}
                yield f"  const word n{net} = {_GATES[kind].format(**names)};"
            yield f"  {target}[{index}] = {self._name(bit)};"

    def _cone(self, bit: Any, done: set[Any]) -> Iterator[Any]:
        """The gates that a bit needs and that are not done, each after those it needs."""
        stack, open_nets = [(bit, False)], set()
        while stack:
            net, complete = stack.pop()
            if complete:
                open_nets.discard(net)
                done.add(net)
                yield net
            elif net in open_nets:
                raise ValueError(f"Gates of {self._module} must not form a loop")
            elif net not in done and net in self._drivers:
                open_nets.add(net)
                stack.append((net, True))
                nets = self._drivers[net][1]
                stack += [(source, False) for pin, source in nets.items() if pin != "Y"]

    def _name(self, bit: Any) -> str:
        return self._sources.get(bit, f"n{bit}")
