"""``python -m sim.fuzz``."""

from .command import main

main()
