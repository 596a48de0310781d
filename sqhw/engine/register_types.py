"""Registers and their fields as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Field", "Register", "whole"]

_ACCESS = {
    "ro": "read only",
    "rw": "read and write",
    "w1c": "read; writing 1 clears a bit",
    "wo": "write only; reads as 0",
}


@dataclass(frozen=True)
class Field:
    """Some bits of a register."""

    name: str
    bits: int
    text: str


@dataclass(frozen=True)
class Register:
    """A 32-bit register: fields from bit 0 up, without gaps."""

    name: str
    offset: int
    access: Literal["ro", "rw", "w1c", "wo"]
    text: str
    fields: tuple[Field, ...]

    @property
    def access_text(self) -> str:
        return _ACCESS[self.access]

    @property
    def bits(self) -> int:
        return sum(field.bits for field in self.fields)

    def shift(self, name: str) -> int:
        """Position of the field called `name`; raises ValueError if there is none."""
        position = 0
        for field in self.fields:
            if field.name == name:
                return position
            position += field.bits
        raise ValueError(
            f"Field of {self.name} must be one of {', '.join(f.name for f in self.fields)}, not {name!r}"
        )

    def pack(self, **values: int) -> int:
        """The register's value with the fields of these names set and all others 0."""
        return sum(value << self.shift(name) for name, value in values.items())

    def unpack(self, value: int) -> dict[str, int]:
        """The fields of a value."""
        return {
            field.name: value >> self.shift(field.name) & ((1 << field.bits) - 1) for field in self.fields
        }


def whole(name: str, offset: int, access: Literal["ro", "rw"], text: str, bits: int = 32) -> Register:
    """A register of one number."""
    return Register(name, offset, access, text, (Field("value", bits, text),))
