"""What is done to channels at random: a rotation that spreads outliers over all of them (Hadamard times
cosine transform, with random signs), and powers of two that set blocks of them apart."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEED", "rotation", "scattered"]

SEED = 1


def rotation(size: int) -> NDArray[np.float64]:
    """Returns an orthogonal matrix, float64[size, size].

    The Hadamard matrix of the largest power of two in `size`, times (Kronecker) the orthonormal cosine
    transform of the odd rest, with the signs of its rows drawn at random: 576 = 64 * 9, 1,536 = 512 * 3.
    """
    power = size & -size
    hadamard = np.ones((1, 1))
    while len(hadamard) < power:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]]) / np.sqrt(2)
    rest = size // power
    i = np.arange(rest)
    cosine = np.sqrt(2 / rest) * np.cos(np.pi * (i[None] + 0.5) * i[:, None] / rest)
    cosine[0] = np.sqrt(1 / rest)
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size)
    return signs[:, None] * np.kron(hadamard, cosine)


_TOGETHER = 32


def scattered(name: str, size: int, width: int) -> NDArray[np.float64]:
    """Returns powers of two, float64[size], equal within each 32 channels: 2**-width to 2**width, drawn at
    random for the site of this name."""
    random = np.random.default_rng([SEED, crc32(name.encode())])
    powers = random.integers(-width, width + 1, -(-size // _TOGETHER))
    return np.repeat(np.ldexp(1.0, powers), _TOGETHER)[:size]
