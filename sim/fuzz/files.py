"""Damaged files of packed tensors."""

from __future__ import annotations

import numpy as np

from sw_reference.format import SQFormat
from sw_reference.pack import pack_sq, unpack_sq
from sw_reference.quantize import quantize_sq

__all__ = ["damaged_files"]


def damaged_files(count: int, seed: int) -> dict[str, int]:
    """Damages packed tensors; unpacking must refuse, or return what packs to the same bytes."""
    rng = np.random.default_rng(seed)
    refused = accepted = 0
    formats = [
        SQFormat(bank, 2, high, mask)
        for bank in (8, 16)
        for high in ("fp16", "int8")
        for mask in ("bitmap", "sentinel")
    ]
    for number in range(count):
        fmt = formats[number % len(formats)]
        tensor = quantize_sq(rng.standard_normal((2, 40)).astype(np.float32), fmt)
        data = pack_sq(tensor)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data)), rng.integers(data.shape[1])] ^= 1 << rng.integers(8)
        try:
            again = unpack_sq(data, fmt, 40, tensor.row_scale)
        except ValueError as error:
            if not str(error).startswith("Row "):
                raise
            refused += 1
            continue
        if pack_sq(again).tobytes() != data.tobytes():
            raise AssertionError(f"damaged file {number} (seed {seed}) unpacks to what packs differently")
        accepted += 1
    return {"damaged": count, "refused": refused, "accepted": accepted}
