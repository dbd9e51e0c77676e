"""Fine-tuning around a base: layer by layer a little further, as far as the accuracy bears it.

Source of the idea: A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast On-the-fly Retraining-free
Sparsification of Convolutional Neural Networks", 2018: thresholds are tuned around those that a
method gives.  The steps are ours:

1. Layers whose zeros save nothing get their weights back, which makes room for others.
2. In a round every layer alone goes further than the base: it loses a part of the weights that it
   has left, in the first round also up to each of JUMPS, since a kernel for zeros may pay only from
   a share on.  Of the steps that keep the accuracy and lower the cost, each layer's best (the most
   cost saved a row lost) are then taken together, the best first, as many as the budget bears.
3. A round that finds none makes the parts smaller; where the smallest finds none the search ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgesparse.sparsify import Rule
from edgesparse.tune.space import MOST, Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, highest
from edgesparse.tune.trial import Result, Trial

__all__ = ["fine_tune"]

JUMPS = (0.6, 0.7, 0.8, 0.9)
"""Shares of zeros that the first round tries beside its steps."""
_PARTS = (0.3, 0.15, 0.08)
"""Of the weights left that a step takes, from the first to the smallest."""
_ROUNDS = 8

_Change = tuple[int, Rule]
"""A layer and its new rule."""


def fine_tune(space: Space, budget: Budget, base: Assignment) -> Steps[Assignment]:
    """The best assignment around a base that keeps the accuracy."""
    base = yield from _released(space, budget, base)
    parts = list(_PARTS)
    for number in range(_ROUNDS):
        jumps = JUMPS if number == 0 else ()
        changes = _further(space, base.rules, parts[0], jumps)
        now, *results = yield _batch(space, base, changes)
        levels = _joined(base, _best(budget, now, changes, results))
        found = yield from highest(space, levels, budget.keeps, stage="fine, together", base=base)
        if found >= 0:
            base = levels[found]
        elif parts.pop(0) == _PARTS[-1]:
            break
    return base


def _batch(space: Space, base: Assignment, changes: Sequence[_Change]) -> Batch:
    """The base, and the base with each of the changes."""
    trials = [Trial("fine, base", base, base)]
    trials += [
        Trial(f"fine, layer {space.layers[at].node.index}", base.with_rule(at, rule), base)
        for at, rule in changes
    ]
    return Batch(tuple(trials), len(trials) + 8)


def _released(space: Space, budget: Budget, base: Assignment) -> Steps[Assignment]:
    """The base with all those layers as they are whose zeros save nothing."""
    changes = [(at, Rule()) for at, rule in enumerate(base.rules) if rule.method != "none"]
    now, *results = yield _batch(space, base, changes)
    released = base
    for (at, rule), result in zip(changes, results, strict=True):
        if budget.cost(result) <= budget.cost(now):
            released = released.with_rule(at, rule)
    (result,) = yield Batch((Trial("fine, released", released, base),), len(space.layers))
    better = budget.keeps(result) and budget.cost(result) <= budget.cost(now)
    return released if better else base


def _further(
    space: Space, base: Sequence[Rule], part: float, jumps: Sequence[float]
) -> list[_Change]:
    """Each layer further than in the base, where it can go."""
    found = []
    for at, rule in enumerate(base):
        share = space.share(at, rule)
        stepped = min(share + part * (1.0 - share), MOST)
        found += [
            (at, Rule("relative", (round(further, 4),), rule.granularity))
            for further in (stepped, *jumps)
            if further > share
        ]
    return found


def _best(
    budget: Budget, now: Result, changes: Sequence[_Change], results: Sequence[Result]
) -> list[_Change]:
    """Each layer's best change that keeps the accuracy and lowers the cost, the best first."""
    rated: dict[int, tuple[float, _Change]] = {}
    for change, result in zip(changes, results, strict=True):
        saved = budget.cost(now) - budget.cost(result)
        if saved <= 0 or not budget.keeps(result):
            continue
        rating = saved / (max(now.right - result.right, 0) + 1.0)
        if change[0] not in rated or rating > rated[change[0]][0]:
            rated[change[0]] = (rating, change)
    return [change for _, change in sorted(rated.values(), key=lambda each: -each[0])]


def _joined(base: Assignment, changes: Sequence[_Change]) -> list[Assignment]:
    """The base with the first change, with the first two, and so on."""
    levels = []
    for at, rule in changes:
        base = base.with_rule(at, rule)
        levels.append(base)
    return levels
