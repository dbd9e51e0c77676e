"""One layer: the weights that go, and the best codes for those that stay."""

from __future__ import annotations

import numpy as np

from edgesparse.sparsify.compensate.layer import Layer, Solution
from edgesparse.sparsify.compensate.moments import Matrix, Problem
from edgesparse.sparsify.compensate.rounding import LIMIT, fill, round_codes
from edgesparse.sparsify.compensate.support import choose_support, least_squares
from edgesparse.sparsify.compensate.trace import Trace

__all__ = ["solve"]

FACTORS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2)
"""Scales tried, in units of the layer's own, where all its outputs have one."""
_WORTH = 0.98
_SWAPS = 200


def solve(
    layer: Layer, problem: Problem, trace: Trace, zeros: int, *, swaps: int = _SWAPS
) -> Solution:
    """A layer's weights with at least `zeros` zeros.

    There are more only where giving one back would not lower the error.  Where a layer has one
    scale for all outputs, the weights that stay often need more than that scale can hold, so a
    larger one is taken if that lowers the error.
    """
    mask = choose_support(trace, layer.scales, zeros)
    weights = least_squares(problem, mask)
    factor = _factor(problem, layer, weights)
    scaled = problem.rescaled(factor)
    start = layer.codes if factor == 1.0 else None
    codes = round_codes(scaled, weights / factor, mask, swaps=swaps, start=start)
    codes = fill(scaled, codes, layer.scales, zeros)
    return Solution(codes, scaled.bias(codes), factor)


def _factor(problem: Problem, layer: Layer, weights: Matrix) -> float:
    """The first of FACTORS at which no other leaves clearly less error after plain rounding."""
    if not layer.has_one_scale:
        return 1.0
    losses = []
    for factor in FACTORS:
        codes = np.clip(np.rint(weights / factor), -LIMIT, LIMIT)
        losses.append(float(problem.losses(factor * codes).sum()))
    enough = min(losses) / _WORTH
    return next(factor for factor, loss in zip(FACTORS, losses, strict=True) if loss <= enough)
