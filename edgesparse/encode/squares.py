"""Encoding squares: words of two rows by two columns, eight rows side by side.

The bytes are described at the top of ``cmsis_kernels/src/encoding/es_encoding_squares.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS = 8
"""Rows of a block."""


def _words(columns: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Rows [2 pairs, 4 groups] as the bytes of a block, [4 groups * 2 pairs]."""
    rows, width = columns.shape
    # pair, row of the pair, group, which of the group's two, column of that pair
    split = columns.reshape(rows // 2, 2, width // 4, 2, 2)
    return split.transpose(2, 4, 0, 3, 1).reshape(-1)


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        round_up(rows, 2) * round_up(columns, 4) bytes.
    """
    rows, columns = weights.shape
    stored = weights.view(np.uint8).copy()
    stored[::2] += 128
    padded = np.pad(stored, ((0, rows % 2), (0, -columns % 4)))
    return b"".join(_words(padded[i : i + ROWS]).tobytes() for i in range(0, rows, ROWS))


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length is not that of such an array.
    """
    high, width = rows + rows % 2, columns + -columns % 4
    if len(data) != high * width:
        raise ValueError(f"{len(data)} bytes for {rows} x {columns} weights")
    blocks = []
    for i in range(0, high, ROWS):
        count = min(ROWS, high - i)
        block = np.frombuffer(data, np.uint8, count * width, i * width)
        split = block.reshape(width // 4, 2, count // 2, 2, 2)
        blocks.append(split.transpose(2, 4, 0, 3, 1).reshape(count, width))
    weights = np.concatenate(blocks)[:rows, :columns].copy()
    weights[::2] -= 128
    decoded: npt.NDArray[np.int8] = weights.view(np.int8)
    return decoded
