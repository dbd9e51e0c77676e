"""What a search is: a generator that asks for batches of trials and is sent their results.

It knows nothing of where trials run.  Those of one batch may run at the same time.
"""

from __future__ import annotations

import math
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

    max_drop: accuracy that may be lost, as a share of the rows.  margin: standard errors of the
    loss that have to fit in as well.  optimize: what is to become small; see Result.cost.
    granularities: of the groups that may be taken.

    Why a margin: the cheapest of many trials is among those that were lucky with the rows of the
    search.  One standard error is the rule of L. Breiman et al., "Classification and Regression
    Trees", 1984, for that.  The rows are the same for both models, so only those count that one of
    them alone has right: with l lost and g gained the loss is l - g ± √(l + g) rows.
    """

    max_drop: float
    optimize: str
    granularities: tuple[str, ...] = ("element",)
    margin: float = 1.0

    def keeps(self, result: Result, part: float = 1.0) -> bool:
        """Whether a result is within the budget, or within a part of it."""
        error = math.sqrt(result.lost + result.gained)
        loss = result.lost - result.gained + self.margin * error
        return loss <= part * self.max_drop * result.rows + 1e-9

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

    Cuts the levels into PROBES + 1 parts and goes on before the first probe that does not keep it:
    what keeps it behind one that does not was lucky with the rows.
    """
    low, high = -1, len(levels)
    while high - low > 1:
        count = min(PROBES, high - low - 1)
        places = [low + (high - low) * (i + 1) // (count + 1) for i in range(count)]
        trials = tuple(Trial(stage, levels[at], base or space.dense) for at in places)
        rounds = (high - low).bit_length() // 2
        results = yield Batch(trials, PROBES * max(rounds - 1, 0))
        bad = [at for at, result in zip(places, results, strict=True) if not keeps(result)]
        high = min(bad, default=high)
        low = max((at for at in places if at < high), default=low)
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
