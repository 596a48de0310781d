"""``sqhw``, or ``python -m sqhw``."""

import signal
import sys

__all__ = ["run"]

if sys.version_info < (3, 11):  # noqa: UP036  (python3 may be any, before the install)
    sys.exit(f"Error: Python must be 3.11 or newer, not {sys.version.split()[0]}")
try:
    from .cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"Error: Python's package {error.name} is needed, but {sys.executable} lacks it: "
        "run `make venv`, then `.venv/bin/sqhw`"
    )


def run() -> int:
    """Runs the command line. SIGTERM and SIGHUP interrupt like Ctrl-C, so that nothing half-written stays."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(run())
