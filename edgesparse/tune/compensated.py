"""Compensated allocation: zeros go where they save most for what the other weights cannot mend.

1. Every layer alone loses SHARES of its groups, at every granularity.  How far the logits move once
   the layer's other weights make up for that is its damage D, measured for all shares at once
   (compensate.measure_sensitivity).  What the model then costs (C) depends on how many zeros there
   are much more than on which, so C is that of the smallest groups, with the
   dense model's zeros in activations, since nothing has made up for those weights.
2. From D and C the same common frontier as in allocate.
3. Along it whole models are compensated, and their accuracy decides how far to go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgesparse.sparsify import Rule
from edgesparse.sparsify.compensate import measure_sensitivity
from edgesparse.sparsify.compensate.allocate import SHARES
from edgesparse.sparsify.compensate.layer import find_layers
from edgesparse.tune.allocate import Option, frontier
from edgesparse.tune.space import Space
from edgesparse.tune.store import CurvesOf, Store
from edgesparse.tune.strategy import Budget, Steps, highest
from edgesparse.tune.trial import Job

__all__ = ["compensated_options", "compensated_search"]

_LEAST = 1e-6
"""Damage of a layer's last weight at least: a layer alone has a curve of zeros."""


def compensated_search(
    space: Space, budget: Budget, options: Sequence[Sequence[Option[Rule]]]
) -> Steps[str]:
    """Run the search along the frontier of the options; returns what it went by."""
    levels = [space.of_rules(rules) for rules in frontier(options)]
    found = yield from highest(space, levels, budget.keeps, stage="compensated")
    return f"compensated, step {found + 1} of {len(levels)}"


def compensated_options(
    store: Store, job: Job, budget: Budget, *, progress: Callable[[str], None]
) -> list[list[Option[Rule]]]:
    """For every layer its options, the first of them as it is.

    A layer whose weights several operators read has no other.  store: knows the curves, or keeps
    them.  progress: is told of each layer.  Raises what measure_sensitivity does.
    """
    space = job.space()
    zeros = job.zeros_of(space.model)
    dense = job.costs(space.model, zeros)[budget.optimize]
    found = [[Option(Rule(), 0.0, dense)] for _ in space.layers]
    for granularity in budget.granularities:
        curves = store.curves(granularity)
        if curves is None:
            curves = _measured(space, granularity, depthwise=job.depthwise, progress=progress)
            store.add_curves(granularity, curves)
        for at, pattern in enumerate(space.patterns):
            progress(f"{granularity}: what {pattern} saves")
            if pattern not in curves:
                continue
            for share, damage in zip(SHARES, curves[pattern], strict=True):
                rule = Rule("topk", (share,), granularity)
                thinned, _ = space.thin(space.dense.with_rule(at, rule))
                cost = job.costs(thinned, zeros)[budget.optimize]
                compensated = replace(rule, compensate=True)
                found[at].append(Option(compensated, damage + _LEAST * share, cost))
    return found


def _measured(
    space: Space, granularity: str, *, depthwise: bool, progress: Callable[[str], None]
) -> CurvesOf:
    """The curves of the layers that can be compensated."""
    curves = measure_sensitivity(
        space.model,
        space.calibration,
        granularity=granularity,
        depthwise=depthwise,
        progress=progress,
    )
    layers = [each for each in find_layers(space.model) if depthwise or not each.is_depthwise]
    patterns = {
        layer.tensor.index: pattern
        for layer, pattern in zip(space.layers, space.patterns, strict=True)
    }
    return {
        patterns[layer.weights]: tuple(curve.tolist())
        for layer, curve in zip(layers, curves, strict=True)
    }
