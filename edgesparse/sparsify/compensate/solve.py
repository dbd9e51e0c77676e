"""One layer: the weights that go, and the best codes for those that stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgesparse.sparsify.compensate.layer import Layer, Solution
from edgesparse.sparsify.compensate.moments import Matrix, Problem
from edgesparse.sparsify.compensate.rounding import LIMIT, fill, round_codes
from edgesparse.sparsify.compensate.support import Mask, choose_support, least_squares
from edgesparse.sparsify.compensate.trace import Members, Trace, trace

__all__ = ["remove", "solve"]

FACTORS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2)
"""Scales tried, in units of the layer's own."""
_WORTH = 0.98
_SWAPS = 200


def remove(problems: Sequence[Problem], members: Members) -> Trace:
    """The order in which all rows of a layer lose their groups."""
    traces = [trace(problem, members) for problem in problems]
    order, costs = (
        np.concatenate(parts) for parts in zip(*((t.order, t.costs) for t in traces), strict=True)
    )
    return Trace(order, costs, members)


def solve(
    layer: Layer, problems: Sequence[Problem], removed: Trace, groups: int, *, swaps: int = _SWAPS
) -> Solution:
    """A layer's weights with at least `groups` groups of zeros.

    There are more zeros only where giving a weight back would not lower the error.  The weights
    that stay often need more than their scale can hold, so a larger one is taken where that lowers
    the error: row by row, or for all where they have one.
    """
    mask = choose_support(removed, layer.scales, groups)
    step = len(mask) // len(problems)
    solutions = [
        _solve_rows(layer, problem, mask, slice(at, at + step), removed, swaps=swaps)
        for at, problem in zip(range(0, len(mask), step), problems, strict=True)
    ]
    return Solution(
        np.concatenate([each.codes for each in solutions]),
        np.concatenate([each.bias for each in solutions]),
        np.concatenate([each.factors for each in solutions]),
    )


def _solve_rows(
    layer: Layer, problem: Problem, whole: Mask, rows: slice, removed: Trace, *, swaps: int
) -> Solution:
    mask, codes = whole[rows], layer.codes[rows]
    weights = least_squares(problem, mask)
    factors = _factors(problem, layer, weights)
    scaled = problem.rescaled(factors)
    # Codes of before are a start only under their own scale.
    start = np.where((factors == 1.0)[:, None], codes, 0.0)
    # A swap would break up groups, and so would a weight given back to another place.
    is_single = removed.members.shape[1] == 1
    codes = round_codes(
        scaled, weights / factors[:, None], mask, swaps=swaps if is_single else 0, start=start
    )
    allowed = np.ones_like(mask) if is_single else mask
    codes = fill(scaled, codes, layer.scales[rows] * factors, int((~mask).sum()), allowed)
    return Solution(codes, scaled.bias(codes), factors)


def _factors(problem: Problem, layer: Layer, weights: Matrix) -> NDArray[np.float64]:
    """For each row the first of FACTORS at which no other leaves clearly less error.

    After plain rounding; the same for all rows where the layer has one scale.
    """
    if not layer.is_scalable or (layer.has_one_scale and layer.is_depthwise):
        return np.ones(len(weights))
    losses = np.array(
        [
            problem.losses(factor * np.clip(np.rint(weights / factor), -LIMIT, LIMIT))
            for factor in FACTORS
        ]
    )
    if layer.has_one_scale:
        losses = np.broadcast_to(losses.sum(axis=1, keepdims=True), losses.shape)
    enough = losses <= losses.min(axis=0) / _WORTH
    return np.asarray(np.array(FACTORS)[enough.argmax(axis=0)])
