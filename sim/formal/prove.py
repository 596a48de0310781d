"""Formal proofs with Yosys and an SMT solver: properties of a block that hold for all inputs.

A proof is a harness: an Amaranth component with a block inside, whose inputs are free and which asserts what
the block's contract says. Reset is free too, so that whatever is proven holds through a reset at any moment.
``yosys-smtbmc`` searches all runs of up to ``depth`` cycles from power-up for a violation, and, where
the proof is by induction, all runs of ``depth`` cycles from any state in which the properties hold: then
they hold for ever. Covers show that a harness can reach what it talks about.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from sqhw.tools.tools import ToolError, package_version, yosys
from sw_reference.files import write_text

__all__ = ["Outcome", "Proof", "prove", "refute"]

# splitcells: the part of a word that no property looks at is left out.
_SCRIPT = """\
read_rtlil model.il
hierarchy -top top
{cut}
prep -flatten -top top
memory_map
async2sync
chformal -lower
chformal -assume -early
opt_clean
formalff -setundef -clk2ff -ff2anyinit -hierarchy
chformal -live -fair -remove
splitcells
opt_clean
setundef -anyseq
opt -keepdc -fast
check -assert
dffunmap
write_smt2 -wires model.smt2
"""

Build = Callable[[], Any]
"""Makes a harness, a new one on every call."""


@dataclass(frozen=True)
class Proof:
    """A harness and how far it is to be searched.

    Parameters
    ----------
    name
        As in ``block.property[configuration]``.
    claim
        What is proven, one sentence.
    build
        Makes the harness.
    depth
        Cycles of the search from power-up, and of the induction.
    induction
        Whether the claim holds without a limit of cycles.
    bugs
        Harnesses around a broken block, by name of the bug: each must be refuted.
    reach
        Cycles within which bugs show and covers are reached.
    cut
        Submodules whose outputs are free (``block/submodule``): what is proven holds whatever they do.
    """

    name: str
    claim: str
    build: Build
    depth: int
    induction: bool = True
    bugs: Mapping[str, Build] = field(default_factory=dict)
    reach: int = 20
    cut: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """How the claim was established, in words."""
        return f"induction, depth {self.depth}" if self.induction else f"bounded, {self.depth} cycles"


@dataclass(frozen=True)
class Outcome:
    """What came of a search.

    Attributes
    ----------
    proven : bool
        No violation, and every cover was reached.
    violated : tuple of str
        Messages of the assertions that failed.
    covers : int
        Covers reached: all the harness has, or the claim is not proven.
    seconds : float
    folder : Path
        Model, logs and, after a violation, ``trace.vcd``.
    """

    proven: bool
    violated: tuple[str, ...]
    covers: int
    seconds: float
    folder: Path


def prove(proof: Proof, *, folder: Path) -> Outcome:
    """Searches for a violation of `proof`, and shows that its covers can be reached.

    Raises
    ------
    ToolError
        If Yosys or the solver is missing or fails, or a harness's assumptions contradict each other.
    """
    start = time.monotonic()
    place = folder / proof.name
    names = _model(proof, proof.build(), place)
    violated = _search(place, names, "base", "-t", str(proof.depth + 1))
    if proof.induction and not violated:
        violated = _search(place, names, "induction", "-i", "-t", str(proof.depth))
    covers = sum(kind == "cover" for kind, _ in names.values())
    if covers and not violated:
        violated = _search(place, names, "cover", "-c", "-t", str(proof.reach))
    return Outcome(not violated, violated, covers, time.monotonic() - start, place)


def refute(proof: Proof, bug: str, *, folder: Path) -> Outcome:
    """Searches `proof`'s harness around a block with a planted bug, from power-up."""
    start = time.monotonic()
    place = folder / f"{proof.name} with {bug}"
    names = _model(proof, proof.bugs[bug](), place)
    violated = _search(place, names, "base", "-t", str(proof.reach))
    return Outcome(not violated, violated, 0, time.monotonic() - start, place)


def _model(proof: Proof, harness: Any, place: Path) -> dict[str, tuple[str, str]]:
    """Writes the harness as SMT-LIB; returns kind and message of each property by the name of its cell."""
    text = rtlil.convert(harness, name="top", emit_src=False)
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "model.il", text)
    cut = "\n".join(f"cutpoint top.{cell}" for cell in proof.cut)
    write_text(place / "model.ys", _SCRIPT.format(cut=cut))
    _run([yosys().path, "-q", "-l", "yosys.log", "model.ys"], place, "yosys.log")
    cells = re.findall(r'cell \$check (\S+)\n\s+parameter \\FORMAT "(.*)"\n(?:.*\n)*?.*FLAVOR "(\w+)"', text)
    properties = {name: (flavor, message) for name, message, flavor in cells}
    for kind in ("assert", "cover"):
        if not any(kind == found for found, _ in properties.values()):
            name = type(harness).__name__
            raise ValueError(f"A harness must hold an assertion and a cover, but {name} has no {kind}s")
    return properties


def _search(place: Path, names: Mapping[str, tuple[str, str]], step: str, *arguments: str) -> tuple[str, ...]:
    """Runs yosys-smtbmc; returns the messages of violated assertions or of covers not reached."""
    log = f"{step}.log"
    command = [f"{yosys().path}-smtbmc", "-s", "bitwuzla", "--noprogress", "--dump-vcd", "trace.vcd"]
    _run([*command, *arguments, "model.smt2"], place, log, ok=(0, 1))
    text = (place / log).read_text()
    found = re.search(r"Status: (\w+)", text)
    if found is None or found[1] not in ("PASSED", "FAILED"):
        raise ToolError(f"yosys-smtbmc ended without an answer (log: {place / log})")
    if found[1] == "PASSED":
        return ()
    failed = re.findall(r"(?:Assert failed in|Unreached cover statement at) top: (\S+)", text)
    return tuple(names[name][1] if name in names else name for name in failed) or (step,)


def _run(command: list[str], place: Path, log: str, *, ok: tuple[int, ...] = (0,)) -> None:
    """Runs a program inside `place`; Yosys, compiled to WebAssembly, does not see every absolute path."""
    (place / log).unlink(missing_ok=True)
    result = subprocess.run(
        command,
        cwd=place,
        env=_environment(place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not (place / log).exists():
        write_text(place / log, result.stdout)
    if result.returncode not in ok:
        raise ToolError(f"{Path(command[0]).name} failed (log: {place / log})")


def _environment(place: Path) -> dict[str, str]:
    """An environment in which ``bitwuzla`` is a command: the package has none."""
    package_version("bitwuzla")
    shim = place / "bitwuzla"
    root = Path(__file__).parents[2]
    run = f"{shlex.quote(sys.executable)} -c 'from sim.formal.smt_solver import main; main()'"
    write_text(shim, f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(root))} exec {run}\n")
    shim.chmod(0o755)
    return os.environ | {"PATH": f"{place.resolve()}{os.pathsep}{os.environ.get('PATH', '')}"}
