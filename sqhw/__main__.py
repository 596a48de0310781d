"""``python -m sqhw``."""

import signal
import sys

from .cli import main

__all__ = ["run"]


def run() -> int:
    """Runs the command line; SIGTERM is an interruption like Ctrl-C, so that nothing half-written stays."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(run())
