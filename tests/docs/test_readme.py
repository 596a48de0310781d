"""The pages' tables are those of the committed reports, and its commands exist."""

import re
from pathlib import Path

import pytest

from sim import pages as sim_pages
from sqhw.measure import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("maker", "page"), [(maker, page) for maker in (pages, sim_pages) for page in maker.PAGES]
)
def test_tables_are_up_to_date(maker, page):
    text = page.read_text()
    assert maker.filled(page) == text, "renew them with: sqhw verify pages, python -m sqhw.measure.pages"
    assert "@@" not in text


def test_targets_exist():
    targets = set(" ".join(re.findall(r"^([a-z0-9 -]+):", (ROOT / "Makefile").read_text(), re.M)).split())
    named = set(re.findall(r"`make ([a-z0-9-]+)", pages.README.read_text()))
    named |= set(re.findall(r"^    make ([a-z0-9-]+)", pages.README.read_text(), re.M))
    assert len(named) >= 8
    assert named <= targets


def test_linked_files_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", pages.README.read_text()) if "://" not in link]
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", pages.README.read_text(), re.S)
    names = {}
    exec(code, names)
    assert names["product"].y.shape == (8, 8)
