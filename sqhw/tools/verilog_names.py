"""Names for emitted Verilog: plain identifiers, no reserved words, one of each in a module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .verilog_cells import Bits

__all__ = ["Names", "check_identifier", "identifier", "port_names", "public_names"]

# IEEE 1364-2005 and 1800-2017.
_WORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before
    begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class
    clocking cmos config const constraint context continue cover covergroup coverpoint cross deassign default
    defparam design disable dist do edge else end endcase endchecker endclass endclocking endconfig
    endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty
    endsequence endspecify endtable endtask enum event eventually expect export extends extern final
    first_match for force foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff
    ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
    instance int integer interconnect interface intersect join join_any join_none large let liblist library
    local localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime
    nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive
    priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent
    pure rand randc randcase randsequence rcmos real realtime ref reg reject_on release repeat restrict return
    rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared
    sequence shortint shortreal showcancelled signed small soft solve specify specparam static string strong
    strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this
    throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef
    union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order
    wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
_RESERVED = frozenset(_WORDS.split())


def check_identifier(name: str, what: str) -> None:
    """Raises ValueError unless `name` can name something in Verilog without an escape."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{what} must be a Verilog identifier, not {name!r}")
    if name in _RESERVED:
        raise ValueError(f"{what} must not be a reserved word of Verilog, not {name!r}")


def identifier(name: str) -> str:
    """A plain identifier for an Amaranth name: fields join with underscores, numbers of copies go."""
    plain = re.sub(r"\W+", "_", re.sub(r"(\$\d+)+$", "", name)).strip("_") or "n"
    plain = plain if not plain[0].isdigit() else f"n{plain}"
    return f"{plain}_" if plain in _RESERVED else plain


class Names:
    """The names of one module, in all lower and upper cases different."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """`wanted`, or with the first number behind it that makes it new."""
        name, number = wanted, 1
        while name.lower() in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name.lower())
        return name


def public_names(module: Mapping[str, Any]) -> dict[tuple[Any, ...], str]:
    """The best name that Amaranth gave to each row of bits: no copy's (``name$2``) if there is one, short."""
    names = [name for name, net in module["netnames"].items() if not net["hide_name"]]
    return {
        tuple(module["netnames"][name]["bits"]): name
        for name in sorted(names, key=_rank, reverse=True)
        if not name.startswith("port$")
    }


def _rank(name: str) -> tuple[bool, int, str]:
    return "$" in name, len(name), name


def port_names(modules: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Names of every module's ports.

    A port that Amaranth leaves without a name, ``port$cell$bit``, takes that of the signal it is, or is part
    of, inside the module, or else around it.
    """
    around: dict[str, list[tuple[Mapping[str, Any], dict[str, Bits]]]] = {}
    for module in modules.values():
        for cell in module["cells"].values():
            around.setdefault(cell["type"], []).append((module, cell["connections"]))
    result = {}
    for name, module in modules.items():
        names, chosen = Names(), {}
        for port in sorted(module["ports"], key=lambda raw: raw.startswith("port$")):
            wanted: str | None = port
            if port.startswith("port$"):
                places = [(module, module["ports"][port]["bits"])]
                places += [(parent, pins[port]) for parent, pins in around.get(name, [])]
                wanted = _first_name(places)
            chosen[port] = names.take(identifier(wanted or "part"))
        result[name] = chosen
    return result


def _first_name(places: Iterable[tuple[Mapping[str, Any], Bits]]) -> str | None:
    """The name of the fewest bits of the first place that hold these in a row."""
    for module, bits in places:
        found = [
            (len(whole), _rank(name), name)
            for whole, name in public_names(module).items()
            if not isinstance(bits[0], str) and bits[0] in whole
            if list(whole[whole.index(bits[0]) :][: len(bits)]) == list(bits)
        ]
        if found:
            return min(found)[2]
    return None
