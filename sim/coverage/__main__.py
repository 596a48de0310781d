"""``python -m sim.coverage``."""

from .command import main

main()
