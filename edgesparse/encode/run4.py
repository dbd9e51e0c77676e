"""Encoding run4: runs of zeros in 4 bits, and the non-zero weights.

The bytes and rules are described at the top of
``cmsis_kernels/src/encoding/es_encoding_run4.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SKIP = 15
_MAX_NIBBLES = 0xFFFF


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        The table of nibble counts, the nibbles of every row, then the non-zero weights.

    Raises:
        ValueError: a row needs more than 65535 nibbles, which the table cannot hold.
    """
    rows = weights.shape[0]
    row, column = np.nonzero(weights)
    runs = np.diff(column, prepend=0) - 1
    first = np.diff(row, prepend=-1) != 0
    runs[first] = column[first]
    skips = runs // _SKIP
    counts = np.bincount(row, weights=skips + 1, minlength=rows).astype(np.int64)
    if counts.size and int(counts.max()) > _MAX_NIBBLES:
        raise ValueError(f"{int(counts.max())} nibbles in a row, the most is {_MAX_NIBBLES}")

    # Where each weight's nibble goes: behind all rows before its own, each filled up to a whole
    # byte, and behind the nibbles before it in its own row.
    padded = counts + counts % 2
    row_start = np.cumsum(padded) - padded
    count_start = np.cumsum(counts) - counts
    place = np.cumsum(skips + 1) - 1 - count_start[row] + row_start[row]
    nibbles = np.zeros(int(padded.sum()), np.uint8)
    nibbles[place] = runs % _SKIP
    skipped = np.repeat(place - skips, skips)
    nth = np.arange(skipped.size) - np.repeat(np.cumsum(skips) - skips, skips)
    nibbles[skipped + nth] = _SKIP
    packed = nibbles[0::2] | nibbles[1::2] << 4
    return bytes(counts.astype("<u2").tobytes() + packed.tobytes() + weights[row, column].tobytes())


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length disagrees with table and nibbles, or a column is outside.
    """
    if len(data) < 2 * rows:
        raise ValueError(f"{len(data)} bytes hold no table of {rows} rows")
    counts = np.frombuffer(data, "<u2", rows).astype(np.int64)
    padded = counts + counts % 2
    nibble_bytes = int(padded.sum()) // 2
    if len(data) < 2 * rows + nibble_bytes:
        raise ValueError(f"{len(data)} bytes, but the table counts {int(counts.sum())} nibbles")
    packed = np.frombuffer(data, np.uint8, nibble_bytes, offset=2 * rows)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).ravel().astype(np.int64)
    values = np.frombuffer(data, np.int8, offset=2 * rows + nibble_bytes)

    # Fillers of odd rows are runs of 0 behind the last column read: they are taken out first.
    row = np.repeat(np.arange(rows), padded)
    start = (np.cumsum(padded) - padded)[row]
    real = np.arange(nibbles.size) - start < counts[row]
    row, nibbles = row[real], nibbles[real]
    used = nibbles != _SKIP
    reached = np.cumsum(nibbles + used)
    before = np.concatenate([[0], reached])[(np.cumsum(counts) - counts)]
    column = reached - before[row] - used
    if column.size and int(column.max()) >= columns:
        raise ValueError(f"column {int(column.max())} of {columns}")
    if len(values) != np.count_nonzero(used):
        raise ValueError(f"{len(values)} weights for {np.count_nonzero(used)} nibbles")
    weights = np.zeros((rows, columns), np.int8)
    weights[row[used], column[used]] = values
    return weights
