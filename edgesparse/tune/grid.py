"""TensorQuant's grid search: each layer alone, then all together.

Every layer alone gets the highest threshold of a grid at which the accuracy is kept; then all get
theirs together.  Source: D. Loroch, F.-J. Pfreundt, N. Wehn, J. Keuper, "Sparsity in Deep Neural
Networks - An Empirical Investigation with TensorQuant", 2018.

Ours: the grid of a layer are the magnitudes of its own weights at LEVELS, since spans differ by
layer.  What each layer bears alone, all together often do not; then every layer's share is taken
back by one common factor, the largest at which the accuracy is kept.
"""

from __future__ import annotations

from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, highest
from edgesparse.tune.trial import Trial

__all__ = ["LEVELS", "grid_search"]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares of a layer's weights whose magnitudes are the thresholds tried."""
_PARTS = 20


def grid_search(space: Space, budget: Budget) -> Steps[Assignment]:
    """The assignment that the grid search ends with."""
    dense = space.dense
    waiting = set(range(len(space.layers)))
    shares = [0.0] * len(space.layers)
    for level in reversed(LEVELS):
        asked = sorted(waiting)
        trials = [
            Trial(
                f"grid, layer {space.layers[at].node.index}",
                dense.with_rule(at, space.threshold(at, level)),
                dense,
            )
            for at in asked
        ]
        if not trials:
            break
        results = yield Batch(tuple(trials), len(trials) * LEVELS.index(level) // 2 + 8)
        for at, result in zip(asked, results, strict=True):
            if budget.keeps(result):
                shares[at] = level
                waiting.remove(at)
    return (yield from _all_together(space, budget, shares))


def _all_together(space: Space, budget: Budget, shares: list[float]) -> Steps[Assignment]:
    def part(number: int) -> Assignment:
        factor = number / _PARTS
        return space.of_rules(
            [space.threshold(at, share * factor) for at, share in enumerate(shares)]
        )

    everything = part(_PARTS)
    (result,) = yield Batch((Trial("grid, all together", everything, space.dense),), 8)
    if budget.keeps(result):
        return everything
    levels = [part(number) for number in range(1, _PARTS)]
    found = yield from highest(space, levels, budget.keeps, stage="grid, taken back")
    return levels[found] if found >= 0 else space.dense
