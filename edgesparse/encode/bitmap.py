"""Encoding bitmap: a bit a weight, and the non-zero weights.

The bytes and rules are described at the top of
``cmsis_kernels/src/encoding/es_encoding_bitmap.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        The bits of every row in words, then the non-zero weights.
    """
    padded = np.pad(weights != 0, ((0, 0), (0, -weights.shape[1] % 32)))
    words = np.packbits(padded, axis=1).view(">u4").astype("<u4")
    return bytes(words.tobytes() + weights[weights != 0].tobytes())


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length disagrees with the bits, or a bit is behind the last column.
    """
    words = (columns + 31) // 32
    if len(data) < rows * words * 4:
        raise ValueError(f"{len(data)} bytes hold no bits of {rows} x {columns} weights")
    bits = np.frombuffer(data, "<u4", rows * words).astype(">u4").view(np.uint8)
    used = np.unpackbits(bits.reshape(rows, words * 4), axis=1).astype(bool)
    if used[:, columns:].any():
        raise ValueError(f"a bit is set behind column {columns - 1}")
    values = np.frombuffer(data, np.int8, offset=rows * words * 4)
    if len(values) != np.count_nonzero(used):
        raise ValueError(f"{len(values)} weights, but {np.count_nonzero(used)} bits are set")
    weights = np.zeros((rows, columns), np.int8)
    weights[used[:, :columns]] = values
    return weights
