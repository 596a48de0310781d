"""The numbers that docs/format.md prints are those of the format."""

from pathlib import Path

from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat, accumulator_bits

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
        (DenseFormat(4, 32, scale="linear8"), "INT4, group 32"),
        (DenseFormat(4, 32, scale="linear8", offset=True), "INT4, group 32, offset"),
        (DenseFormat(4, 32, 4, 32, "linear8", mask="index"), "INT4, group 32, bank 32, 4 outliers, index"),
        (DenseFormat(4, 64, 1, 16), "INT4, group 64, bank 16, 1 outlier"),
        (DenseFormat(4, 32, 2, 32), "INT4, group 32, bank 32, 2 outliers"),
    ):
        assert f"| {text} | {dense.bits_per_element:g} |" in PAGE.read_text()


def test_sizes_with_narrow_scales_are_as_printed():
    for bank, outliers, segment in ((32, 2, None), (32, 3, None), (32, 4, None), (32, 2, 16), (16, 2, None)):
        masks = ("index", "bitmap", "sentinel")
        sizes = [SQFormat(bank, outliers, "int8", m, "e3m2s", segment).bits_per_element for m in masks]
        where = f" in each {segment}" if segment else ""
        text = " | ".join(f"{size:.7g}" for size in sizes)
        assert f"| bank {bank}, {outliers} INT8 outliers{where} | {text} |" in PAGE.read_text()


def test_accumulators_are_as_printed():
    lean, fine = (SQFormat(32, n, "int8", "index", "e3m2s") for n in (2, 4))
    linear, offset = (DenseFormat(4, 64, scale="linear8", offset=given) for given in (False, True))
    first = DenseFormat(4, 64)
    for text, sq, dense in (
        ("bank 32, 2 INT8 outliers, e3m2s, index x INT4, group 64, linear8", lean, linear),
        ("bank 32, 4 INT8 outliers, e3m2s, index x INT4, group 64, linear8", fine, linear),
        ("bank 32, 4 INT8 outliers, e3m2s, index x INT4, group 64, linear8, offset", fine, offset),
        ("bank 16, 2 INT8 outliers, e5m3, bitmap x INT4, group 64, e3m3", SQFormat(16, 2, "int8"), first),
        ("bank 16, 1 FP16 outlier, e5m3, bitmap x INT4, group 64, e3m3", SQFormat(), first),
    ):
        assert f"| {text} | {accumulator_bits(sq, dense, 4096)} |" in PAGE.read_text()
