"""One method for all layers, at the highest value that keeps the accuracy.

flat, triangular and relative are those of A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast
On-the-fly Retraining-free Sparsification of Convolutional Neural Networks", 2018; see
sparsify.threshold.  triangular is tried with the first layer's fraction equal to the last one's and
with half of it, since the first layers bear less.
"""

from __future__ import annotations

from edgesparse.tune.space import MOST, Assignment, Space
from edgesparse.tune.strategy import Budget, Steps, highest

__all__ = ["METHODS", "base_search"]

METHODS = ("flat", "triangular", "relative")
_SHARES = tuple(MOST * (i + 1) / 38 for i in range(38))
# Up to half a span, where half of all possible values go; a fifth more each time.
_FRACTIONS = tuple(0.5 / 1.2**i for i in reversed(range(28)))
_FIRST_PARTS = (1.0, 0.5)


def base_search(space: Space, budget: Budget, method: str, granularity: str) -> list[Steps[Found]]:
    """Searches for the base of a method, each of which returns a name and an assignment."""
    values: list[list[tuple[float, ...]]]
    if method == "relative":
        values = [[(share,) for share in _SHARES]]
    elif method == "flat":
        values = [[(fraction,) for fraction in _FRACTIONS]]
    else:
        values = [[(part * each, each) for each in _FRACTIONS] for part in _FIRST_PARTS]
    return [_one(space, budget, method, each, granularity) for each in values]


Found = tuple[str, Assignment]


def _one(
    space: Space, budget: Budget, method: str, values: list[tuple[float, ...]], granularity: str
) -> Steps[Found]:
    levels = [space.by_method(method, value, granularity) for value in values]
    shown = method if granularity == "element" else f"{method}, {granularity}"
    found = yield from highest(space, levels, budget.keeps, stage=f"base, {shown}")
    if found < 0:
        return shown, space.dense
    numbers = " ".join(f"{each:.3g}" for each in values[found])
    return f"{method} {numbers}" + shown.removeprefix(method), levels[found]
