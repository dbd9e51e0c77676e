"""Runs a search: what is known comes from the store, the rest from the runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from edgesparse.tune.space import Assignment
from edgesparse.tune.store import Store
from edgesparse.tune.strategy import Batch, Budget, Steps
from edgesparse.tune.trial import Result, Trial

__all__ = ["Engine", "Progress", "Runner"]

T = TypeVar("T")


class Runner(Protocol):
    """Where trials run."""

    def run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Result]]:
        """The results of trials, as they come.  Raises what a trial raises."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is: trials done, how many there may be in all, and the best by now."""

    done: int
    total: int
    best: tuple[Assignment, Result] | None


class Engine:
    """Runs searches.

    Args:
        store: where trials are kept.
        runner: where they run.
        budget: what a result has to keep to.
        progress: is told after every trial.
    """

    def __init__(
        self, store: Store, runner: Runner, budget: Budget, progress: Callable[[Progress], None]
    ) -> None:
        self._store = store
        self._runner = runner
        self._budget = budget
        self._progress = progress
        self._seen: dict[Assignment, Result] = {}
        self.run_count = 0
        """Trials that were not in the store already."""

    def run(self, steps: Steps[T]) -> T:
        """Run a search to its end and return what it returns."""
        try:
            batch = next(steps)
            while True:
                batch = steps.send(self._results(batch))
        except StopIteration as stop:
            found: T = stop.value
            return found

    def known(self, assignment: Assignment) -> Result:
        """The result of a trial of this run."""
        return self._seen[assignment]

    def best(self) -> tuple[Assignment, Result] | None:
        """The trial of this run that costs least within the budget, the most accurate of equals."""
        return min(
            (each for each in self._seen.items() if self._budget.keeps(each[1])),
            key=lambda each: (self._budget.cost(each[1]), -each[1].right),
            default=None,
        )

    def _results(self, batch: Batch) -> list[Result]:
        missing: dict[Assignment, Trial] = {}
        for trial in batch.trials:
            known = self._store.get(trial.assignment)
            if known is not None:
                self._seen[trial.assignment] = known
            else:
                missing.setdefault(trial.assignment, trial)
        self._tell(len(missing) + batch.later)
        left = len(missing)
        for trial, result in self._runner.run(list(missing.values())):
            self._store.add(trial, result)
            self._seen[trial.assignment] = result
            self.run_count += 1
            left -= 1
            self._tell(left + batch.later)
        return [self._seen[trial.assignment] for trial in batch.trials]

    def _tell(self, left: int) -> None:
        done = len(self._seen)
        self._progress(Progress(done, done + left, self.best()))
