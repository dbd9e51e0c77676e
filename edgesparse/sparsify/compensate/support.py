"""Which weights of a layer stay, and the real weights that are best on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.sparsify.compensate.moments import Matrix, Problem
from edgesparse.sparsify.compensate.trace import Trace

__all__ = ["Mask", "choose_support", "least_squares"]

Mask = NDArray[np.bool_]


def choose_support(trace: Trace, scales: NDArray[np.float64], groups: int) -> Mask:
    """Mask [outputs, taps] of the weights that stay when a layer loses `groups` groups.

    The rows compete by cost times scale², the mean square error in real units: groups go in the
    order of their row, the cheapest of all rows first.
    """
    costs = np.maximum.accumulate(trace.costs * scales[:, None] ** 2, axis=1)
    keep = np.ones(costs.size, np.bool_)
    keep[np.argsort(costs, axis=None, kind="stable")[:groups]] = False
    lost = costs.shape[1] - keep.reshape(costs.shape).sum(axis=1)
    mask = np.ones((len(costs), int(trace.members.max()) + 1), np.bool_)
    for row, count in enumerate(lost):
        taps = trace.members[trace.order[row, :count]]
        mask[row, taps[taps >= 0]] = False
    return mask


def least_squares(problem: Problem, mask: Mask) -> Matrix:
    """The weights of least error that are 0 outside the mask, row by row."""
    import scipy.linalg  # which takes long to import, and most commands never come here

    weights = np.zeros(problem.best.shape)
    target = problem.best @ problem.hessian
    for row, kept in enumerate(mask):
        if kept.any():
            square = problem.hessian[np.ix_(kept, kept)]
            factor = scipy.linalg.cho_factor(square, overwrite_a=True, check_finite=False)
            weights[row, kept] = scipy.linalg.cho_solve(factor, target[row, kept])
    return weights
