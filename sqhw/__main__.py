"""``sqhw``, or ``python -m sqhw``."""

import signal
import sys
from types import FrameType

__all__ = ["run"]

if not (3, 11) <= sys.version_info[:2] <= (3, 13):  # python3 may be any, before the install
    sys.exit(f"Error: Python must be 3.11, 3.12 or 3.13, not {sys.version.split()[0]}")
try:
    from .cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"Error: Python's package {error.name} is needed, but {sys.executable} lacks it: "
        "run `make venv`, then `.venv/bin/sqhw`"
    )

_ENDING = [
    getattr(signal, f"SIG{name}")
    for name in ("HUP", "TERM", "QUIT", "XCPU", "USR1", "USR2", "ALRM", "VTALRM", "PROF")
    if hasattr(signal, f"SIG{name}")
]
"""Signals that end a process at once unless they are caught."""


def run() -> int:
    """Runs the command line; any signal that can be caught is an interruption like Ctrl-C.

    So nothing half-written stays. Signals that were ignored (as nohup does) stay ignored.
    """
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    return main()


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in _ENDING:  # a second one must not stop the tidying up
        signal.signal(other, lambda *_: None)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run())
