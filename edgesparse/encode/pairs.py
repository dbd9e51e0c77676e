"""Encoding pairs: words of two weights each, eight rows side by side.

The bytes are described at the top of ``cmsis_kernels/src/encoding/es_encoding_pairs.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgesparse.encode.dense_sums import lane_limit

ROWS = 8
"""Rows of a block."""


def fits(weights: npt.NDArray[np.int8]) -> bool:
    """Whether words hold them: no -128 above a negative weight.

    Args:
        weights: int8 [rows, columns].
    """
    lower, upper = weights[0::2], weights[1::2]
    return not bool(np.any((upper == -128) & (lower[: len(upper)] < 0)))


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights that fit.

    Args:
        weights: int8 [rows, columns].

    Returns:
        16 bytes a column and block of eight rows, and the limit of the lanes.
    """
    rows, columns = weights.shape
    wide = np.pad(weights.astype(np.int64), ((0, -rows % ROWS), (0, 0)))
    blocks = wide.reshape(-1, ROWS // 2, 2, columns).transpose(0, 3, 1, 2)
    words = blocks[..., 1] * 2**24 + blocks[..., 0]
    return words.astype("<i4").tobytes() + lane_limit(weights).to_bytes(4, "little")


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length is not that of such an array.
    """
    blocks = -(-rows // ROWS)
    if len(data) != blocks * columns * 16 + 4:
        raise ValueError(f"{len(data)} bytes for {rows} x {columns} weights")
    words = np.frombuffer(data[:-4], "<i4").reshape(blocks, columns, ROWS // 2).astype(np.int64)
    lower = (words + 2**23) % 2**24 - 2**23
    both = np.stack([lower, (words - lower) >> 24], axis=-1).transpose(0, 2, 3, 1)
    weights: npt.NDArray[np.int8] = both.reshape(-1, columns)[:rows].astype(np.int8)
    return weights
