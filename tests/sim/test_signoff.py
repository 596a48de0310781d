"""The sign-off page: figures come from the reports, and what did not run or failed is not passed."""

from sim.report import Check, Report
from sim.signoff import CHECKS, carry_out, page, sign_off
from sqhw.cli import main


def check(run=None, **changes) -> Check:
    settings = {"seeded": False, "tools": ()} | changes
    return Check("some", "Some", run, "{compared:,} compared, {wrong} wrong", **settings)


def document(compared, wrong, **more):
    base = {"command": "sqhw verify some", "passed": not wrong, "tools": {"yosys": "1.0"}, "seed": 5}
    return base | {"compared": compared, "wrong": wrong} | more


def test_figures_come_from_the_report():
    signed = sign_off([check()], {"some": document(1234, 0)})
    assert signed["passed"]
    text = page(signed)
    assert "| Some | yes | 1,234 compared, 0 wrong | 5 | " in text
    assert f"| {signed['date']} | `sqhw verify some` |" in text
    assert text.endswith("Tools: yosys 1.0.\n")


def test_what_failed_or_did_not_run_is_not_passed():
    assert not sign_off([check()], {})["passed"]
    assert not sign_off([check()], {"some": None})["passed"]
    failed = sign_off([check()], {"some": document(1, 1)})
    assert not failed["passed"]
    assert "| Some | **no** | 1 compared, 1 wrong |" in page(failed)


def test_a_part_that_is_not_run_again_keeps_its_row():
    some, other = check(), Check("other", "Other", lambda: None, "{checked} checked", (), seeded=False)
    before = sign_off([some], {"some": document(1, 0)}) | {"date": "2026-01-01"}
    report = {"command": "sqhw verify other", "passed": True, "tools": {}, "checked": 3}
    signed = sign_off([some, other], {"other": report}, before)
    assert signed["passed"]
    assert [row["figures"] for row in signed["parts"]] == ["1 compared, 0 wrong", "3 checked"]
    assert signed["tools"] == {"yosys": "1.0"}
    failed = sign_off([some, other], {"some": None}, signed)
    assert [row["passed"] for row in failed["parts"]] == [False, True]


def test_a_part_that_breaks_off_does_not_end_the_others(tmp_path, capsys):
    def broken(folder, begin):
        raise AssertionError("not as it should be")

    assert carry_out(check(broken, output=tmp_path / "some.json")) is None
    assert "AssertionError: not as it should be" in capsys.readouterr().out


def test_a_quick_run_says_so(tmp_path):
    def run(folder, begin, *, count):
        return Report({"compared": count, "wrong": 0}, {})

    some = check(run, quick={"count": 3}, output=tmp_path / "some.json")
    report = carry_out(some, quick=True)
    assert (report["command"], report["compared"]) == ("sqhw verify some --quick", 3)


def test_every_part_is_a_command(capsys):
    for part in CHECKS:
        assert main([part.group, part.name, "-h"]) == 0
        assert f"Usage: sqhw {part.group} {part.name} " in capsys.readouterr().out
