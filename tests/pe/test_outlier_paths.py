"""Every configuration has one kind of outlier path, and each kind its fields on the broadcasts."""

import random

import pytest

from sqhw.pe.broadcasts import column_layout, row_layout
from sqhw.pe.outliers import KINDS, outlier_path
from sqhw.pe.outliers.fp16 import FP16Outliers
from sqhw.pe.outliers.int8 import INT8Outliers
from sqhw.pe.outliers.none import NoOutliers
from sqhw.pe.outliers.shared import SharedOutliers
from sqhw.presets import ARRAYS, PRESETS
from tests.pe.test_pe import CONFIGS, SEED, random_config
from tests.pe.test_sq_sq import CONFIGS as SQ_SQ


@pytest.mark.parametrize(
    ("config", "kind", "fields"),
    [
        (CONFIGS["two int8"], INT8Outliers, {"select", "take", "high"}),
        (PRESETS["default"], FP16Outliers, {"select", "take", "high", "shift"}),
        (CONFIGS["no outliers"], NoOutliers, set()),
        (
            CONFIGS["shared multiplier"],
            SharedOutliers,
            {"select", "take", "first", "sum", "outlier", "significand"},
        ),
        (SQ_SQ["outliers on one side"], NoOutliers, {"first"}),
    ],
)
def test_kind_and_its_fields(config, kind, fields):
    path = outlier_path(config)
    assert type(path) is kind
    common = {"low", "sums", "dense", "fraction", "exponent", "clear", "last", "error"}
    assert set(row_layout(path).members) == common | fields
    held = {"select", "take", "high", "held_high"} if config.dense_slots else set()
    assert set(column_layout(path).members) & {"select", "take", "high", "held_high"} == held


def test_one_kind_fits():
    """FP16 lanes fit as well where outliers and sums may share a multiplier, which is tried first."""
    rng = random.Random(SEED)
    found = dict.fromkeys(KINDS, 0)
    presets = [*PRESETS.values(), *(array.pe for array in ARRAYS.values())]
    stepped = [config for config in presets if not config.one_step]  # the others have no path
    for config in stepped + [random_config(rng) for _ in range(300)]:
        fitting = [kind for kind in KINDS if kind.fits(config)]
        assert fitting in ([NoOutliers], [INT8Outliers], [FP16Outliers], [SharedOutliers, FP16Outliers])
        found[type(outlier_path(config))] += 1
    assert min(found.values()) > 0
