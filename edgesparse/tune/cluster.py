"""Trials on a Dask cluster.  Needs the packages of `pip install edgesparse[dask]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import Self

from edgesparse.errors import MissingToolError, TargetError
from edgesparse.tune.trial import Job, Result, Trial, install, run_trial

__all__ = ["ClusterRunner"]

_PLUGIN = "edgesparse-tune"
_CONNECT_S = 10


class ClusterRunner:
    """A Dask cluster by its scheduler's address, such as tcp://10.0.0.1:8786.

    Workers need the same build of edgesparse.  Raises MissingToolError without Dask, TargetError
    where nobody answers.
    """

    def __init__(self, job: Job, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingToolError("Dask", "pip install 'edgesparse[dask]'") from error

        class Install(distributed.WorkerPlugin):  # type: ignore[misc]
            """Makes every worker ready, those too that come later."""

            def setup(self, worker: Any) -> None:
                del worker
                install(job)

        self._key = job.key()
        self._as_completed = distributed.as_completed
        try:
            self._client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise TargetError(
                f"no Dask scheduler answers at {address}",
                hint="start one with 'dask scheduler', and workers with 'dask worker ADDRESS'",
            ) from error
        try:
            self._client.register_plugin(Install(), name=_PLUGIN)
        except BaseException:
            self._client.close()
            raise

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Result]]:
        """See engine.Runner."""
        futures = {
            self._client.submit(run_trial, self._key, trial, pure=False): trial for trial in trials
        }
        try:
            for future in self._as_completed(list(futures), loop=self._client.loop):
                yield futures[future], future.result()
        finally:
            self._client.cancel(list(futures))

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster to others."""
        try:
            self._client.unregister_worker_plugin(_PLUGIN)
        finally:
            self._client.close()
