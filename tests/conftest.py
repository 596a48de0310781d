"""Every random draw of a test is seeded: hypothesis draws the same examples every time."""

from hypothesis import settings

from sqhw.console import SEED

settings.register_profile("seeded", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("seeded")


def pytest_report_header():
    return f"seed {SEED}; that of hypothesis is each test's own text"
