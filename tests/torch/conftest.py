"""Tests of ``sqhw.torch``: ``pytest -m torch`` runs them; without the extra `torch` there are none."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = ["test_*.py"] if find_spec("torch") is None else []


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other's cores would take most of the time."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
