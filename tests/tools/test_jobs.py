"""One pool for threads, processes and clusters: results in order, the first error ends it."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from sqhw.tools import jobs
from sqhw.tools.cache import Unfinished, frozen
from sqhw.tools.tools import ToolError


def square(x: int) -> int:
    return x * x


def fail() -> int:
    raise ValueError("first")


def note(folder: Path) -> int:
    (folder / str(os.getpid())).touch()
    time.sleep(60)
    return 0


def missing() -> int:
    raise Unfinished("not kept")


@pytest.mark.parametrize("python", [False, True])
def test_results_come_in_the_order_of_the_jobs(python):
    finished = []
    results = jobs.run(
        {x: partial(square, x) for x in range(9, 0, -1)}, workers=2, python=python, done=finished.append
    )
    assert list(results.items()) == [(x, x * x) for x in range(9, 0, -1)]
    assert sorted(finished) == sorted(results)


@pytest.mark.parametrize("python", [False, True])
def test_no_jobs(python):
    assert jobs.run({}, python=python) == {}


def test_first_error_ends_it():
    started = []

    def start(x: int) -> None:
        started.append(x)
        time.sleep(0.05)  # a busy machine may be late to stop the rest

    more = {x: partial(start, x) for x in range(100)}
    with pytest.raises(ValueError, match=r"^first$"):
        jobs.run({"fail": fail, **more}, workers=1)
    assert len(started) < 100


def test_error_ends_running_processes(tmp_path):
    start = time.monotonic()

    def done(_: str) -> None:
        while not list(tmp_path.iterdir()):
            assert time.monotonic() < start + 50
            time.sleep(0.1)
        raise ValueError("enough")

    with pytest.raises(ValueError, match=r"^enough$"):
        jobs.run(
            {"quick": partial(square, 1), "slow": partial(note, tmp_path)}, workers=2, python=True, done=done
        )
    (process,) = tmp_path.iterdir()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.name), signal.SIGCONT)


def kill() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_a_worker_that_is_killed():
    message = "^A worker process was killed, as it is when memory is short: try fewer --jobs$"
    with pytest.raises(ToolError, match=message):
        jobs.run({"kill": kill}, python=True)


PROGRAM = """
import sys, signal
from functools import partial
from pathlib import Path
from sqhw.tools import jobs
from tests.tools.test_jobs import note
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    jobs.run({i: partial(note, Path(sys.argv[1])) for i in range(9)}, workers=2, python=True)
"""


def test_a_signal_to_the_whole_group_ends_it_at_once(tmp_path):
    """As `timeout` and a closing terminal send it: the workers end before the pool knows."""
    root = Path(__file__).parents[2]
    (tmp_path / "program.py").write_text(PROGRAM)
    noted = tmp_path / "noted"
    noted.mkdir()
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", noted],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        start = time.monotonic()
        while len(list(noted.iterdir())) < 2:
            assert time.monotonic() < start + 50
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)
    for worker in noted.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker.name), signal.SIGCONT)


def test_frozen_leaves_out_what_is_not_kept():
    with frozen():
        assert jobs.run({1: partial(square, 3), 2: missing}) == {1: 9}


def test_cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, processes=True, dashboard_address=None) as cluster:
        own = {x: partial(square, x) for x in (3, 2)}
        results = jobs.run({**own, "process": os.getpid}, scheduler=cluster.scheduler_address)
        with pytest.raises(ValueError, match=r"^first$"):
            jobs.run({1: fail}, scheduler=cluster.scheduler_address)
    assert results.pop("process") != os.getpid()
    assert list(results.items()) == [(3, 9), (2, 4)]


def test_cluster_without_dask(monkeypatch):
    def absent(name: str) -> str:
        raise ToolError(f"{name} is missing")

    monkeypatch.setattr(jobs, "package_version", absent)
    with pytest.raises(ToolError, match=r"^distributed is missing$"):
        jobs.run({1: fail}, scheduler="tcp://127.0.0.1:1")
