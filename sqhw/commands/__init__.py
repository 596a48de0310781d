"""The commands of ``python -m sqhw`` that stand in files of their own."""
