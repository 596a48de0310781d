"""The sign-off page: figures come from the reports, and what did not run or failed is not passed."""

import json
from pathlib import Path

from sim.signoff import PARTS, Part, page, sign_off


def part(folder: Path, content=None) -> Part:
    path = folder / "report.json"
    if content is not None:
        path.write_text(json.dumps(content))
    return Part("Some", ("sim.some",), path, "{compared:,} compared, {wrong} wrong")


def test_figures_come_from_the_report(tmp_path):
    content = {"compared": 1234, "wrong": 0, "seed": 5, "tools": {"yosys": "1.0"}}
    document = sign_off((part(tmp_path, content),), {"Some": 0})
    assert document["passed"]
    text = page(document)
    assert "| Some | yes | 1,234 compared, 0 wrong | 5 | " in text
    assert f"| {document['date']} | `python -m sim.some` |" in text
    assert text.endswith("Tools: yosys 1.0.\n")


def test_what_failed_or_did_not_run_is_not_passed(tmp_path):
    assert not sign_off((part(tmp_path, {"compared": 1, "wrong": 0}),), {})["passed"]
    (tmp_path / "report.json").unlink()
    assert not sign_off((part(tmp_path),), {"Some": 0})["passed"]
    failed = sign_off((part(tmp_path, {"compared": 1, "wrong": 1}),), {"Some": 1})
    assert not failed["passed"]
    assert "| Some | **no** | 1 compared, 1 wrong |" in page(failed)


def test_a_part_that_is_not_run_again_keeps_its_row(tmp_path):
    some = part(tmp_path, {"compared": 1, "wrong": 0, "tools": {"yosys": "1.0"}})
    before = sign_off((some,), {"Some": 0}) | {"date": "2026-01-01"}
    some.report.write_text(json.dumps({"compared": 2, "wrong": 0}))
    other = Part("Other", ("sim.other",), tmp_path / "other.json", "{checked} checked")
    other.report.write_text(json.dumps({"checked": 3}))
    document = sign_off((some, other), {"Other": 0}, before)
    assert document["passed"]
    assert [row["figures"] for row in document["parts"]] == ["1 compared, 0 wrong", "3 checked"]
    assert document["tools"] == {"yosys": "1.0"}
    failed = sign_off((some, other), {"Some": 1}, document)
    assert [row["passed"] for row in failed["parts"]] == [False, True]


def test_every_part_is_a_target_of_its_own():
    targets = (Path(__file__).parents[2] / "Makefile").read_text()
    assert all(f"-m {' '.join(part.command)}" in targets for part in PARTS)
