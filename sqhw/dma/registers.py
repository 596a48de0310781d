"""Registers of the engine's DMA: where the packets lie, and how their transfers went."""

from __future__ import annotations

from ..engine.register_types import Field, Register, whole

__all__ = ["DMA_REGISTERS", "OPERANDS"]

OPERANDS = ("X", "W")
"""Names of the operands whose packets are read; `Y` is written."""


DMA_REGISTERS: tuple[Register, ...] = (
    whole("X_ADDRESS", 0xC0, "rw", "Address of the packet of X, lower bits; a multiple of a word."),
    whole("X_ADDRESS_HIGH", 0xC4, "rw", "Its upper bits."),
    whole("X_BYTES", 0xC8, "rw", "Bytes of that packet, whole words."),
    whole("W_ADDRESS", 0xCC, "rw", "Address of the packet of W, lower bits; a multiple of a word."),
    whole("W_ADDRESS_HIGH", 0xD0, "rw", "Its upper bits."),
    whole("W_BYTES", 0xD4, "rw", "Bytes of that packet, whole words."),
    whole("W_TIMES", 0xD8, "rw", "How often the packet of W is read."),
    whole("Y_ADDRESS", 0xDC, "rw", "Address for the packet of Y, lower bits; a multiple of a word."),
    whole("Y_ADDRESS_HIGH", 0xE0, "rw", "Its upper bits."),
    whole("Y_BYTES", 0xE4, "rw", "Room for that packet in bytes, whole words."),
    whole("Y_WRITTEN", 0xE8, "ro", "Bytes of the packet of Y that were written."),
    Register(
        "DMA_STATUS",
        0xEC,
        "w1c",
        "How the transfers went.",
        (
            Field("finished", 1, "A job is over, and so are its transfers. Once for each `done`."),
            Field("x_response", 1, "The memory answered a read of X with an error."),
            Field("w_response", 1, "The memory answered a read of W with an error."),
            Field("y_response", 1, "The memory answered a write of Y with an error."),
            Field("overflow", 1, "The packet of Y is longer than its room. What is beyond was dropped."),
            Field("alignment", 1, "An address or a size is no multiple of a word. Lower bits counted as 0."),
            Field("busy", 1, "A job began before `finished` of the one before: its results are dropped."),
        ),
    ),
    Register(
        "DMA_INTERRUPT",
        0xF0,
        "rw",
        "Which bits of DMA_STATUS raise the interrupt line.",
        (Field("finished", 1, "A job and its transfers are over."),),
    ),
    Register(
        "DMA_BUSY",
        0xF4,
        "ro",
        "What is being transferred.",
        (Field("x", 1, "X is read."), Field("w", 1, "W is read."), Field("y", 1, "Y is written.")),
    ),
)
"""They follow those of the engine."""
