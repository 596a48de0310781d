"""Pages on a language model whose linear layers the emitted Verilog computes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sw_reference.files import write_text

from .tables import Columns, Record, Rows, markdown, rows

__all__ = ["answer_page", "draw", "lines", "losses_page", "summary", "variants"]

_COLUMNS = 100
"""Of the transcript's terminal."""


def lines(steps: Sequence[Record], mhz: float | None) -> list[str]:
    """A line per token of an answer: what the terminal shows while it is made.

    Seconds are those of the run; with a clock, the rate is that of the engine alone.
    """
    found = []
    totals = accumulate(step["compared"] for step in steps)
    for number, (step, compared) in enumerate(zip(steps, totals, strict=True), 1):
        cycles, seconds = (step[name] / step["read"] for name in ("cycles", "seconds"))
        figures = f"{cycles:9,.0f} cycles {seconds:5.1f} s a token"
        rate = f" {mhz * 1e6 / cycles:6,.0f}/s at {mhz:g} MHz" if mhz else ""
        found.append(f"{number:3} {step['text']!r:14} {figures}{rate} {compared:12,} sums, 0 differ")
    return found


def summary(report: Record) -> list[str]:
    """Lines behind the text of an answer."""
    engine = "the engine at the port" if "at_line" in report else "the emitted Verilog"
    found = [
        f"{report['compared']:,} sums of {engine} compared with the golden model's, 0 differ",
        f"prompt: {report['cycles_prefill_per_token']:,.0f} cycles per token, "
        f"{report['utilization_prefill']:.1%} of the peak",
    ]
    if report["cycles_decode_per_token"] is None:
        return found
    found.append(
        f"decoding: {report['cycles_decode_per_token']:,.0f} cycles, "
        f"{report['bytes_per_token'] / 1e6:.1f} MB per token, "
        f"{report['stream_share_decode']:.1%} of the weights' stream"
    )
    if "at_line" in report:
        line = report["at_line"]
        return [
            *found,
            f"at {line['baudrate']:,} baud, {line['bytes_per_second']:,.0f} bytes per second: "
            f"{line['seconds_per_token']:,.0f} seconds per token",
        ]
    at = report["at_clock"]
    return [
        *found,
        f"at {at['mhz']:g} MHz and {at['gigabytes_per_second']:g} GB/s of weights: "
        f"{at['tokens_per_second']:.0f} tokens per second, the host's work not counted",
    ]


def draw(report: Record, path: Path) -> Path:
    """Draws the terminal of a run; returns `path`."""
    console = Console(record=True, width=_COLUMNS, file=StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text(f"$ {report['command']}", "bold"))
    for line in lines(report["steps"], report["at_clock"]["mhz"]):
        console.print(Text(line, "dim"))
    console.print(Text(f"\n{report['text']}\n"))
    for line in summary(report):
        console.print(Text(line))
    picture = console.export_svg(title="sqhw generate", unique_id="generate")
    # Fonts from the network: pages show pictures without them.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    write_text(path, re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", picture))
    return path


def variants(report: Record) -> Rows:
    """A row for each option of the command."""
    return rows(report["variants"], _VARIANTS)


def _texts(record: Record) -> str:
    texts: Counter[str] = Counter(record["texts"])
    return "; ".join(text if times == 1 else f"{times} times {text}" for text, times in texts.items())


_VARIANTS: Columns = {
    "command": "`{command}`",
    "answers": _texts,
    "sums compared": "{compared:,}",
    "differ": "{mismatches:,}",
    "cycles per token of the prompts": "{cycles_prefill_per_token:,.0f}",
    "cycles per decoded token": "{cycles_decode_per_token:,.0f}",
    "of the weights' stream": "{stream_share_decode:.1%}",
    "processor seconds per decoded token": "{processor_seconds_per_token:.1f}",
}


def _tools(report: Record) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return f"Made by `{report['command']}` with {tools}."


def answer_page(report: Record) -> str:
    """The page of a whole answer."""
    at = report["at_clock"]
    figures = [
        ["sums compared with the golden model's", f"{report['compared']:,}"],
        ["sums that differ", f"{report['mismatches']:,}"],
        ["multiply-accumulates", f"{report['products']:,}"],
        ["tokens of the prompt, of the answer", f"{report['prompt_tokens']}, {report['tokens']}"],
        ["cycles per token of the prompt", f"{report['cycles_prefill_per_token']:,.0f}"],
        ["of the array's peak", f"{100 * report['utilization_prefill']:.1f} %"],
        ["cycles per decoded token", f"{report['cycles_decode_per_token']:,.0f}"],
        ["of the weights' stream", f"{100 * report['stream_share_decode']:.1f} %"],
        ["bytes moved per decoded token", f"{report['bytes_per_token']:,.0f}"],
        ["processor seconds per token of the prompt", f"{report['processor_seconds_per_prompt_token']:.1f}"],
        ["processor seconds per decoded token", f"{report['processor_seconds_per_token']:.1f}"],
        ["seconds per decoded token, by the clock on the wall", f"{report['seconds_per_token']:.1f}"],
    ]
    answer = "\n".join(f"> {line}".rstrip() for line in report["text"].splitlines())
    table = "\n".join(markdown(["of the run", "figure"], figures))
    engine = report["configuration"]
    array = engine["array"]
    return f"""# A language model through the emitted Verilog

**{report["prompt"]}**

{answer}

Every linear layer behind this answer of SmolLM2-135M-Instruct was computed by the Verilog of the
engine `{report["engine"]}`: {array["rows"]} rows and {array["columns"]} columns of units of the
preset `{report["preset"]}`, streams of {engine["axi_bits"]} bits. Every sum was compared with the
golden model's. [generate.md](../generate.md) says what the host does.

{table}

A token is decoded alone, so its weights come in through the stream once per token: the engine is
bound by that stream. At {at["mhz"]:g} MHz, with {at["gigabytes_per_second"]:g} GB/s of weights, the
engine would decode {at["tokens_per_second"]:.0f} tokens and read
{at["prompt_tokens_per_second"]:.0f} tokens of a prompt per second, the host's work not counted.
The clock is an assumption: no memory and no board was part of the run. Processor seconds are those
of simulation, golden model and host together; they do not count what else the machine does.

{_tools(report)}

## Each option once

`sqhw measure generate` runs the answer above and each of these commands, and compares each text with
that of the golden model: {_same(report["variants"])}. A cycle per token is one of the tokens of all
texts that are answered at once, so four texts divide the cycles of a stream of weights by four.

{chr(10).join(markdown(*variants(report)))}

{_with_head(report["variants"], at)}"""


def _same(records: Sequence[Record]) -> str:
    same, all_of = sum(record["same_as_golden"] for record in records), len(records)
    return f"{same} of {all_of} are the same"


def _with_head(records: Sequence[Record], at: Record) -> str:
    """What the output head costs: the answer above leaves it to the host."""
    (record,) = (record for record in records if record["variant"] == "head")
    rate = 1e6 * at["mhz"] / record["cycles_decode_per_token"]
    return f"""The rates above leave the output head to the host. With `--head engine` the whole model
passes the engine, and {at["mhz"]:g} MHz decode {rate:.0f} tokens per second, not
{at["tokens_per_second"]:.0f}."""


def losses_page(report: Record) -> str:
    """The page of a text read bit by bit."""
    counted = [
        ["exact sums", f"{report['sums_compared']:,}", f"{report['sums_different']:,}"],
        ["losses, all 64 bits", f"{report['losses_compared']:,}", f"{report['losses_different']:,}"],
    ]
    table = "\n".join(markdown(["", "compared", "different"], counted))
    return f"""# A text through the emitted Verilog

SmolLM2-135M-Instruct reads the beginning of a text: {report["text"]["source"]}. Its linear layers are
computed twice: by the Verilog of the engine `{report["engine"]}` and by the golden model.

{table}

The perplexity is {report["perplexity"]:.4f} by both. 32 tokens are read at once, in
{report["cycles_per_token"]:,.0f} cycles per token. The JSON beside this page holds every loss as a
hexadecimal float64.

{_tools(report)}"""
