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
from edgesparse.rows import Rows, follows, logits_of, run_tensors
from edgesparse.sparsify.compensate.moments import problems_of
from edgesparse.sparsify.compensate.plan import Task
from edgesparse.sparsify.compensate.solve import remove, solve

__all__ = ["SHARES", "Curves", "allocate", "output_distance", "sensitivity"]

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of its groups with which a layer is tried; the last one is the most that a layer loses."""
_ROWS = 150
_STEPS = 2000

Curves = NDArray[np.float64]
"""Distance of the logits for each layer and each of SHARES."""


def sensitivity(
    model: Model,
    tasks: Sequence[Task],
    rows: Mapping[int, Rows],
    *,
    progress: Callable[[str], None],
) -> Curves:
    """Prune one layer at a time: mean squared distance of the logits, over their variance.

    Args:
        model: the dense model.
        tasks: the layers to prune.
        rows: calibration rows of the device's inputs.
        progress: is told of each layer.

    A layer alone has nothing to share out: its curve is 0.
    """
    if len(tasks) == 1:
        return np.zeros((1, len(SHARES)))
    logits = logits_of(model)
    dense = run_tensors(model, rows, [*(task.layer.source for task in tasks), *logits])
    few = np.unique(np.linspace(0, len(dense[next(iter(logits))]) - 1, _ROWS).astype(int))
    curves = np.zeros((len(tasks), len(SHARES)))
    for at, task in enumerate(tasks):
        layer = task.layer
        progress(f"layer {layer.node.index}: how much the outputs change without its weights")
        problems = problems_of(model, layer, dense[layer.source], dense[layer.source])
        removed = remove(problems, task.members)
        later = follows(model, layer.node.outputs[:1])
        given = {i: values[few] for i, values in {**dense, **rows}.items() if i not in later}
        before = {index: dense[index][few] for index in logits}
        for place, share in enumerate(SHARES):
            solution = solve(layer, problems, removed, round(share * task.groups), swaps=0)
            changed = run_tensors(layer.written(model, solution), given, list(logits))
            curves[at, place] = output_distance(logits, before, changed)
    return curves


def allocate(
    model: Model, tasks: Sequence[Task], curves: Curves, sparsity: float, *, count: str
) -> list[int]:
    """Zero groups for each layer such that the sum of the curves is least.

    Args:
        model: the layers' model.
        tasks: the layers.
        curves: from sensitivity.
        sparsity: share of the zeros in what is counted, of all layers together.
        count: "weights", or "macs", where a zero counts as often as its weight is used.
    """
    sizes = np.array([_size(model, task, count) for task in tasks], np.float64)
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
        return _exactly(tasks, list(shares), sparsity)
    return [round(share * task.groups) for share, task in zip(shares, tasks, strict=True)]


def _size(model: Model, task: Task, count: str) -> int:
    return task.layer.size if count == "weights" else ops.macs(model, task.layer.node)


def output_distance(
    logits: Mapping[int, bool], before: Mapping[int, Rows], after: Mapping[int, Rows]
) -> float:
    """How far a model's outputs have moved: mean squared differences by variance, added up.

    Args:
        logits: the tensors to look at, see rows.logits_of.
        before: their values in the dense model.
        after: their values now.
    """
    return sum(
        _distance(before[index], after[index], is_softmax=is_softmax)
        for index, is_softmax in logits.items()
    )


def _distance(before: Rows, after: Rows, *, is_softmax: bool) -> float:
    difference = after.astype(np.float64) - before
    if is_softmax:  # which a constant on all of a row does not change
        difference -= difference.mean(axis=1, keepdims=True)
    return float((difference**2).mean() / max(before.astype(np.float64).var(), 1e-6))


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


def _exactly(tasks: Sequence[Task], shares: Sequence[float], sparsity: float) -> list[int]:
    """Groups for each layer by its share; the largest layers take what is missing in all or over.

    A layer keeps the zero groups that it has.
    """
    least = [task.zeros for task in tasks]
    groups = [
        max(round(share * task.groups), low)
        for share, task, low in zip(shares, tasks, least, strict=True)
    ]
    sizes = [task.layer.size / task.groups for task in tasks]
    missing = sparsity * sum(task.layer.size for task in tasks)
    missing = round(missing) - sum(n * size for n, size in zip(groups, sizes, strict=True))
    for at in sorted(range(len(tasks)), key=lambda at: -tasks[at].layer.size):
        change = round(missing / sizes[at])
        change = min(max(change, least[at] - groups[at]), tasks[at].groups - groups[at])
        groups[at] += change
        missing -= change * sizes[at]
    return groups
