"""Multiply-accumulate units of other number formats, for comparison with the SQ unit.

They are built with the same care and from the same parts: one bit heap per sum, no register that
nothing needs, exact wherever the format allows it. Each takes one beat per cycle and never stops. As in
the SQ unit (:class:`~sqhw.pe.mac.MACUnit`), operand registers and the delay lines of control marks are not
inside, since an array has them once per row and column: every mark comes in the cycle that the unit's
docstring names.
"""
