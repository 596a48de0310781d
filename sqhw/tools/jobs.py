"""Many independent jobs, some at a time: threads, processes, or a Dask cluster."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar

from .cache import Unfinished, is_frozen
from .tools import ToolError, package_version

__all__ = ["WORKERS", "run"]

WORKERS = os.cpu_count() or 1
"""As many jobs as there are processors run at a time, unless a command says otherwise."""

K = TypeVar("K")
T = TypeVar("T")


def run(
    jobs: Mapping[K, Callable[[], T]],
    *,
    workers: int | None = None,
    python: bool = False,
    scheduler: str | None = None,
    done: Callable[[K], None] = lambda _: None,
) -> dict[K, T]:
    """Runs all jobs; returns their results by key, in the order of `jobs`.

    While the cache is frozen nothing starts: jobs whose result is not kept are left out.

    Parameters
    ----------
    jobs
        Functions without arguments. With `python` or a `scheduler` they must be picklable.
    workers
        How many run at a time on this machine; by default WORKERS.
    python
        The jobs are work for Python itself: each runs in one of `workers` processes. Otherwise they wait
        for other programs and run in threads.
    scheduler
        Address of a Dask scheduler: its workers run the jobs instead. They import this version of the
        project, and their relative paths are their own.
    done
        Called with the key of each job that is finished.

    Raises
    ------
    Exception
        The first exception of a job. No further job starts, and running processes end at once.
    ToolError
        If a worker process was killed, or a scheduler is named and Dask is missing.
    """
    results: dict[K, T] = {}
    if is_frozen():
        for key, job in jobs.items():
            with suppress(Unfinished):
                results[key] = job()
        return results

    def collect(futures: Mapping[Any, K], finished: Iterable[Any]) -> None:
        for future in finished:
            results[futures[future]] = future.result()
            done(futures[future])

    if scheduler is not None:
        distributed = _distributed()
        with distributed.Client(scheduler) as client:
            futures = {client.submit(job, pure=False): key for key, job in jobs.items()}
            collect(futures, distributed.as_completed(futures))
    else:
        _run_here(jobs, workers or WORKERS, python, collect)
    return {key: results[key] for key in jobs}


def _run_here(
    jobs: Mapping[K, Callable[[], Any]],
    workers: int,
    python: bool,
    collect: Callable[[Mapping[Any, K], Iterable[Any]], None],
) -> None:
    # Workers hold the reader. It ends when this process closes the writer, or ends itself.
    reader, writer = multiprocessing.Pipe(duplex=False)
    pool: Executor
    if python:
        # Fresh processes, one thread each: BLAS reads that number when it is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_obey, initargs=(reader,))
    else:
        pool = ThreadPoolExecutor(workers)
    try:
        futures: dict[Future[Any], K] = {pool.submit(job): key for key, job in jobs.items()}
        collect(futures, as_completed(futures))
    except BrokenProcessPool as error:
        raise ToolError(
            "A worker process was killed, as it is when memory is short: try fewer --jobs"
        ) from error
    except BaseException:
        writer.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        writer.close()
        reader.close()


def _obey(reader: Connection) -> None:
    """In a worker process: ends it when `reader` ends, in the middle of a job too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parent as well

    def watch() -> None:
        with suppress(EOFError):
            reader.recv()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _distributed() -> Any:
    package_version("distributed")
    return importlib.import_module("distributed")
