"""Second moments of a layer's inputs: all that least squares needs to know of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model
from edgesparse.rows import Rows
from edgesparse.sparsify.compensate.layer import Layer, patches, positions_of

__all__ = ["Problem", "problem_of"]

Matrix = NDArray[np.float64]

DAMPING = 0.01
"""Part of the mean diagonal of the second moments that is added to all of it.

Where there are fewer samples than taps it is as many times more, as then most directions are seen
by no sample.
"""
_SAMPLES_A_TAP = 24
_LEAST_SAMPLES = 12_288
_CHUNK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Weights W [outputs, taps] are to make W·x, plus a constant, as near as can be to a target.

    The mean square error of output r is (w - best_r) H (w - best_r)ᵀ and a constant, with
    H = C_xx + λI and best = (C_tx + λW)·H⁻¹: λ draws the weights to the layer's own, W.

    hessian: H.  mean_x, mean_t: of inputs and targets; 0 where the layer has no bias, and then the
    moments are taken about 0.
    """

    hessian: Matrix
    best: Matrix
    mean_x: NDArray[np.float64]
    mean_t: NDArray[np.float64]

    def losses(self, codes: Matrix) -> NDArray[np.float64]:
        """Mean square error of each output beyond the least, in steps of its accumulator."""
        error = codes - self.best
        return np.asarray(np.einsum("rk,rk->r", error @ self.hessian, error))

    def rescaled(self, factor: float) -> Problem:
        """The same problem where all codes stand for `factor` times as much."""
        return replace(self, best=self.best / factor, mean_t=self.mean_t / factor)

    def bias(self, codes: Matrix) -> NDArray[np.float64]:
        """The bias that goes with the weights: it keeps the mean of every output."""
        limit = 2**31 - 1
        return np.clip(np.rint(self.mean_t - codes @ self.mean_x), -limit, limit)


def problem_of(model: Model, layer: Layer, dense: Rows, pruned: Rows) -> Problem:
    """What the layer's new weights have to solve, from a fixed sample of their products.

    Args:
        model: the layer's.
        layer: as it was before anything changed.
        dense: its input in the network as it was, [rows, elements].
        pruned: its input behind the layers that have changed.
    """
    chosen = _sample(len(dense) * positions_of(model, layer), layer.codes.shape[1])
    taps, outputs = layer.codes.shape[1], len(layer.codes)
    bias = np.zeros(outputs) if layer.bias is None else layer.bias
    sum_x, sum_t = np.zeros(taps), np.zeros(outputs)
    xx, tx = np.zeros((taps, taps)), np.zeros((outputs, taps))
    for start in range(0, len(chosen), _CHUNK):
        part = chosen[start : start + _CHUNK]
        x = patches(model, layer, pruned, part)
        before = x if dense is pruned else patches(model, layer, dense, part)
        t = before @ layer.codes.T + bias
        sum_x += x.sum(axis=0)
        sum_t += t.sum(axis=0)
        xx += x.T @ x
        tx += t.T @ x
    count = len(chosen)
    mean_x, mean_t = sum_x / count, sum_t / count
    if layer.bias is None:
        mean_x, mean_t = np.zeros(taps), np.zeros(outputs)
    hessian = xx / count - np.outer(mean_x, mean_x)
    mean_diagonal = float(np.diag(hessian).mean())
    damping = max(DAMPING * max(1.0, float(taps / count)) * mean_diagonal, 1e-6)
    hessian[np.diag_indices(taps)] += damping
    wanted = tx / count - np.outer(mean_t, mean_x) + damping * layer.codes
    return Problem(hessian, np.linalg.solve(hessian, wanted.T).T, mean_x, mean_t)


def _sample(products: int, taps: int) -> NDArray[np.int64]:
    """Products to look at: all, or as many as the taps call for, drawn by a fixed seed."""
    wanted = max(_LEAST_SAMPLES, _SAMPLES_A_TAP * taps)
    if products <= wanted:
        return np.arange(products)
    return np.sort(np.random.default_rng(products).choice(products, wanted, replace=False))
