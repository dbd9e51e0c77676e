"""Encoding columns: one byte a weight, eight rows side by side.

The bytes are described at the top of ``cmsis_kernels/src/encoding/es_encoding_columns.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS = 8
"""Rows of a block."""
_BYTE_OF_ROW = (0, 3, 2, 1, 4, 7, 6, 5)


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        8 bytes a column and block of eight rows.
    """
    rows, columns = weights.shape
    shifted = weights.astype(np.int64)
    shifted[::2] += 128
    blocks = np.pad(shifted, ((0, -rows % ROWS), (0, 0))).reshape(-1, ROWS, columns)
    return bytes(blocks[:, _BYTE_OF_ROW].transpose(0, 2, 1).astype(np.uint8).tobytes())


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length is not that of such an array.
    """
    blocks = -(-rows // ROWS)
    if len(data) != blocks * columns * ROWS:
        raise ValueError(f"{len(data)} bytes for {rows} x {columns} weights")
    stored = np.frombuffer(data, np.uint8).reshape(blocks, columns, ROWS).transpose(0, 2, 1)
    weights = stored[:, _BYTE_OF_ROW].reshape(-1, columns)[:rows].copy()
    weights[::2] -= 128
    return weights.view(np.int8)
