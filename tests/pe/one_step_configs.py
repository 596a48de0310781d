# amaranth: UnusedElaboratable=no
"""Configurations of one-step units that the tests of units and sums share."""

from sqhw.config import PEConfig
from sw_reference.format import DenseFormat, SQFormat

LINEAR = DenseFormat(4, 32, scale="linear8")

CONFIGS = {
    "2 of 32": PEConfig(SQFormat(32, 2, "int8", "index", "e3m2s"), LINEAR, 32, 2),
    "4 of 32": PEConfig(SQFormat(32, 4, "int8", "index", "e3m2s"), LINEAR, 32, 4, 1 << 14),
    "2 of 16, a scale per 32": PEConfig(SQFormat(32, 2, "int8", "index", "e3m2s", 16), LINEAR, 32, 4),
    "a bank in two beats": PEConfig(SQFormat(32, 1, "int8", "index", "e4m2s", 16), LINEAR, 16, 1, 256),
    "64 lanes": PEConfig(
        SQFormat(64, 4, "int8", "index", "e4m2s", 32), DenseFormat(4, 64, scale="linear8"), 64, 8
    ),
    "64 lanes, two groups": PEConfig(SQFormat(64, 4, "int8", "index", "e4m2s", 32), LINEAR, 64, 8),
    "two groups of an odd slot": PEConfig(
        SQFormat(16, 1, "int8", "index", "e3m2s", 8), DenseFormat(4, 8, scale="linear8"), 16, 2
    ),
    "four groups, offset": PEConfig(
        SQFormat(32, 2, "int8", "index", "e4m2s", 8),
        DenseFormat(4, 8, scale="linear8", offset=True),
        *(32, 8, 256),
    ),
    "two groups, both": PEConfig(
        SQFormat(16, 2, "int8", "index", "e3m2s", 8), DenseFormat(4, 8, 1, 4, "linear8", mask="index"), 16, 4
    ),
    "no groups": PEConfig(SQFormat(16, 3, "int8", "index", "e2m3"), DenseFormat(4), 16, 3, 256),
    "dense INT8": PEConfig(
        SQFormat(8, 1, "int8", "index", "e1m0s"), DenseFormat(8, 8, scale="linear8"), 8, 1, 64
    ),
    "all are outliers": PEConfig(SQFormat(4, 4, "int8", "index", "e4m3s"), DenseFormat(8), 4, 4, 64),
    "offset": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 16, scale="linear8", offset=True), 8, 2, 256
    ),
    "offset, two segments": PEConfig(
        SQFormat(16, 2, "int8", "index", "e4m2s", 8), DenseFormat(4, 16, scale="linear8", offset=True), 16, 4
    ),
    "offset, dense INT8": PEConfig(
        SQFormat(8, 1, "int8", "index", "e3m1s"), DenseFormat(8, 8, scale="linear8", offset=True), 8, 1, 64
    ),
    "2 of 32, both": PEConfig(
        SQFormat(32, 2, "int8", "index", "e3m2s"), DenseFormat(4, 32, 2, 32, "linear8", mask="index"), 32, 2
    ),
    "2 of 8 and 1 of 4": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 8, 1, 4, "linear8", mask="index"), 8, 2
    ),
    "2 of 4 and 3 of 8": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m1s", 4), DenseFormat(4, None, 3, 8, mask="index"), 8, 4, 256
    ),
    "both, offset": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"),
        DenseFormat(4, 16, 2, 4, "linear8", offset=True, mask="index"),
        *(8, 2, 256),
    ),
    "serial output": PEConfig(
        SQFormat(8, 2, "int8", "index", "e3m2s"), DenseFormat(4, 8, scale="linear8"), 8, 2, output="serial"
    ),
}
