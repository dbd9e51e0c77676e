"""Thresholds of activations, behind any search of weights and within the same budget.

1. Bases are the dense model and the cheapest that the search of weights has seen to use up half and
   all of the budget: what zero weights take of the accuracy, small activations cannot take any
   more, and where a kernel skips zero weights, zero activations often save nothing.
2. From each base one fraction for all outputs, from mild to harsh, as far as the accuracy is kept.
3. Around the base that came out cheapest, layer by layer as in allocate: every output alone at
   TIMES that fraction tells damage D and cost C, the common frontier orders the steps, accuracy
   decides.  What all outputs bear together is where to look for what each of them bears.  What one
   does not bear alone is left out: so near the dense model D alone says too little.

Source of thresholds by layer: M. Kurtz et al., "Inducing and Exploiting Activation Sparsity for
Fast Neural Network Inference", 2020.  How they are searched, and behind weights, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from edgesparse.thresholds import MAX_FRACTION
from edgesparse.tune.allocate import Option, frontier
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, highest
from edgesparse.tune.trial import Result, Trial

__all__ = ["TIMES", "threshold_search"]

TIMES = (0.7, 1.0, 1.4, 1.7, 2.0, 2.4, 2.8, 4.0, 5.6, 8.0)
"""The fraction for all outputs, as often as every output tries it alone."""
_FOR_ALL = tuple(round(MAX_FRACTION / 1.25**i, 4) for i in reversed(range(22)))
"""Fractions for all outputs: from one code of int8 on, a quarter more each time."""
_PARTS = (0.5, 1.0)
"""Of the budget, that a base may have used up."""

T = TypeVar("T")
_Seen = dict[Assignment, Result]


def threshold_search(space: Space, budget: Budget, weights: Steps[str]) -> Steps[str]:
    """Run a search of weights, then that of thresholds; returns what the first went by."""
    seen: _Seen = {}
    yield from _noted(_measured(space.dense), seen)
    went_by = yield from _noted(weights, seen)
    found: list[tuple[float, Assignment, float]] = []
    for base in _bases(budget, space.dense, seen):
        levels = [base.with_fractions((each,) * len(space.outputs)) for each in _FOR_ALL]
        last = yield from _noted(
            highest(space, levels, budget.keeps, stage="thresholds, one for all", base=base), seen
        )
        ends = [base] if last < 0 else [base, levels[last]]
        cost = min(budget.cost(seen[each]) for each in ends)
        found.append((cost, base, _FOR_ALL[max(last, 0)]))
    _, base, fraction = min(found, key=lambda each: each[0])
    tried = [min(round(fraction * times, 4), MAX_FRACTION) for times in TIMES]
    yield from _layer_by_layer(space, budget, base, tried)
    return went_by


def _measured(assignment: Assignment) -> Steps[Result]:
    (result,) = yield Batch((Trial("dense", assignment, assignment),))
    return result


def _noted(steps: Steps[T], seen: _Seen) -> Steps[T]:
    """Run a search; all that it asks for is seen afterwards."""
    try:
        batch = next(steps)
        while True:
            results = yield batch
            seen.update(zip((t.assignment for t in batch.trials), results, strict=True))
            batch = steps.send(results)
    except StopIteration as stop:
        found: T = stop.value
        return found


def _bases(budget: Budget, dense: Assignment, seen: _Seen) -> list[Assignment]:
    """The dense model and the cheapest for each part of the budget, every one once."""
    cheapest = [
        min(
            (each for each, result in seen.items() if budget.keeps(result, part)),
            key=lambda each: (budget.cost(seen[each]), -seen[each].right),
        )
        for part in _PARTS
    ]
    return list(dict.fromkeys([dense, *cheapest]))


def _layer_by_layer(
    space: Space, budget: Budget, base: Assignment, tried: Sequence[float]
) -> Steps[None]:
    places = [(at, level) for at in range(len(space.outputs)) for level in tried]
    trials = [
        Trial(f"threshold alone, layer {space.outputs[at].node.index}", _one(base, at, level), base)
        for at, level in places
    ]
    now, *results = yield Batch((Trial("thresholds, base", base, base), *trials), 12)
    none = Option(0.0, now.distance, budget.cost(now))
    options = [[none] for _ in space.outputs]
    for (at, level), result in zip(places, results, strict=True):
        if budget.keeps(result):
            options[at].append(Option(level, result.distance, budget.cost(result)))
    levels = [base.with_fractions(each) for each in frontier(options)]
    yield from highest(space, levels, budget.keeps, stage="thresholds, by layer", base=base)


def _one(base: Assignment, at: int, fraction: float) -> Assignment:
    """The base with a threshold for one output."""
    fractions = list(base.fractions)
    fractions[at] = fraction
    return base.with_fractions(fractions)
