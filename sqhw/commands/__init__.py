"""The commands of ``sqhw``: each is imported when it runs."""
