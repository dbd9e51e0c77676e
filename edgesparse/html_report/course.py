"""The share of zeros in a layer's outputs over time: an entry for each inference or window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.meta import LayerMeta
from edgesparse.telemetry.runs import RunResult, WindowResult

__all__ = ["Course", "course_of"]

_QUANTILES = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Shares of zeros, 0 to 1, in order of arrival.

    Of a window of inferences the mean, the least and the most; of a single one all three are its
    own share.
    """

    mean: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]

    def over_inputs(
        self, results: Sequence[RunResult | WindowResult], rows: int
    ) -> dict[str, float]:
        """How the share spreads over input rows: five quantiles.

        Of windows the rows are not told apart: then least and most are those of all inferences, and
        the middle is that of the windows' means.
        """
        by_row: dict[int, list[float]] = defaultdict(list)
        for result, value in zip(results, self.mean, strict=True):
            key = result.run % rows if isinstance(result, RunResult) else -1 - result.run
            by_row[key].append(float(value))
        means = [float(np.mean(values)) for values in by_row.values()]
        spread = {name: float(np.quantile(means, at)) for name, at in _QUANTILES.items()}
        if any(isinstance(result, WindowResult) for result in results):
            spread |= {"min": float(self.least.min()), "max": float(self.most.max())}
        return spread


def _shares(result: RunResult | WindowResult, layer: LayerMeta) -> tuple[float, float, float]:
    node = layer.node or 0
    zeros: tuple[float, float, float]
    if isinstance(result, RunResult):
        zeros = (result.layers[node].activation_zeros,) * 3
    else:
        window = result.layers[node]
        mean = window.activation_zeros_sum / window.runs
        zeros = (mean, window.activation_zeros_min, window.activation_zeros_max)
    mean, least, most = ((each + layer.constant_zeros) / layer.activations for each in zeros)
    return mean, least, most


def course_of(results: Sequence[RunResult | WindowResult], layer: LayerMeta) -> Course | None:
    """The course of a layer; None for one that has no outputs of its own."""
    if layer.node is None or not layer.activations:
        return None
    mean, least, most = zip(*(_shares(result, layer) for result in results), strict=True)
    return Course(np.array(mean), np.array(least), np.array(most))
