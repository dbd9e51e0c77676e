"""In which order a row loses its groups of weights, and what each costs: Optimal Brain Surgeon.

Removing the weights w_g of a group g from a row w whose error is (w - w*) H (w - w*)ᵀ, with the
others moved so that the error is least, costs w_g ([H⁻¹]_gg)⁻¹ w_gᵀ; the others move by
-w_g ([H⁻¹]_gg)⁻¹ [H⁻¹]_g:, and H⁻¹ loses [H⁻¹]_:g ([H⁻¹]_gg)⁻¹ [H⁻¹]_g:.  Greedily the cheapest
group goes first.

Source: Hassibi, Stork 1993; Frantar, Singh, Alistarh, "Optimal Brain Compression", 2022, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.sparsify.compensate.moments import Matrix, Problem

__all__ = ["Trace", "trace"]

_BLOCKS = 96
"""Into how many parts a row is cut, in which groups go together; short rows lose one by one."""
_MEMORY_BYTES = 128 * 1024 * 1024

Members = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What rows lose, the first to go first.

    order: numbers of groups [outputs, groups].  costs: what each adds to the error.  members: taps
    of each group [groups, size], -1 behind those of short ones.
    """

    order: NDArray[np.int64]
    costs: Matrix
    members: Members


def trace(problem: Problem, members: Members) -> Trace:
    """Remove all groups of every row, one after the other.

    Rows of many groups lose several at a time: chosen together, removed exactly.
    """
    inverse, best = _by_group(problem, members)
    rows, taps = best.shape
    step = max(1, _MEMORY_BYTES // (8 * taps * taps))
    parts = [
        _trace_rows(inverse, best[i : i + step], members.shape[1]) for i in range(0, rows, step)
    ]
    order, costs = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Trace(order, costs, members)


def _by_group(problem: Problem, members: Members) -> tuple[Matrix, Matrix]:
    """H⁻¹ and weights with the taps in the order of their groups.

    Short groups are filled up with weights of 0 whose inputs nothing else has anything to do with.
    """
    flat = members.reshape(-1)
    real = flat >= 0
    hessian = np.eye(len(flat))
    hessian[np.ix_(real, real)] = problem.hessian[np.ix_(flat[real], flat[real])]
    best = np.zeros((len(problem.best), len(flat)))
    best[:, real] = problem.best[:, flat[real]]
    return np.linalg.inv(hessian), best


def _trace_rows(inverse: Matrix, best: Matrix, size: int) -> tuple[NDArray[np.int64], Matrix]:
    rows, taps = best.shape
    groups = taps // size
    together = max(1, groups // _BLOCKS)
    every = np.arange(rows)[:, None]
    weights = best.copy()
    blocks = np.tile(_diagonal_blocks(inverse, size), (rows, 1, 1, 1))
    # The inverse now is the one at the start less the products of these with themselves.
    taken = np.empty((rows, taps, taps))
    order, costs = np.empty((rows, groups), np.int64), np.empty((rows, groups))
    for done in range(0, groups, together):
        count = min(together, groups - done)
        scores = _scores(weights.reshape(rows, groups, size), blocks)
        scores[every, order[:, :done]] = np.inf
        out = np.argpartition(scores, count - 1, axis=1)[:, :count]
        out = np.take_along_axis(
            out, np.argsort(np.take_along_axis(scores, out, 1), axis=1, kind="stable"), 1
        )
        lost = (out[:, :, None] * size + np.arange(size)).reshape(rows, -1)
        first, last = done * size, (done + count) * size
        before = np.take_along_axis(taken[:, :first], lost[:, None, :], 2)  # [rows, first, lost]
        columns = inverse[lost] - before.transpose(0, 2, 1) @ taken[:, :first]
        square = columns[every[..., None], np.arange(last - first)[:, None], lost[:, None, :]]
        lower = np.linalg.cholesky(square)
        fresh = np.linalg.solve(lower, columns)
        amounts = np.linalg.solve(lower, weights[every, lost][..., None])[..., 0]
        weights -= (amounts[:, None, :] @ fresh)[:, 0]
        by_group = fresh.reshape(rows, last - first, groups, size)
        blocks -= np.einsum("rkgi,rkgj->rgij", by_group, by_group)
        blocks[every, out] = np.eye(size)
        taken[:, first:last] = fresh
        order[:, done : done + count] = out
        costs[:, done : done + count] = (amounts**2).reshape(rows, count, size).sum(axis=2)
    return order, costs


def _diagonal_blocks(matrix: Matrix, size: int) -> Matrix:
    groups = len(matrix) // size
    at = np.arange(groups)
    return matrix.reshape(groups, size, groups, size)[at, :, at, :]


def _scores(weights: Matrix, blocks: Matrix) -> Matrix:
    """What each group costs [rows, groups]; weights [rows, groups, size]."""
    if weights.shape[2] == 1:
        return np.asarray((weights**2)[..., 0] / np.maximum(blocks[..., 0, 0], 1e-300))
    solved = np.linalg.solve(blocks, weights[..., None])[..., 0]
    return np.asarray(np.einsum("rgi,rgi->rg", weights, solved))
