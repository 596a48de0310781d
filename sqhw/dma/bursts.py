"""What AXI4 allows of a burst: at most 256 words, none across a border of 4 KiB."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from sw_reference.checks import check_int

__all__ = ["PAGE_BYTES", "address_layout", "burst_words", "check_burst", "read_layout", "write_layout"]

PAGE_BYTES = 4096
"""No burst crosses a multiple of it."""
_BURST_MAX = 256


def address_layout(address_bits: int) -> data.StructLayout:
    """An address in bytes, and the words of the burst less one, as AXI4 wants it."""
    return data.StructLayout({"addr": address_bits, "len": 8})


def read_layout(data_bits: int) -> data.StructLayout:
    """A word that a memory sends, and its response."""
    return data.StructLayout({"data": data_bits, "resp": 2})


def write_layout(data_bits: int) -> data.StructLayout:
    """A word that a memory is sent; ``last`` ends the burst."""
    return data.StructLayout({"data": data_bits, "last": 1})


def check_burst(burst: int, word_bytes: int) -> None:
    """Raises TypeError or ValueError unless `burst` words are a power of two that AXI4 allows."""
    check_int("Burst", burst, 2, min(_BURST_MAX, PAGE_BYTES // word_bytes), power_of_two=True)


def burst_words(address: Signal, left: Any, burst: int, word_bytes: int) -> Value:
    """Returns the words of the next burst: those that are left, or up to the next multiple of `burst` words.

    As a page is a whole number of bursts, none crosses its border. `address` is a multiple of `word_bytes`.
    """
    low, bits = word_bytes.bit_length() - 1, burst.bit_length()
    room = (burst - address[low : low + bits - 1])[:bits]
    return Mux(left < room, left, room)[:bits]
