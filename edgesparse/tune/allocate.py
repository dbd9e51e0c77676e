"""Sensitivity-guided allocation: the zeros go where they save most for the damage that they do.

1. Every layer is thinned alone at LEVELS, at every granularity: how far the logits move (D, mean
   squared distance from those of the dense model), and what the cost becomes (C).
2. Damage and savings of layers are taken to add up.  So the assignments that are best for some
   exchange rate between both are found by going through the lower convex hulls of C over D of all
   layers, the step that saves most a unit of damage first.
3. Accuracy, not D, decides how far to go along them: the last assignment that keeps it.

Source of 2: Y. Shoham, A. Gersho, "Efficient Bit Allocation for an Arbitrary Set of Quantizers",
1988.  Ours: D and C for zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from edgesparse.sparsify import Rule
from edgesparse.tune.grid import LEVELS
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.strategy import Batch, Budget, Steps, highest
from edgesparse.tune.trial import Result, Trial

__all__ = ["Option", "allocation_search", "frontier"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """What a choice for a layer alone, such as a rule, does: damage and cost of the model."""

    choice: T
    damage: float
    cost: float


def allocation_search(space: Space, budget: Budget) -> Steps[tuple[str, Assignment]]:
    """A name and the cheapest allocation that keeps the accuracy."""
    dense = space.dense
    places = [
        (at, Rule("relative", (level,), granularity))
        for at in range(len(space.layers))
        for granularity in budget.granularities
        for level in LEVELS
    ]
    trials = [
        Trial(f"alone, layer {space.layers[at].node.index}", dense.with_rule(at, rule), dense)
        for at, rule in places
    ]
    results = yield Batch((Trial("dense", dense, dense), *trials), 12)
    options = _options(space, budget, places, results)
    levels = [space.of_rules(rules) for rules in frontier(options)]
    found = yield from highest(space, levels, budget.keeps, stage="allocated")
    return "allocated", levels[found] if found >= 0 else dense


def _options(
    space: Space, budget: Budget, places: list[tuple[int, Rule]], results: list[Result]
) -> list[list[Option[Rule]]]:
    """For every layer its options, the first of them as it is."""
    dense = budget.cost(results[0])
    found = [[Option(Rule(), 0.0, dense)] for _ in space.layers]
    for (at, rule), result in zip(places, results[1:], strict=True):
        found[at].append(Option(rule, result.distance, budget.cost(result)))
    return found


def frontier(options: Sequence[Sequence[Option[T]]]) -> list[tuple[T, ...]]:
    """Choices for all layers along the common frontier, from mild to harsh.

    options: for every layer, the first of them leaves it as it is.
    """
    steps = []
    for at, own in enumerate(options):
        for before, after in _hull_steps(own):
            damage = max(after.damage - before.damage, 1e-12)
            steps.append(((before.cost - after.cost) / damage, at, after.choice))
    # Stable: the steps of one layer get steadily worse, so they stay in order.
    steps.sort(key=lambda step: -step[0])
    choices = [own[0].choice for own in options]
    found = []
    for _, at, choice in steps:
        choices[at] = choice
        found.append(tuple(choices))
    return found


def _hull_steps(options: Sequence[Option[T]]) -> list[tuple[Option[T], Option[T]]]:
    """The steps of the lower convex hull of cost over damage, from the first option on."""
    hull = [options[0]]
    while True:
        now = hull[-1]
        better = [each for each in options if each.cost < now.cost]
        if not better:
            return list(pairwise(hull))
        hull.append(
            max(
                better,
                key=lambda each: (
                    (now.cost - each.cost) / max(each.damage - now.damage, 1e-12),
                    -each.cost,
                ),
            )
        )
