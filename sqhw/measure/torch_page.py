"""docs/results/torch.md: layers and a model in PyTorch, beside nn.Linear and beside the accuracy study."""

from __future__ import annotations

from .tables import Record, Rows, markdown, rows

__all__ = ["agreement_rows", "page", "speed_rows"]

_SPEED = """# Layers in PyTorch

`sqhw.torch` computes linear layers as the hardware does ([researchers.md](../researchers.md#in-pytorch)).

## Speed

Processor time of one thread, medians of {repetitions} rounds; activations {activations}, weights
{weights}. `fast` may take {limits[fast]} times `nn.Linear`, `exact` {limits[exact]} times. Of `fast`
the codes of the activations were compared with the golden model's, of `exact` the float32 results, bit by
bit. Command: `{command}`, PyTorch {versions[torch]}.

"""

_AGREEMENT = """

## Agreement with the accuracy study

The first {tokens:,} tokens of {text}, through {model}: weights in the checkpoint's codes,
activations {activations}, their scales by the rule of the encoder in hardware. Once the model runs in
the accuracy study's own forward pass, once converted in Transformers. Products of layers are exact in
both; what lies between them are float32 sums in another order, which turn some codes. The study with
its sums reversed shows how much that is. Differences are means over the tokens, with their standard
errors; all lie within three of these. Command: `{command}`.

"""


def page(report: Record) -> str:
    """The page."""
    text = _SPEED.format(**report["speed"]) + "\n".join(markdown(*speed_rows(report["speed"])))
    if "agreement" in report:
        own = report["agreement"]
        text += _AGREEMENT.format(**own) + "\n".join(markdown(*agreement_rows(own)))
    return text


def speed_rows(report: Record) -> Rows:
    """Milliseconds of each mode and of ``nn.Linear``."""
    return rows(
        report["rows"],
        {
            "mode": "{mode}",
            "tokens x in x out": "{tokens} x {inputs} x {outputs}",
            "compared": "{compared:,}",
            "mismatches": "{mismatches:,}",
            "ms": lambda r: f"{1e3 * r['seconds']:.2f}",
            "nn.Linear, ms": lambda r: f"{1e3 * r['linear_seconds']:.2f}",
            "ratio": "{ratio:.1f}",
        },
    )


def agreement_rows(report: Record) -> Rows:
    """Perplexity and divergence of each run, and its difference to the study's."""
    return rows(
        report["rows"],
        {
            "run": "{run}",
            "perplexity": "{perplexity:.2f}",
            "against the study": "{perplexity_change_percent:+.2f} ± {perplexity_change_error:.2f} %",
            "KL x 100": "{kl_x100:.3f}",
            "against the study's": "{kl_change_x100:+.3f} ± {kl_change_error:.3f}",
        },
    )
