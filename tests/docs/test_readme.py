"""The tables of README and docs are those of the committed reports."""

import pytest

from sim import pages as sim_pages
from sqhw.measure import pages


@pytest.mark.parametrize(
    ("maker", "page"), [(maker, page) for maker in (pages, sim_pages) for page in maker.PAGES]
)
def test_tables_are_up_to_date(maker, page):
    text = page.read_text()
    assert maker.filled(page) == text, "renew them with: sqhw verify pages, sqhw measure pages"
    assert "@@" not in text
