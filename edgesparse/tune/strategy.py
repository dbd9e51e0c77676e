"""What a search is: a generator that asks for batches of trials and is sent their results.

It knows nothing of where trials run.  Those of one batch may run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.trial import Result, Trial

__all__ = ["Batch", "Budget", "Steps", "highest", "together"]

T = TypeVar("T")

PROBES = 4
"""Values that `highest` tries at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Trials to run next; later: how many may follow them, for the display of the time left."""

    trials: tuple[Trial, ...]
    later: int = 0


Steps = Generator[Batch, list[Result], T]
"""Yields batches, is sent their results in the same order, returns what it found."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search has to keep to.

    least_right: rows that have to be right.  optimize: what is to become small; see Result.cost.
    granularities: of the groups that may be taken.
    """

    least_right: int
    optimize: str
    granularities: tuple[str, ...] = ("element",)

    def keeps(self, result: Result) -> bool:
        """Whether a result is within the budget."""
        return result.right >= self.least_right

    def cost(self, result: Result) -> int:
        """What is to become small."""
        return result.cost(self.optimize)


def highest(
    space: Space,
    levels: Sequence[Assignment],
    keeps: Callable[[Result], bool],
    *,
    stage: str,
    base: Assignment | None = None,
) -> Steps[int]:
    """The last level that keeps the accuracy, -1 if none does; levels go from mild to harsh.

    Cuts the levels into PROBES + 1 parts and goes on in the one behind the last probe that keeps
    it, so accuracy is taken to fall along the levels, as far as that matters.
    """
    low, high = -1, len(levels)
    while high - low > 1:
        count = min(PROBES, high - low - 1)
        places = [low + (high - low) * (i + 1) // (count + 1) for i in range(count)]
        trials = tuple(Trial(stage, levels[at], base or space.dense) for at in places)
        rounds = (high - low).bit_length() // 2
        results = yield Batch(trials, PROBES * max(rounds - 1, 0))
        good = [at for at, result in zip(places, results, strict=True) if keeps(result)]
        low = max(good, default=low)
        high = min((at for at in places if at > low), default=high)
    return low


def together(searches: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Run several searches side by side: a batch is that of all of them."""
    found: dict[int, T] = {}
    asked: dict[int, Batch] = {}

    def advance(at: int, results: list[Result] | None) -> None:
        asked.pop(at, None)
        try:
            asked[at] = next(searches[at]) if results is None else searches[at].send(results)
        except StopIteration as stop:
            found[at] = stop.value

    for at in range(len(searches)):
        advance(at, None)
    while asked:
        batches = dict(asked)
        trials = tuple(trial for batch in batches.values() for trial in batch.trials)
        results = yield Batch(trials, sum(batch.later for batch in batches.values()))
        for at, batch in batches.items():
            advance(at, results[: len(batch.trials)])
            results = results[len(batch.trials) :]
    return [found[at] for at in range(len(searches))]
