"""float32 and FP16 numbers as bit patterns, rounded from exact fractions."""

from fractions import Fraction

NAN = 0x7FC00000


def floor_log2(value: Fraction) -> int:
    e = value.numerator.bit_length() - value.denominator.bit_length()
    return e if Fraction(2) ** e <= value else e - 1


def encode_float(value: Fraction, negative: bool, mantissa: int, exponent: int) -> int:
    """Returns the bit pattern of |value| rounded to nearest even, for a format of these field widths."""
    bias = (1 << (exponent - 1)) - 1
    value = abs(value)
    sign = int(negative) << (mantissa + exponent)
    if value == 0:
        return sign
    e = max(1 - bias, floor_log2(value))
    code = round(value / Fraction(2) ** (e - mantissa))  # round() of a fraction is half to even
    # A code of 2**mantissa or more carries its leading one into the exponent field.
    code += (e - 1 + bias) << mantissa
    return sign | min(code, ((1 << exponent) - 1) << mantissa)


def decode_float(code: int, mantissa: int, exponent: int) -> Fraction:
    """Returns the value of a finite bit pattern."""
    bias = (1 << (exponent - 1)) - 1
    field = code >> mantissa & ((1 << exponent) - 1)
    assert field < (1 << exponent) - 1, "NaN or Inf"
    fraction = code & ((1 << mantissa) - 1)
    if field:
        fraction += 1 << mantissa
    value = fraction * Fraction(2) ** (max(field, 1) - bias - mantissa)
    return -value if code >> (mantissa + exponent) else value


def to_f32(value: Fraction, negative: bool | None = None) -> int:
    return encode_float(value, value < 0 if negative is None else negative, 23, 8)


def f32(code: int) -> Fraction:
    return decode_float(code, 23, 8)


def to_fp16(value: Fraction, negative: bool | None = None) -> int:
    return encode_float(value, value < 0 if negative is None else negative, 10, 5)


def fp16(code: int) -> Fraction:
    return decode_float(code, 10, 5)


def multiply_f32(a: int, b: int) -> int:
    """Returns the bit pattern of the float32 product of two bit patterns; NaNs are canonical."""
    infinity = 0xFF << 23
    negative = bool((a ^ b) >> 31)
    magnitudes = (a & 0x7FFFFFFF, b & 0x7FFFFFFF)
    if max(magnitudes) > infinity or (infinity in magnitudes and 0 in magnitudes):
        return NAN
    if infinity in magnitudes:
        return negative << 31 | infinity
    return to_f32(f32(a) * f32(b), negative)
