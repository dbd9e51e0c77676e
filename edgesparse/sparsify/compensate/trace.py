"""In which order a row loses its weights, and what each loss costs: the Optimal Brain Surgeon.

Removing weight p from a row w whose error is (w - w*) H (w - w*)ᵀ, with the others moved so that
the error is least, costs w_p² / [H⁻¹]_pp; the others move by -w_p / [H⁻¹]_pp · [H⁻¹]_:p, and H⁻¹
loses the outer product of that column with itself over [H⁻¹]_pp.  Greedily the cheapest goes first.

Source: Hassibi, Stork 1993; Frantar, Singh, Alistarh, "Optimal Brain Compression", 2022, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.sparsify.compensate.moments import Matrix, Problem

__all__ = ["Trace", "trace"]

_BLOCKS = 96
"""Into how many blocks a row is cut, in which weights go together; short rows go one by one."""
_MEMORY_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """order: taps of each row [outputs, taps], the first to go first.  costs: what each adds."""

    order: NDArray[np.int64]
    costs: Matrix


def trace(problem: Problem) -> Trace:
    """Remove all weights of every row, one after the other.

    Rows of many taps lose several at a time: chosen together, removed exactly.
    """
    inverse = np.linalg.inv(problem.hessian)
    rows, taps = problem.best.shape
    step = max(1, _MEMORY_BYTES // (8 * taps * taps))
    parts = [_trace_rows(inverse, problem.best[i : i + step]) for i in range(0, rows, step)]
    return Trace(
        np.concatenate([part.order for part in parts]),
        np.concatenate([part.costs for part in parts]),
    )


def _trace_rows(inverse: Matrix, best: Matrix) -> Trace:
    rows, taps = best.shape
    block = max(1, taps // _BLOCKS)
    every = np.arange(rows)[:, None]
    weights, diagonal = best.copy(), np.tile(np.diag(inverse), (rows, 1))
    # The inverse now is the one at the start less the products of these with themselves.
    taken = np.empty((rows, taps, taps))
    order, costs = np.empty((rows, taps), np.int64), np.empty((rows, taps))
    for done in range(0, taps, block):
        count = min(block, taps - done)
        scores = weights**2 / diagonal
        scores[every, order[:, :done]] = np.inf
        out = np.argpartition(scores, count - 1, axis=1)[:, :count]
        out = np.take_along_axis(
            out, np.argsort(np.take_along_axis(scores, out, 1), axis=1, kind="stable"), 1
        )
        before = np.take_along_axis(taken[:, :done], out[:, None, :], 2)  # [rows, done, count]
        columns = inverse[out] - before.transpose(0, 2, 1) @ taken[:, :done]
        square = columns[every[..., None], np.arange(count)[:, None], out[:, None, :]]
        lower = np.linalg.cholesky(square)
        fresh = np.linalg.solve(lower, columns)
        amounts = np.linalg.solve(lower, weights[every, out][..., None])[..., 0]
        weights -= (amounts[:, None, :] @ fresh)[:, 0]
        diagonal = np.maximum(diagonal - (fresh**2).sum(axis=1), 1e-300)
        taken[:, done : done + count] = fresh
        order[:, done : done + count] = out
        costs[:, done : done + count] = amounts**2
    return Trace(order, costs)
