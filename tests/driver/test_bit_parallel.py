"""Units simulated side by side: gates from a netlist, more units than a word has bits, what is refused."""

import subprocess
from importlib.resources import files

import numpy as np
import pytest

from sqhw.driver.bit_parallel import stub_and_gates

WIDTH, UNITS, CYCLES = 70, 70, 9
MAIN = """
#include "bit_parallel.h"
#include <cstdio>
int main() {
    bit_parallel::Units all;
    bit_parallel::current = &all;
    void *unit[UNITS];
    for (auto &u : unit) u = unit_new();
    uint32_t given[(bit_parallel::INPUTS + 31) / 32], shown[(bit_parallel::OUTPUTS + 31) / 32];
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        for (auto u : unit) { if (fread(given, sizeof given, 1, stdin) != 1) return 1; unit_put(u, given); }
        for (auto u : unit) { unit_get(u, shown); fwrite(shown, sizeof shown, 1, stdout); }
    }
}
"""


def cell(kind, **pins):
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


def netlist(cells, outputs, init="", inputs=tuple(range(2, 2 + WIDTH))):
    ports = {
        "clk": {"direction": "input", "bits": [1]},
        "a": {"direction": "input", "bits": list(inputs)},
        "b": {"direction": "output", "bits": list(outputs)},
    }
    names = {"b": {"bits": list(outputs), "attributes": {"init": init} if init else {}}}
    return {"modules": {"unit": {"ports": ports, "cells": dict(enumerate(cells)), "netnames": names}}}


def toggles():
    """Each bit of the state is inverted where the input has a one; the lowest begins with one."""
    states, changed = range(100, 100 + WIDTH), range(200, 200 + WIDTH)
    cells = [cell("$_XOR_", A=100 + i, B=2 + i, Y=200 + i) for i in range(WIDTH)]
    cells += [cell("$_DFF_P_", C=1, D=d, Q=q) for d, q in zip(changed, states, strict=True)]
    return netlist(cells, states, init="x" * (WIDTH - 1) + "1")


def test_more_units_than_a_word_has_bits(tmp_path):
    stub, gates = stub_and_gates("unit", toggles())
    assert f"input bit [{WIDTH - 1}:0] given" in stub
    (tmp_path / "gates.inc").write_text(gates)
    (tmp_path / "bit_parallel.h").write_text((files("sqhw.driver") / "bit_parallel.h").read_text())
    (tmp_path / "main.cc").write_text(MAIN)
    defines = ['-DGATES="gates.inc"', f"-DUNITS={UNITS}", f"-DCYCLES={CYCLES}"]
    subprocess.run(["g++", "-std=c++20", *defines, "main.cc", "-o", "main"], cwd=tmp_path, check=True)
    rng = np.random.default_rng(1)
    given = rng.integers(0, 1 << 32, (CYCLES, UNITS, 3), np.uint32)
    given[..., 2] &= (1 << (WIDTH - 64)) - 1
    run = subprocess.run([tmp_path / "main"], input=given.tobytes(), capture_output=True, check=True)
    initial = np.array([1, 0, 0], np.uint32)
    expected = np.bitwise_xor.accumulate(given, axis=0) ^ initial
    shown = np.frombuffer(run.stdout, np.uint32).reshape(given.shape)
    assert shown.size == CYCLES * UNITS * 3
    assert (shown == expected).all()


@pytest.mark.parametrize(
    ("cells", "outputs", "message"),
    [
        ([cell("$_NOT_", A=2, Y=100)], [100], "Outputs of unit must come from registers"),
        (
            [cell("$_AND_", A=100, B=2, Y=101), cell("$_NOT_", A=101, Y=100)],
            [100],
            "Gates of unit must not form a loop",
        ),
    ],
)
def test_what_is_refused(cells, outputs, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        stub_and_gates("unit", netlist(cells, outputs))
