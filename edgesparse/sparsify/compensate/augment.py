"""More calibration rows than there are: mixtures of two rows, moved a little, with noise.

Least squares on fewer products than a layer has taps fits what happens to be in them.  No labels
are needed, since the dense network says what it does with any input, so that inputs only have to be
like real ones, not real.

Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model
from edgesparse.rows import Rows

__all__ = ["ENOUGH_ROWS", "augmented"]

ENOUGH_ROWS = 500
"""Up to as many rows are made."""
_LEAST_SHARE = 0.5
"""Of the row that another one is mixed into."""
_MOVE = 12
"""A part of a side of an image, as which it is moved at most along it."""
_NOISE = 0.1
"""Standard deviation of the noise, in that of the input."""


def augmented(model: Model, rows: Mapping[int, Rows]) -> dict[int, Rows]:
    """The rows, and made up ones behind them until there are ENOUGH_ROWS; the same each time."""
    count = min(len(values) for values in rows.values())
    missing = ENOUGH_ROWS - count
    if missing <= 0:
        return dict(rows)
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, count, (2, missing))
    share = rng.uniform(_LEAST_SHARE, 1.0, (missing, 1))
    found = {}
    for index, values in rows.items():
        mixed = share * values[one] + (1.0 - share) * values[other]
        mixed = _moved(mixed, model.tensors[index].shape, rng)
        mixed += rng.normal(0.0, _NOISE * float(values.astype(np.float64).std()), mixed.shape)
        codes = np.clip(np.rint(mixed), -128, 127).astype(np.int8)
        found[index] = np.concatenate([values, codes])
    return found


def _moved(
    rows: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Images [N, H, W, C] moved along H and W, their edges repeated; other rows as they are."""
    if len(shape) != 4:
        return rows
    images = rows.reshape(len(rows), *shape)
    for axis in (1, 2):
        most = shape[axis] // _MOVE
        moves = rng.integers(-most, most + 1, len(rows))
        for at, move in enumerate(moves):
            places = np.clip(np.arange(shape[axis]) + move, 0, shape[axis] - 1)
            images[at] = images[at].take(places, axis=axis)
    return images.reshape(len(rows), -1)
