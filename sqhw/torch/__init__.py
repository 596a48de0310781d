"""What the hardware computes, in PyTorch: for any ``nn.Linear``, and for models of Transformers.

A layer whose activations are SQ and whose weights are dense, beside the layer that it was made from:

>>> import torch
>>> from sqhw.torch import SQLinear
>>> from sqhw import preset
>>> _ = torch.manual_seed(1)
>>> linear = torch.nn.Linear(576, 64, bias=False).requires_grad_(False)
>>> x, pe = torch.randn(8, 576), preset("fine")
>>> layer = SQLinear.from_linear(linear, pe.sq, pe.dense, mode="exact")
>>> f"relative error {float((layer(x) - linear(x)).norm() / linear(x).norm()):.3f}"
'relative error 0.084'

It needs the optional packages of ``requirements-torch.txt``: ``make torch`` installs them.
"""

from __future__ import annotations

from importlib.util import find_spec

for _package in ("torch", "transformers", "compressed_tensors"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(
            f"{_package} is missing, which sqhw.torch needs: run `make torch`, "
            "or `python -m pip install -r requirements-torch.txt`",
            name=_package,
        )

from sw_reference.accuracy.calibration import PERCENTILES, Site  # noqa: E402

from .compressed import SQCompressor  # noqa: E402
from .converters import FromPackQuantized, ToPackQuantized  # noqa: E402
from .hugging_face import SQConfig, SQQuantizer, convert  # noqa: E402
from .linear import SQLinear  # noqa: E402
from .quantized import QuantizedTensor, quantize  # noqa: E402
from .statistics import calibrate, compensated_weights, smoothing_divisor  # noqa: E402

__all__ = [
    "PERCENTILES",
    "FromPackQuantized",
    "QuantizedTensor",
    "SQCompressor",
    "SQConfig",
    "SQLinear",
    "SQQuantizer",
    "Site",
    "ToPackQuantized",
    "calibrate",
    "compensated_weights",
    "convert",
    "quantize",
    "smoothing_divisor",
]
