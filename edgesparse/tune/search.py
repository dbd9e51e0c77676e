"""The searches by name: grid; fine; auto, which picks the method itself.

fine finds the base of every method, takes the one that costs least within the budget and tunes
around it.  auto does so with the allocation as one more method: which method suits a network is
left as future work by Ashouri et al. (see fine.py), here it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgesparse.errors import UsageError
from edgesparse.tune.allocate import allocation_search
from edgesparse.tune.bases import METHODS, base_search
from edgesparse.tune.fine import fine_tune
from edgesparse.tune.grid import grid_search
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, together
from edgesparse.tune.trial import Trial

__all__ = ["ALLOCATE", "AUTO", "SEARCHES", "methods_of", "search"]

AUTO, ALLOCATE = "auto", "allocate"
SEARCHES = ("auto", "grid", "fine")


def methods_of(name: str, methods: Sequence[str]) -> tuple[str, ...]:
    """The methods that a search compares; (AUTO,) stands for all that it has.

    Raises UsageError for an unknown search, and for methods that are not those of the search.
    """
    if name not in SEARCHES:
        raise UsageError(f"unknown search '{name}', there are: {', '.join(SEARCHES)}")
    known = {"grid": (), "fine": METHODS, "auto": (*METHODS, ALLOCATE)}[name]
    if tuple(methods) == (AUTO,):
        return known
    wrong = next((each for each in methods if each not in known), None)
    if wrong is not None:
        listed = ", ".join((AUTO, *known))
        raise UsageError(f"search {name} has no method '{wrong}', there are: {listed}")
    return tuple(methods)


def search(space: Space, budget: Budget, name: str, methods: Sequence[str]) -> Steps[str]:
    """Run a search; returns what it went by.  The best of all its trials is its result."""
    if name == "grid":
        yield from grid_search(space, budget)
        return "grid"
    found = yield from together(
        [
            each
            for method in methods
            for each in (
                [allocation_search(space, budget)]
                if method == ALLOCATE
                else [
                    one
                    for granularity in budget.granularities
                    for one in base_search(space, budget, method, granularity)
                ]
            )
        ]
    )
    trials = tuple(Trial("base", assignment, space.dense) for _, assignment in found)
    results = yield Batch(trials, 2 * len(space.layers))
    best = min(
        (at for at in range(len(found)) if budget.keeps(results[at])),
        key=lambda at: budget.cost(results[at]),
        default=None,
    )
    if best is None:
        return "nothing: not even the dense model keeps the accuracy"
    base: Assignment = found[best][1]
    yield from fine_tune(space, budget, base)
    return found[best][0]
