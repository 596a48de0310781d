"""The encoder: rows of FP16 become beats of an SQ operand, bit for bit those of the golden model."""
