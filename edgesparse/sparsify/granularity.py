"""How many neighbouring weights become zero together.

A group is `size` weights of one output channel that follow each other, input channels first, so
that kernels can skip it as one.  It goes or stays by its L2 norm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRANULARITIES: dict[str, int] = {"1x1": 1, "1x4": 4}
"""Weights of a group, by the name on the command line: output channels x input channels."""


def group_norms(magnitudes: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the L2 norm of each group of `size` magnitudes, flat; size divides their number."""
    if size == 1:
        return magnitudes.reshape(-1)
    return np.asarray(np.sqrt(np.square(magnitudes.reshape(-1, size)).sum(axis=1)))
