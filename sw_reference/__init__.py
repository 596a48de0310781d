"""The golden model of SQ-format: quantize, split, multiply, pack. NumPy only, exact integers."""
