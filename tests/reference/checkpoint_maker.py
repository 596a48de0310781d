"""Layers in the layouts of other quantizers, made number by number from what they publish."""

import numpy as np

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def word(codes, bits):
    """One int32 from the codes that it holds, lowest bits first."""
    number = sum(int(code) << (bits * i) for i, code in enumerate(codes))
    return number - (1 << 32) if number >= 1 << 31 else number


def words(rows, bits):
    """int32 from rows of codes; a short last word is filled with zeros."""
    per = 32 // bits
    return np.array(
        [[word(row[i : i + per], bits) for i in range(0, len(row), per)] for row in rows], np.int32
    )


def layer(rng, n, k, group, bits=4, symmetric=False):
    """Codes [n, k] and zero points [n, groups] without a sign, and scales [n, groups]."""
    top = 1 << bits
    zeros = np.full((n, k // group), top // 2)
    if not symmetric:
        zeros = rng.integers(top // 2 - 3, top // 2 + 4, zeros.shape)
    middles = np.repeat(zeros, group, axis=1)
    codes = np.clip(np.rint(rng.normal(middles, top / 6)), 0, top - 1).astype(int)
    scales = (rng.uniform(0.5, 2, zeros.shape) / 100).astype(np.float16)
    return codes, zeros, scales


def values(codes, zeros, scales, group):
    """The weights that they stand for, one at a time."""
    return values_by(codes, zeros, scales, [column // group for column in range(codes.shape[1])])


def values_by(codes, zeros, scales, g_idx):
    """The same where any column may be in any group."""
    return np.array(
        [
            [float(scales[r, g]) * int(codes[r, c] - zeros[r, g]) for c, g in enumerate(g_idx)]
            for r in range(len(codes))
        ]
    )


def gptq_layer(codes, zeros, scales, bits=4, version=1):
    minus = 1 if version == 1 else 0
    stored = (zeros - minus) % (1 << bits)
    group = codes.shape[1] // zeros.shape[1]
    return {
        "qweight": words(codes, bits).T.copy(),
        "qzeros": words(stored.T, bits),
        "scales": scales.T.copy(),
        "g_idx": np.arange(codes.shape[1], dtype=np.int32) // np.int32(group),
    }


def awq_layer(codes, zeros, scales):
    def shuffled(rows):
        return [[row[8 * (i // 8) + AWQ_ORDER[i % 8]] for i in range(len(row))] for row in rows]

    return {
        "qweight": words(shuffled(codes.T), 4),
        "qzeros": words(shuffled(zeros.T), 4),
        "scales": scales.T.copy(),
    }


def compressed_tensors_layer(codes, zeros, scales, bits=4, symmetric=False):
    made = {
        "weight_packed": words(codes, bits),
        "weight_scale": scales,
        "weight_shape": np.array(codes.shape, np.int64),
    }
    if not symmetric:
        made["weight_zero_point"] = words(zeros.T, bits).T.copy()
    return made
