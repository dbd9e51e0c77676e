"""Encoding dense: int8 rows, each followed by zeros up to a multiple of four bytes.

The bytes are described at the top of ``cmsis_kernels/src/encoding/es_encoding_dense.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        rows * round_up(columns, 4) bytes.
    """
    return np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4))).tobytes()


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length is not that of such an array.
    """
    padded = columns + -columns % 4
    if len(data) != rows * padded:
        raise ValueError(f"{len(data)} bytes for {rows} x {columns} weights")
    return np.frombuffer(data, np.int8).reshape(rows, padded)[:, :columns].copy()
