"""Model files in SQ-format: what is read, what is written, and the way from one to the other."""
