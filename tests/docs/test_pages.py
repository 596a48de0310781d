"""README and docs: commands exist and parse, code runs or says what it needs, links lead somewhere."""

import doctest
import json
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

from sqhw.cli import cli

ROOT = Path(__file__).parents[2]
GENERATED = {ROOT / "docs" / "registers.md"}
PAGES = sorted(
    {ROOT / "README.md", ROOT / "verilog" / "README.md", *(ROOT / "docs").rglob("*.md")}
    - set((ROOT / "docs" / "api").rglob("*"))
)
WRITTEN = [page for page in PAGES if page.parent.name != "results" and page not in GENERATED]
NEEDS = re.compile(r"<!-- needs (.+?) -->\n```python\n(.*?)```", re.S)

by_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(page: Path) -> str:
    """Returns a page without the regions that scripts fill."""
    return re.sub(r"<!-- \S+: made by .*?<!-- end of \S+ -->", "", page.read_text(), flags=re.S)


def lines_of_code(page: Path) -> list[str]:
    """Returns the lines of indented blocks and of fenced ones for a shell; continued lines joined."""
    lines, fence = [], None
    for line in text_of(page).replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence == "console":
            lines += [line[2:]] if line.startswith("$ ") else []
        elif fence in ("sh", "bash") or (fence is None and line.startswith("    ")):
            lines.append(line.strip())
    return lines


def commands(page: Path, *programs: str) -> list[list[str]]:
    """Returns the commands that begin with one of `programs`, in blocks and in running text."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text_of(page), flags=re.S))
    found = []
    for line in [*lines_of_code(page), *spans]:
        if re.match(rf"(\S*/)?({'|'.join(programs)})( |$)", line):
            found.append(shlex.split(line, comments=True)[1:])
    return found


@pytest.fixture
def any_path(monkeypatch):
    """Files that a command line names need not be there."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)


def parse(arguments: list[str]) -> None:
    """Raises click's error unless a command line of ``sqhw`` is acceptable."""
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    command, context = cli, None
    while True:
        context = command.make_context(command.name, list(arguments), parent=context)
        if not isinstance(command, click.Group):
            return
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command, name


@by_page
def test_make_targets_exist(page):
    targets = {
        name
        for names in re.findall(r"^([a-z0-9 -]+):", (ROOT / "Makefile").read_text(), re.M)
        for name in names.split()
    }
    named = {
        word
        for arguments in commands(page, "make")
        if "-C" not in arguments
        for word in arguments
        if "=" not in word and word != "TARGET"
    }
    assert named - targets == set()


@by_page
def test_commands_parse(page, any_path):
    for arguments in commands(page, "sqhw"):
        if arguments[:1] == ["COMMAND"]:
            continue
        # Help and version end the parsing, a group alone prints its help.
        bare = all(
            re.fullmatch("[a-z]+", argument) for argument in arguments
        )  # a command's name in a sentence
        missing = (click.MissingParameter,) if bare else ()
        with suppress(click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, *missing):
            parse(arguments)


def test_pages_have_commands():
    assert len(PAGES) > 20
    assert sum(len(commands(page, "sqhw")) for page in PAGES) > 20
    assert sum(len(commands(page, "make")) for page in PAGES) > 40


def test_commands_of_the_first_page_run(tmp_path):
    lines = [line for line in lines_of_code(ROOT / "docs" / "start.md") if line.startswith("sqhw")]
    assert len(lines) >= 4
    for line in lines:
        command = [sys.executable, "-m", *shlex.split(line, comments=True)]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, f"{line}: {run.stderr}"
    assert {path.name for path in (tmp_path / "build" / "start").iterdir()} >= {"sq_pe_tiny.v", "my_pe.json"}


@by_page
def test_no_former_commands(page):
    assert re.findall(r"python3? -m (?:sqhw|sim|sw_reference)\b\S*", text_of(page)) == []


@by_page
def test_sessions_run(page):
    """Examples with prompts do what the page prints."""
    examples = doctest.DocTestParser().get_examples(page.read_text())
    failed, attempted = doctest.testfile(str(page), module_relative=False)
    assert (failed, attempted) == (0, len(examples))


@by_page
def test_python_runs(page, capsys):
    """Blocks of Python run, one after the other, unless the page says what they need."""
    text = page.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    needing = [code for _, code in NEEDS.findall(text)]
    names = {}
    for code in blocks:
        if code not in needing:
            exec(compile(code, page.name, "exec"), names)
    shown = [line.strip() for line in text.splitlines()]
    assert [line for line in capsys.readouterr().out.splitlines() if line.strip() not in shown] == []


@by_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@by_page
def test_named_files_exist(page):
    names = re.findall(r"`((?:sqhw|sim|sw_reference|tests|docs)/[\w./-]+)`", page.read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_named_blocks_exist():
    """The first cells of tables of blocks name classes of the hardware."""
    source = "\n".join(path.read_text() for path in (ROOT / "sqhw").rglob("*.py"))
    classes = set(re.findall(r"^class (\w+)", source, re.M))
    named = set()
    for page in WRITTEN:
        for table in re.findall(r"^\| block[^\n]*\n((?:\|.*\n)+)", page.read_text(), re.M):
            cells = [line.split("|")[1] for line in table.splitlines()[1:]]
            named |= set(re.findall(r"`(\w+)`", " ".join(cells)))
    assert len(named) > 30
    assert named - classes == set()


@by_page
def test_lines_are_short(page):
    limit = 110 if page.parent == ROOT else 100
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
    assert [line for line in text.splitlines() if len(line) > limit and not line.startswith("|")] == []


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 100
    assert [line for line in lines if len(line) > 110] == []


def test_numbers_of_the_readme_are_those_of_the_reports():
    text = " ".join((ROOT / "README.md").read_text().split())
    results = ROOT / "docs" / "results"
    rows = {row["name"]: row for row in json.loads((results / "summary.json").read_text())["rows"]}
    lean, fine, int8, nvfp4 = (rows[name] for name in ("lean_offset", "fine_offset", "w4a8_offset", "nvfp4"))
    assert f"`fine`, activations take {fine['bits_activation']:.1f} bits and a model loses as little" in text
    assert abs(fine["kl_x100"] - int8["kl_x100"]) < 2 * max(fine["kl_error"], int8["kl_error"])
    assert f"they take {lean['bits_activation']} bits, and it loses less than a third of what NVFP4" in text
    assert lean["kl_x100"] < nvfp4["kl_x100"] / 3
    assert "in an array smaller than either" in text
    assert max(row[ratio] for row in (lean, fine) for ratio in ("ratio_w4a8", "ratio_nvfp4")) < 1
    assert "Activations lose no more than in INT8 (`fine`), or under a third" in text
    assert fine["kl_x100"] <= int8["kl_x100"]
    for own in (lean, fine):
        others = [row for row in rows.values() if f"| {row['title']} |" in text and row is not own]
        smaller = [row for row in others if row["um2_per_mac"] <= own["um2_per_mac"]]
        assert smaller
        assert all(row["perplexity_percent"] > own["perplexity_percent"] for row in smaller)
    alone = rows["lean"]
    assert f"`lean` takes {alone['um2_per_mac']:.0f} um2, {alone['ratio_w4a8']:.2f} of INT8" in text
    assert "a second time raise perplexity by half, as `default` shows" in text
    assert 45 < rows["default"]["perplexity_percent"] < 55
    assert f"`lean` takes {lean['fj_per_mac'] / nvfp4['fj_per_mac']:.2f} of NVFP4's" in text
    fpga = {unit["name"]: unit for unit in json.loads((results / "fpga.json").read_text())["units"]}
    luts = [fpga[f"{name}_32_pe"]["ecp5"]["LUT"] for name in ("lean", "fine", "w4a8_linear")]
    assert "as many [LUTs](docs/results/fpga.md) of an ECP5 as INT8 activations; `fine` more" in text
    assert 0.97 < luts[0] / luts[2] < 1 < luts[1] / luts[2]
    score = json.loads((results / "mutation.json").read_text())["score"]
    assert f"{100 * score:.1f} % of the planted faults that are not proven equivalent" in text


def test_numbers_of_decisions_are_those_of_the_reports():
    """Gates of the points that 008 weighs, and what 022 says that SQ x SQ buys."""
    results, decisions = (ROOT / "docs" / folder for folder in ("results", "decisions"))
    text = (decisions / "008-default-format.md").read_text()
    formats = re.findall(r"^\| (\d+)/(\d) (\w+)[^|]*, (\d+) : (\d) \| [\d.]+ \| (\d+) \|", text, re.M)
    assert len(formats) == 7
    points = json.loads((results / "explore.json").read_text())["points"]
    names = ("bank", "outliers", "high", "lanes", "outlier_lanes", "size", "policy", "mask", "weights")
    found = {tuple(point[name] for name in names): point["gates_per_useful_mac"] for point in points}
    for bank, outliers, high, lanes, outlier_lanes, gates in formats:
        key = (int(bank), int(outliers), high.lower(), int(lanes), int(outlier_lanes))
        assert round(found[(*key, 8, "largest", "bitmap", "int4 g64 e3m3")]) == int(gates)
    text = " ".join((decisions / "022-outliers-of-both-operands.md").read_text().split())
    pairs = {}
    for report, own in (("energy", "both_32"), ("area", "both_32_8x8")):
        rows = json.loads((results / f"{report}.json").read_text())["ratios"]
        pairs[report] = max(
            row.get("with_clock") or row["gates"]
            for row in rows
            if row["unit"] == own and row["to"].startswith("w8a8")
        )
    assert f"takes {pairs['energy']:.2f} of the energy of INT8 x INT8" in text
    assert f"{pairs['area']:.2f} of its gates" in text
