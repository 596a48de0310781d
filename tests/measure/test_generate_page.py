"""The pages and the transcript of a model through the emitted Verilog, from a report of two tokens."""

from sqhw.measure.generate_page import answer_page, draw, lines, losses_page, summary, variants

VARIANT = {
    "variant": "head",
    "command": "sqhw generate Why --head engine --backend rtl",
    "texts": ["Because."],
    "same_as_golden": True,
    "compared": 23456,
    "mismatches": 0,
    "cycles_prefill_per_token": 70000.4,
    "cycles_decode_per_token": 1000000.0,
    "stream_share_decode": 0.98,
    "processor_seconds_per_token": 8.75,
}
STEP = {"products": 4, "weight_bytes": 256, "moved_bytes": 512}
REPORT = {
    "command": "sqhw generate Why --backend rtl",
    "prompt": "Why?",
    "text": "Because.\nIt is.",
    "preset": "lean",
    "engine": "decode",
    "configuration": {"array": {"rows": 4, "columns": 16}, "axi_bits": 1024},
    "tokens": 2,
    "prompt_tokens": 8,
    "products": 1234567,
    "compared": 12345,
    "mismatches": 0,
    "seconds_per_prompt_token": 1.25,
    "seconds_per_token": 7.5,
    "processor_seconds_per_prompt_token": 0.75,
    "processor_seconds_per_token": 6.25,
    "cycles_prefill_per_token": 60000.4,
    "cycles_decode_per_token": 470000.0,
    "utilization_prefill": 0.9,
    "stream_share_decode": 0.97,
    "bytes_per_token": 58000000.0,
    "at_clock": {
        "mhz": 100.0,
        "gigabytes_per_second": 12.8,
        "prompt_tokens_per_second": 1666.6,
        "tokens_per_second": 212.7,
    },
    "versions": {"sqhw": "0.1.0", "numpy": "2.4.6"},
    "steps": [
        {"text": "Because", "read": 8, "seconds": 10.0, "compared": 8000, "cycles": 480003, **STEP},
        {"text": ".\n", "read": 1, "seconds": 7.5, "compared": 1000, "cycles": 470000, **STEP},
    ],
    "variants": [VARIANT, VARIANT | {"variant": "batch", "texts": ["Yes.", "Yes.", "No."]}],
}


def test_a_line_per_token():
    first, second = lines(REPORT["steps"], 100.0)
    assert first == (
        "  1 'Because'         60,000 cycles   1.2 s a token  1,667/s at 100 MHz        8,000 sums, 0 differ"
    )
    assert second == (
        "  2 '.\\n'            470,000 cycles   7.5 s a token    213/s at 100 MHz        9,000 sums, 0 differ"
    )
    assert lines(REPORT["steps"], None)[1] == (
        "  2 '.\\n'            470,000 cycles   7.5 s a token        9,000 sums, 0 differ"
    )


def test_a_row_per_variant():
    header, (one, three) = variants(REPORT)
    assert header[:4] == ["command", "answers", "sums compared", "differ"]
    assert one == [
        "`sqhw generate Why --head engine --backend rtl`",
        "Because.",
        "23,456",
        "0",
        "70,000",
        "1,000,000",
        "98.0 %",
        "8.8",
    ]
    assert three[1] == "2 times Yes.; No."


def test_the_summary():
    assert summary(REPORT) == [
        "12,345 sums of the emitted Verilog compared with the golden model's, 0 differ",
        "prompt: 60,000 cycles per token, 90.0% of the peak",
        "decoding: 470,000 cycles, 58.0 MB per token, 97.0% of the weights' stream",
        "at 100 MHz and 12.8 GB/s of weights: 213 tokens per second, the host's work not counted",
    ]
    assert len(summary(REPORT | {"cycles_decode_per_token": None})) == 2
    line = {"baudrate": 1000000, "bytes_per_second": 1e5, "seconds_per_token": 580.0}
    first, *_, last = summary(REPORT | {"at_line": line})
    assert first == "12,345 sums of the engine at the port compared with the golden model's, 0 differ"
    assert last == "at 1,000,000 baud, 100,000 bytes per second: 580 seconds per token"


def test_the_page_of_an_answer():
    page = answer_page(REPORT)
    assert "**Why?**\n\n> Because.\n> It is.\n" in page
    for figure in (
        "12,345",
        "470,000",
        "60,000",
        "97.0 %",
        "213 tokens",
        "4 rows and 16 columns",
        "1024 bits",
    ):
        assert figure in page
    assert "Made by `sqhw generate Why --backend rtl` with sqhw 0.1.0, numpy 2.4.6.\n" in page
    assert "2 of 2 are the same" in page
    assert page.endswith("decode 100 tokens per second, not\n213.")


def test_the_page_of_losses():
    page = losses_page(
        {
            "command": "sqhw measure losses",
            "engine": "decode",
            "text": {"source": "a novel"},
            "versions": {"sqhw": "0.1.0"},
            "perplexity": 31.25,
            "losses_compared": 256,
            "losses_different": 0,
            "sums_compared": 40000000,
            "sums_different": 0,
            "cycles_per_token": 52000.0,
        }
    )
    assert "| exact sums | 40,000,000 | 0 |" in page
    assert "| losses, all 64 bits | 256 | 0 |" in page
    assert "The perplexity is 31.2500 by both." in page


def test_the_transcript_is_the_same_every_time(tmp_path):
    first, second = (draw(REPORT, tmp_path / name).read_text() for name in ("a.svg", "b.svg"))
    assert first == second
    assert first.startswith("<svg")
    assert "@font-face" not in first
    for text in ("Because.", "It&#160;is.", "9,000&#160;sums"):
        assert text in first
