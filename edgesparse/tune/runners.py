"""Where trials run: in this process or in several of this computer."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from typing_extensions import Self

from edgesparse.errors import EdgesparseError
from edgesparse.tune.trial import Job, Result, Trial, install, run_trial

__all__ = ["ProcessRunner", "SerialRunner"]

# Of libraries under numpy: one thread a process, there is a process for each processor.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class SerialRunner:
    """One trial after the other, here."""

    def __init__(self, job: Job) -> None:
        install(job)
        self._key = job.key()

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Result]]:
        """See engine.Runner."""
        for trial in trials:
            yield trial, run_trial(self._key, trial)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left over."""


class ProcessRunner:
    """A pool of processes of this computer.

    They are started anew (spawn), since a fork of a process with threads may hang.  Leaving the
    context stops them; trials not begun are dropped.
    """

    def __init__(self, job: Job, processes: int) -> None:
        self._key = job.key()
        for name in _THREAD_VARIABLES:
            os.environ.setdefault(name, "1")
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(job,),
        )

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Result]]:
        """See engine.Runner.  Raises EdgesparseError where a process died."""
        futures = {self._pool.submit(run_trial, self._key, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise EdgesparseError(
                "a process of the search died",
                hint="if memory ran out, take fewer with --jobs or fewer rows with --rows",
            ) from error

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _start(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    install(job)
