"""The numbers that docs/format.md prints are those of the format."""

from pathlib import Path

from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def test_reserved_bytes_and_sizes_are_as_printed():
    reserved = [code for code in range(256) if code not in LEGAL_SCALES]
    assert reserved == [*range(1, 8), 9, 10, 11, 13, 14, 15, 17, 19, 21, 23]
    assert "(1 to 7; 9, 10, 11, 13, 14, 15; 17, 19, 21, 23)" in " ".join(PAGE.read_text().split())
    int8, fp16 = ((16, 2), (32, 2), (16, 4)), ((16, 1), (32, 2), (64, 4))
    for bank, outliers, high in [*((*f, "int8") for f in int8), *((*f, "fp16") for f in fp16)]:
        sizes = [SQFormat(bank, outliers, high, mask).bits_per_element for mask in ("bitmap", "sentinel")]
        plural = "" if outliers == 1 else "s"
        row = f"| bank {bank}, {outliers} {high.upper()} outlier{plural} | {sizes[0]:g} | {sizes[1]:g} |"
        assert row in PAGE.read_text()
    for dense, text in (
        (DenseFormat(4, 64), "INT4, group 64"),
        (DenseFormat(4, 64, 1, 16), "INT4, group 64, bank 16, 1 outlier"),
        (DenseFormat(4, 32, 2, 32), "INT4, group 32, bank 32, 2 outliers"),
    ):
        assert f"| {text} | {dense.bits_per_element:g} |" in PAGE.read_text()
