"""Encoding dense_sums: dense rows, the sum of each, and how many products a lane holds.

The bytes are described at the top of ``cmsis_kernels/src/encoding/es_encoding_dense_sums.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgesparse.encode import dense

_LANE = 2**23 - 1
_FACTOR = 255
NO_LIMIT = 0xFFFFFFFF


def lane_limit(weights: npt.NDArray[np.int8]) -> int:
    """How many products with factors of -255..255 any row's sum holds in 24 bits.

    Args:
        weights: int8 [rows, columns].

    Returns:
        256 or more; NO_LIMIT where all of a row fit.
    """
    sizes = -np.sort(-np.abs(weights.astype(np.int64)), axis=1) * _FACTOR
    fits = np.all(np.cumsum(sizes, axis=1) <= _LANE, axis=0)
    return NO_LIMIT if fits.all() else int(np.argmin(fits))


def fits(weights: npt.NDArray[np.int8]) -> bool:
    """Whether words of two rows hold the weights: no -128 above a negative one.

    Args:
        weights: int8 [rows, columns].
    """
    lower, upper = weights[0::2], weights[1::2]
    return not bool(np.any((upper == -128) & (lower[: len(upper)] < 0)))


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        The rows as in dense, a sum a row, and the limit.
    """
    sums = bytes(weights.astype(np.int64).sum(axis=1).astype("<i4"))
    return dense.encode(weights) + sums + lane_limit(weights).to_bytes(4, "little")


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length is not that of such an array.
    """
    return dense.decode(data[: -4 * rows - 4], rows, columns)
