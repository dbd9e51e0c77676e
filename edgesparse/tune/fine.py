"""Fine-tuning around a base: layer by layer a little further, as far as the accuracy bears it.

Source of the idea: A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast On-the-fly Retraining-free
Sparsification of Convolutional Neural Networks", 2018: thresholds are tuned around those that a
method gives.  Ours are the steps.  In a round every layer alone takes a step away from the base:
it loses a part of the weights that it has left.  Steps that keep the accuracy and lower the cost
are then taken together, the most cost saved a row lost first, as many as the budget bears.  A round
that finds none makes the steps smaller; where the smallest find none the search ends.
"""

from __future__ import annotations

from edgesparse.tune.space import MOST, Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, highest
from edgesparse.tune.trial import Result, Trial

__all__ = ["fine_tune"]

_PARTS = (0.3, 0.15, 0.08)
"""Of the weights left that a step takes, from the first to the smallest."""
_ROUNDS = 8


def fine_tune(space: Space, budget: Budget, base: Assignment) -> Steps[Assignment]:
    """The best assignment around a base that keeps the accuracy."""
    sizes = list(_PARTS)
    (now,) = yield Batch((Trial("fine, base", base, space.dense),), len(space.layers))
    for _ in range(_ROUNDS):
        steps = _steps(space, base, sizes[0])
        trials = tuple(
            Trial(f"fine, layer {space.layers[at].node.index}", assignment, base)
            for at, assignment in steps
        )
        results = yield Batch(trials, 8 + len(trials))
        taken = _worth(budget, now, steps, results)
        levels = _joined(space, base, taken)
        found = yield from highest(space, levels, budget.keeps, stage="fine, together", base=base)
        if found >= 0:
            base = levels[found]
            (now,) = yield Batch((Trial("fine, base", base, base),))
        else:
            sizes.pop(0)
        if not sizes:
            break
    return base


def _steps(space: Space, base: Assignment, part: float) -> list[tuple[int, Assignment]]:
    """Each layer a step further, where it can go."""
    found = []
    for at, rule in enumerate(base):
        share = space.share(at, rule)
        further = min(share + part * (1.0 - share), MOST)
        if further > share:
            stepped = type(rule)("relative", (round(further, 4),), rule.granularity)
            found.append((at, space.replaced(base, at, stepped)))
    return found


def _worth(
    budget: Budget,
    now: Result,
    steps: list[tuple[int, Assignment]],
    results: list[Result],
) -> list[tuple[int, Assignment]]:
    """The steps that keep the accuracy and lower the cost, the most saved a row lost first."""
    rated = []
    for step, result in zip(steps, results, strict=True):
        saved = budget.cost(now) - budget.cost(result)
        if saved > 0 and budget.keeps(result):
            lost = max(now.right - result.right, 0)
            rated.append((saved / (lost + 1.0), step))
    return [step for _, step in sorted(rated, key=lambda each: -each[0])]


def _joined(
    space: Space, base: Assignment, steps: list[tuple[int, Assignment]]
) -> list[Assignment]:
    """The base with the first step, with the first two, and so on."""
    levels = []
    for at, assignment in steps:
        base = space.replaced(base, at, assignment[at])
        levels.append(base)
    return levels
