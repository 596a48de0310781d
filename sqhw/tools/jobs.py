"""Many independent runs of tools, some at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import suppress
from multiprocessing import get_context
from typing import TypeVar

from .cache import Unfinished, is_frozen

__all__ = ["run"]

K = TypeVar("K")
T = TypeVar("T")


def run(
    jobs: Mapping[K, Callable[[], T]],
    *,
    workers: int | None = None,
    python: bool = False,
    done: Callable[[K], None] = lambda _: None,
) -> dict[K, T]:
    """Runs all jobs, as many at a time as there are processors (or `workers`); results by key, in order.

    With `python` the jobs are work for Python itself and run in processes, so they must be picklable;
    otherwise they wait for other programs. `done` is told of each key that is ready. The first exception
    ends it: no further job starts. While the cache is frozen, jobs that are not finished are left out.
    """
    results: dict[K, T] = {}
    if is_frozen():
        for name, job in jobs.items():
            with suppress(Unfinished):
                results[name] = job()
        return results
    with _pool(workers or os.cpu_count() or 1, python) as pool:
        futures = {pool.submit(job): name for name, job in jobs.items()}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                done(futures[future])
        finally:
            pool.shutdown(cancel_futures=True)
    return {name: results[name] for name in jobs}


def _pool(workers: int, python: bool) -> Executor:
    return ProcessPoolExecutor(workers, get_context("spawn")) if python else ThreadPoolExecutor(workers)
