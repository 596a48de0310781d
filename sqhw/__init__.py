"""Generator of synthesizable hardware for the Sparse-Quantized format (SQ-format).

A product of two small matrices as the hardware computes it, next to the one of floats, and the Verilog of
the processing element that computes it:

>>> import numpy as np
>>> from sqhw import multiply, preset, quantize_dense, quantize_sq
>>> x, w = np.random.default_rng(1).standard_normal((2, 8, 576), dtype=np.float32)
>>> pe = preset("lean")
>>> product = multiply(quantize_sq(x, pe.sq), quantize_dense(w, pe.dense))
>>> f"relative error {np.linalg.norm(product.y - x @ w.T) / np.linalg.norm(x @ w.T):.3f}"
'relative error 0.093'
>>> from sqhw.emit import emit
>>> "module my_pe" in emit(pe, "my_pe").verilog
True

Names are loaded when they are first used: ``import sqhw`` alone brings neither NumPy nor Amaranth.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqhw.config import ArrayConfig, EngineConfig, PEConfig
    from sqhw.driver.engine import Engine, EngineError
    from sqhw.presets import array_preset, engine_preset, preset
    from sw_reference.activations import load_activations
    from sw_reference.format import DenseFormat, SQFormat
    from sw_reference.multiply import multiply
    from sw_reference.notation import format_text, parse_format
    from sw_reference.policy import GivenMask, LargestImportance, LargestMagnitude, Threshold
    from sw_reference.quantize import quantize_dense, quantize_sq
    from sw_reference.split import dequantize
    from sw_reference.tensors import DenseTensor, SQTensor

__version__ = "0.1.0"

__all__ = [
    "ArrayConfig",
    "DenseFormat",
    "DenseTensor",
    "Engine",
    "EngineConfig",
    "EngineError",
    "GivenMask",
    "LargestImportance",
    "LargestMagnitude",
    "PEConfig",
    "SQFormat",
    "SQTensor",
    "Threshold",
    "array_preset",
    "dequantize",
    "engine_preset",
    "format_text",
    "load_activations",
    "multiply",
    "parse_format",
    "preset",
    "quantize_dense",
    "quantize_sq",
]

_HOMES = {
    "sqhw.config": ("ArrayConfig", "EngineConfig", "PEConfig"),
    "sqhw.driver.engine": ("Engine", "EngineError"),
    "sqhw.presets": ("array_preset", "engine_preset", "preset"),
    "sw_reference.activations": ("load_activations",),
    "sw_reference.format": ("DenseFormat", "SQFormat"),
    "sw_reference.multiply": ("multiply",),
    "sw_reference.notation": ("format_text", "parse_format"),
    "sw_reference.policy": ("GivenMask", "LargestImportance", "LargestMagnitude", "Threshold"),
    "sw_reference.quantize": ("quantize_dense", "quantize_sq"),
    "sw_reference.split": ("dequantize",),
    "sw_reference.tensors": ("DenseTensor", "SQTensor"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sqhw' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
