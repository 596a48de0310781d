"""Generator of synthesizable hardware for the Sparse-Quantized format (SQ-format)."""

__version__ = "0.1.0"
