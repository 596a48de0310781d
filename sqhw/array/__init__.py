"""The array: rows x columns multiply-accumulate units that share what depends on one operand only."""
