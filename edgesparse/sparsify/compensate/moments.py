"""Second moments of a layer's inputs: all that least squares needs to know of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model
from edgesparse.rows import Rows
from edgesparse.sparsify.compensate.layer import Layer, patches, positions_of

__all__ = ["Problem", "problems_of"]

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

    def rescaled(self, factors: NDArray[np.float64]) -> Problem:
        """The same problem where the codes of output r stand for factors[r] times as much."""
        return replace(self, best=self.best / factors[:, None], mean_t=self.mean_t / factors)

    def bias(self, codes: Matrix) -> NDArray[np.float64]:
        """The bias that goes with the weights: it keeps the mean of every output."""
        limit = 2**31 - 1
        return np.clip(np.rint(self.mean_t - codes @ self.mean_x), -limit, limit)


def problems_of(model: Model, layer: Layer, dense: Rows, pruned: Rows) -> list[Problem]:
    """What the layer's new weights have to solve, from a fixed sample of their products.

    Args:
        model: the layer's.
        layer: as it was before anything changed.
        dense: its input in the network as it was, [rows, elements].
        pruned: its input behind the layers that have changed.

    Returns:
        One problem with all outputs; of a depthwise layer, whose outputs have inputs of their own,
        one for each output.
    """
    chosen = _sample(len(dense) * positions_of(model, layer), layer.codes.shape[1])
    outputs = len(layer.codes)
    inputs = outputs if layer.is_depthwise else 1
    sums = _Sums(inputs, outputs // inputs, layer.codes.shape[1])
    bias = np.zeros(outputs) if layer.bias is None else layer.bias
    for start in range(0, len(chosen), _CHUNK):
        part = chosen[start : start + _CHUNK]
        x = patches(model, layer, pruned, part)
        before = x if dense is pruned else patches(model, layer, dense, part)
        if layer.is_depthwise:
            t = np.einsum("nto,ot->on", before, layer.codes) + bias[:, None]
            sums.add(x.transpose(2, 0, 1), t)
        else:
            sums.add(x[None], (before @ layer.codes.T + bias).T)
    at = [slice(i, i + 1) for i in range(outputs)] if layer.is_depthwise else [slice(None)]
    return [sums.problem(i, layer.codes[rows], layer.bias is None) for i, rows in enumerate(at)]


class _Sums:
    """Sums over products, for each of `inputs` inputs with `outputs` outputs each."""

    def __init__(self, inputs: int, outputs: int, taps: int) -> None:
        self.count = 0
        self.x, self.t = np.zeros((inputs, taps)), np.zeros((inputs, outputs))
        self.xx, self.tx = np.zeros((inputs, taps, taps)), np.zeros((inputs, outputs, taps))

    def add(self, x: Matrix, t: Matrix) -> None:
        """Take in products x [inputs, products, taps] and targets [inputs · outputs, products]."""
        t = t.reshape(*self.t.shape, -1)
        self.count += x.shape[1]
        self.x += x.sum(axis=1)
        self.t += t.sum(axis=2)
        self.xx += x.transpose(0, 2, 1) @ x
        self.tx += t @ x

    def problem(self, at: int, codes: Matrix, is_about_zero: bool) -> Problem:
        """The problem of one of the inputs, `codes` being the weights of its outputs."""
        taps = codes.shape[1]
        mean_x, mean_t = self.x[at] / self.count, self.t[at] / self.count
        if is_about_zero:
            mean_x, mean_t = np.zeros_like(mean_x), np.zeros_like(mean_t)
        hessian = self.xx[at] / self.count - np.outer(mean_x, mean_x)
        mean_diagonal = float(np.diag(hessian).mean())
        damping = max(DAMPING * max(1.0, taps / self.count) * mean_diagonal, 1e-6)
        hessian[np.diag_indices(taps)] += damping
        wanted = self.tx[at] / self.count - np.outer(mean_t, mean_x) + damping * codes
        return Problem(hessian, np.linalg.solve(hessian, wanted.T).T, mean_x, mean_t)


def _sample(products: int, taps: int) -> NDArray[np.int64]:
    """Products to look at: all, or as many as the taps call for, drawn by a fixed seed."""
    wanted = max(_LEAST_SAMPLES, _SAMPLES_A_TAP * taps)
    if products <= wanted:
        return np.arange(products)
    return np.sort(np.random.default_rng(products).choice(products, wanted, replace=False))
