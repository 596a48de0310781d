"""``python -m sim.mutation``."""

from .command import main

main()
