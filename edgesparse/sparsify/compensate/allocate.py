"""How many zeros each layer gets.

Layers differ in what a zero does to the result.  Each is pruned alone at several shares and the
distance of the logits is measured; the sum of these curves is then least under the budget, by
dynamic programming.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.model import Model
from edgesparse.rows import Rows, follows, logits_index, run_tensors
from edgesparse.sparsify.compensate.layer import Layer
from edgesparse.sparsify.compensate.moments import problem_of
from edgesparse.sparsify.compensate.solve import solve
from edgesparse.sparsify.compensate.trace import trace

__all__ = ["SHARES", "allocate", "distance", "sensitivity", "uniform"]

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of zeros at which a layer is tried; the last one is the most that a layer gets."""
_ROWS = 150
_STEPS = 2000

Curves = NDArray[np.float64]
"""Distance of the logits for each layer and each of SHARES."""


def uniform(layers: Sequence[Layer], sparsity: float) -> list[int]:
    """The same share of zeros in every layer; rounding is made up for in the largest."""
    return _exactly(layers, [sparsity] * len(layers), sparsity)


def sensitivity(
    model: Model,
    layers: Sequence[Layer],
    rows: Mapping[int, Rows],
    *,
    progress: Callable[[str], None],
) -> Curves:
    """Prune one layer at a time: mean squared distance of the logits, each row's mean taken out.

    Args:
        model: the dense model.
        layers: the layers to prune.
        rows: calibration rows of the device's inputs.
        progress: is told of each layer.

    A layer alone has nothing to share out: its curve is 0.
    """
    if len(layers) == 1:
        return np.zeros((1, len(SHARES)))
    logits = logits_index(model)
    dense = run_tensors(model, rows, [*(layer.source for layer in layers), logits])
    few = np.unique(np.linspace(0, len(dense[logits]) - 1, _ROWS).astype(int))
    curves = np.zeros((len(layers), len(SHARES)))
    for at, layer in enumerate(layers):
        progress(f"layer {layer.node.index}: how much the outputs change without its weights")
        problem = problem_of(model, layer, dense[layer.source], dense[layer.source])
        removed = trace(problem)
        later = follows(model, layer.node.outputs[:1])
        given = {i: values[few] for i, values in {**dense, **rows}.items() if i not in later}
        for place, share in enumerate(SHARES):
            solution = solve(layer, problem, removed, round(share * layer.size), swaps=0)
            changed = run_tensors(layer.written(model, solution), given, [logits])[logits]
            curves[at, place] = distance(dense[logits][few], changed)
    return curves


def allocate(
    model: Model, layers: Sequence[Layer], curves: Curves, sparsity: float, *, count: str
) -> list[int]:
    """Zeros for each layer such that the sum of the curves is least.

    Args:
        model: the layers' model.
        layers: the layers.
        curves: from sensitivity.
        sparsity: share of the zeros in what is counted, of all layers together.
        count: "weights", or "macs", where a zero counts as often as its weight is used.
    """
    sizes = np.array([_size(model, layer, count) for layer in layers], np.float64)
    # Curves grow by powers of ten, so they are read off between their points as exponentials.
    fine = np.arange(0, round(100 * SHARES[-1]) + 1) / 100
    at = np.array([0.0, *SHARES])
    rising = np.maximum.accumulate(np.maximum(curves, 1e-9), axis=1)
    lines = [np.exp(np.interp(fine, SHARES, np.log(curve))) for curve in rising]
    lines = [
        np.where(fine < SHARES[0], np.interp(fine, at, [0.0, *curve]), line)
        for curve, line in zip(rising, lines, strict=True)
    ]
    shares = fine[_least_sum(lines, fine[:, None] * sizes / sizes.sum(), sparsity)]
    if count == "weights":
        return _exactly(layers, list(shares), sparsity)
    return [round(share * layer.size) for share, layer in zip(shares, layers, strict=True)]


def _size(model: Model, layer: Layer, count: str) -> int:
    return layer.size if count == "weights" else ops.macs(model, layer.node)


def distance(before: Rows, after: Rows) -> float:
    """Mean over rows of the squared distance of logits, each row's mean taken out."""
    difference = after.astype(np.float64) - before
    difference -= difference.mean(axis=1, keepdims=True)
    return float((difference**2).sum(axis=1).mean())


def _least_sum(
    lines: Sequence[NDArray[np.float64]], parts: NDArray[np.float64], budget: float
) -> list[int]:
    """Which point to take of each line, so that the parts reach the budget and the sum is least.

    parts: [points, lines], each line's part at each point; counted in steps of 1 / _STEPS.
    """
    steps = np.rint(parts * _STEPS).astype(int).T
    goal = min(round(budget * _STEPS), int(steps[:, -1].sum()))
    best = np.full(int(steps[:, -1].sum()) + 1, np.inf)
    best[0] = 0.0
    choices = []
    for line, by in zip(lines, steps, strict=True):
        sums = np.full((len(line), len(best)), np.inf)
        for point, cost in enumerate(line):
            sums[point, by[point] :] = best[: len(best) - by[point]] + cost
        choices.append(sums.argmin(axis=0))
        best = sums.min(axis=0)
    place = goal + int(best[goal:].argmin())
    points = []
    for by, choice in zip(steps[::-1], choices[::-1], strict=True):
        points.append(int(choice[place]))
        place -= int(by[points[-1]])
    return points[::-1]


def _exactly(layers: Sequence[Layer], shares: Sequence[float], sparsity: float) -> list[int]:
    """Zeros for each layer by its share; the largest layers take what is missing in all or over.

    A layer keeps the zeros that it has.
    """
    least = [layer.zeros for layer in layers]
    zeros = [
        max(round(share * layer.size), low)
        for share, layer, low in zip(shares, layers, least, strict=True)
    ]
    missing = round(sparsity * sum(layer.size for layer in layers)) - sum(zeros)
    for at in sorted(range(len(layers)), key=lambda at: -layers[at].size):
        change = min(max(missing, least[at] - zeros[at]), layers[at].size - zeros[at])
        zeros[at] += change
        missing -= change
    return zeros
