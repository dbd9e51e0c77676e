"""From real weights to int8 codes, by local search on the exact error.

A row's error is (q - b) H (q - b)ᵀ; with the gradient g = (q - b)·H a change d of code j alters it
by 2·d·g_j + d²·H_jj.  All rows of a layer take their best move at the same time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.sparsify.compensate.moments import Matrix, Problem
from edgesparse.sparsify.compensate.support import Mask

__all__ = ["LIMIT", "fill", "round_codes"]

Rows = NDArray[np.int64]
LIMIT = 127
"""Largest code; -128 is left out, as converters do."""
_CANDIDATES = 12
_EPSILON = 1e-9


class _Search:
    """Codes on the way, and the gradient that goes with them."""

    def __init__(self, problem: Problem, codes: Matrix) -> None:
        self.problem = problem
        self.hessian = problem.hessian
        self.diagonal = np.diag(problem.hessian)
        self.codes = codes.copy()
        self.gradient = (codes - problem.best) @ self.hessian
        self.every = np.arange(len(codes))

    def move(self, rows: Rows, taps: NDArray[np.int64], change: Matrix) -> None:
        """Change one code of some rows."""
        self.codes[rows, taps] += change
        self.gradient[rows] += change[:, None] * self.hessian[taps]

    def nearest(self, mask: Mask, rows: Rows) -> Rows:
        """Give rows the best change of one code under the mask; returns those that gained."""
        codes, gradient = self.codes[rows], self.gradient[rows]
        wanted = np.clip(np.rint(codes - gradient / self.diagonal), -LIMIT, LIMIT)
        change = np.where(mask[rows], wanted - codes, 0.0)
        gain = -change * (2.0 * gradient + change * self.diagonal)
        taps = gain.argmax(axis=1)
        at = np.arange(len(rows))
        better = gain[at, taps] > _EPSILON
        gained: Rows = rows[better]
        self.move(gained, taps[better], change[at, taps][better])
        return gained

    def descend(self, mask: Mask, rows: Rows, limit: int) -> None:
        """Change codes under the mask while that gains, at most `limit` in a row."""
        for _ in range(limit):
            if not len(rows):
                return
            rows = self.nearest(mask, rows)

    def swap(self, rows: Rows) -> Rows:
        """Zero one code and bring in one that is zero, where that gains; returns those rows."""
        codes, gradient = self.codes[rows], self.gradient[rows]
        at = np.arange(len(rows))[:, None]
        drop = codes * (codes * self.diagonal - 2.0 * gradient)
        drop[codes == 0] = np.inf
        count = min(_CANDIDATES, codes.shape[1])
        out = np.argpartition(drop, count - 1, axis=1)[:, :count]  # [rows, candidates]
        lost = codes[at, out]
        after = gradient[:, None, :] - lost[..., None] * self.hessian[out]
        wanted = np.clip(np.rint(-after / self.diagonal), -LIMIT, LIMIT)
        change = wanted * (2.0 * after + wanted * self.diagonal)
        change[np.broadcast_to((codes != 0)[:, None, :], change.shape)] = np.inf
        total = (change + drop[at, out][..., None]).reshape(len(rows), -1)
        best = total.argmin(axis=1)
        gains = total[at[:, 0], best] < -_EPSILON
        which, into = np.divmod(best, codes.shape[1])
        kept: Rows = rows[gains]
        picked = which[gains]
        self.move(kept, out[gains, picked], -lost[gains, picked])
        self.move(kept, into[gains], wanted[gains, picked, into[gains]])
        return kept


def round_codes(
    problem: Problem, weights: Matrix, mask: Mask, *, swaps: int, start: Matrix | None = None
) -> Matrix:
    """Int8 codes near real weights, 0 outside the mask or where a swap found a better place.

    Args:
        problem: the error.
        weights: the real weights to begin with.
        mask: which codes may differ from 0 at first; a row never gets more of them.
        swaps: most times that a row takes a code from one place to another.
        start: codes to begin with in those rows where they end better.
    """
    search = _Search(problem, np.clip(np.rint(np.where(mask, weights, 0.0)), -LIMIT, LIMIT))
    limit = 4 * mask.shape[1]
    search.descend(mask, search.every, limit)
    if start is not None:
        other = _Search(problem, np.where(mask, start, 0.0))
        other.descend(mask, other.every, limit)
        better = problem.losses(other.codes) < problem.losses(search.codes)
        search = _Search(problem, np.where(better[:, None], other.codes, search.codes))
    rows = search.every
    for _ in range(swaps):
        rows = search.swap(rows)
        if not len(rows):
            break
        search.descend(search.codes != 0, rows, limit)
    return search.codes


def fill(
    problem: Problem, codes: Matrix, scales: NDArray[np.float64], zeros: int, allowed: Mask
) -> Matrix:
    """Give codes back while there are more zeros than asked for and one of them lowers the error.

    Rounding zeroes some codes that were meant to stay.  The one that gains most in the layer, by
    gain times scale², comes first, of those that are allowed not to be 0.
    """
    search = _Search(problem, codes)
    for _ in range(int((codes == 0).sum()) - zeros):
        wanted = np.clip(np.rint(-search.gradient / search.diagonal), -LIMIT, LIMIT)
        gain = -wanted * (2.0 * search.gradient + wanted * search.diagonal)
        gain = np.where((search.codes == 0) & allowed, gain * scales[:, None] ** 2, 0.0)
        row, tap = np.unravel_index(gain.argmax(), gain.shape)
        if gain[row, tap] <= 0.0:
            break
        search.move(np.array([row]), np.array([tap]), wanted[[row], [tap]])
    return search.codes
