"""A simulated board behind a pseudo-terminal, as a driver meets it, started from the command line."""

import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np

from sqhw import Engine
from sqhw.boards.targets import BOARDS

CONFIG = BOARDS["icebreaker"].config


def test_products_over_the_port_of_a_simulated_board():
    """The second host finds the board as the first one left it; an interrupt ends it."""
    command = [sys.executable, "-m", "sqhw", "board", "--simulate", "icebreaker"]
    # A shell that runs tests in the background has told them to ignore interrupts.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen) as board:
        compared = 0
        try:
            line = next(line for line in board.stderr if " is at " in line)
            port = re.fullmatch(r"iCEBreaker is at (/dev/\S+); Ctrl-C ends it\.\n", line)[1]
            rng = np.random.default_rng(1)
            for m, n, k in ((3, 5, 40), (1, 1, 1)):
                x, w = rng.standard_normal((m, k)), rng.standard_normal((n, k))
                engine = Engine(CONFIG, "serial", port=port)
                for output in ("float32", "float16", "int64"):
                    y = engine.matmul(x, w, output)
                    assert y.tobytes() == Engine(CONFIG).matmul(x, w, output).tobytes()
                    compared += y.size
                assert engine.statistics.beats == m * n * CONFIG.beats(k)
                del engine
        finally:
            board.send_signal(signal.SIGINT)
        assert compared == 3 * (15 + 1)
        assert board.wait(10) == 130
