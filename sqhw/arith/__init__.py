"""The processing element's parts, one per file, each usable and tested alone."""
