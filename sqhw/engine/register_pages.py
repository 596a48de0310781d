"""The register map as a page, and as a C header."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .register_types import Register
from .registers import ADDRESS_BITS, ENCODER_REGISTERS, REGISTERS, Format, Input

__all__ = ["c_header", "markdown"]


def markdown(dma: Sequence[Register]) -> str:
    """Returns docs/registers.md: the registers of the engine, of its encoder, and of its DMA."""
    lines = [
        "# Registers of the engine",
        "",
        "Made by `sqhw registers --language markdown`; do not edit by hand.",
        "",
        f"AXI4-Lite, 32-bit registers, {1 << ADDRESS_BITS} bytes. An address without a register, a write to",
        "one that is read only, an address that is no multiple of 4, and a write of some bytes of a word",
        "(WSTRB) are answered with SLVERR and change nothing. Bits that are not listed read as 0. What can",
        "be written is 0 after reset.",
        "",
        *_table(REGISTERS),
        "",
        "An engine with an encoder (`sqhw verilog engine --encoder`) has these too:",
        "",
        *_table(ENCODER_REGISTERS),
        "",
        "An engine that reads and writes memory by itself (`sqhw verilog dma`) has these too:",
        "",
        *_table(dma),
    ]
    for register in (*REGISTERS, *ENCODER_REGISTERS, *dma):
        if len(register.fields) == 1:
            continue
        lines += ["", f"## {register.name}", "", "| bits | field | |", "|---|---|---|"]
        for field in register.fields:
            low = register.shift(field.name)
            bits = f"{low + field.bits - 1}:{low}" if field.bits > 1 else str(low)
            lines.append(f"| {bits} | `{field.name}` | {field.text} |")
    return "\n".join(lines) + "\n"


def _table(registers: Iterable[Register]) -> list[str]:
    rows = [f"| 0x{r.offset:02X} | `{r.name}` | {r.access_text} | {r.text} |" for r in registers]
    return ["| offset | name | access | |", "|---|---|---|---|", *rows]


def c_header(dma: Sequence[Register]) -> str:
    """Returns a C header: offsets, positions and masks of fields, values of OUTPUT and INPUT; those of the
    encoder and of the DMA too."""
    lines = [
        "/* Registers of the sqhw engine. Made by `sqhw registers`; do not edit by hand. */",
        "#ifndef SQ_ENGINE_REGISTERS_H",
        "#define SQ_ENGINE_REGISTERS_H",
    ]
    for register in (*REGISTERS, *ENCODER_REGISTERS, *dma):
        lines += ["", f"/* {register.access_text}: {register.text} */"]
        lines.append(f"#define SQ_ENGINE_{register.name} 0x{register.offset:02X}u")
        if len(register.fields) == 1:
            continue
        for field in register.fields:
            name = f"SQ_ENGINE_{register.name}_{field.name.upper()}"
            lines.append(f"#define {name}_SHIFT {register.shift(field.name)}u")
            lines.append(f"#define {name}_MASK 0x{((1 << field.bits) - 1) << register.shift(field.name):X}u")
    lines.append("")
    lines += [f"#define SQ_ENGINE_OUTPUT_{output.name} {output.value}u" for output in Format]
    lines += [f"#define SQ_ENGINE_INPUT_{way.name} {way.value}u" for way in Input]
    lines += ["", "#endif"]
    return "\n".join(lines) + "\n"
