"""Encoding group4: groups of four columns with a non-zero weight, 8-bit steps, in blocks of four.

The bytes and rules are described at the top of
``cmsis_kernels/src/encoding/es_encoding_group4.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_COLUMNS = 4
_BLOCK = 4
_MAX_STEP = 255
_MAX_BLOCKS = 0xFFFF


def kept_groups(weights: npt.NDArray[np.int8]) -> int:
    """Groups of int8 [rows, columns] that are not all zero; a row's last one may be shorter."""
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % _COLUMNS)))
    return int(np.count_nonzero(padded.reshape(len(weights), -1, _COLUMNS).any(axis=2)))


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        The table of block counts, then the blocks of every row.

    Raises:
        ValueError: columns is no multiple of four, or a row needs more than 65535 blocks.
    """
    rows, columns = weights.shape
    if columns % _COLUMNS != 0:
        raise ValueError(f"{columns} columns are no multiple of {_COLUMNS}")
    grouped = weights.reshape(rows, -1, _COLUMNS)
    table, body = [], b""
    for row in grouped:
        steps, values = _entries(row)
        blocks = len(steps) // _BLOCK
        if blocks > _MAX_BLOCKS:
            raise ValueError(f"{blocks} blocks in a row, the most is {_MAX_BLOCKS}")
        table.append(blocks)
        stream = [
            steps.reshape(-1, _BLOCK),
            values.view(np.uint8).reshape(blocks, _BLOCK * _COLUMNS),
        ]
        body += np.concatenate(stream, axis=1).tobytes()
    return np.array(table + [0] * (rows % 2), "<u2").tobytes() + body


def _entries(row: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
    """The steps and weights of a row [groups, 4], fillers included, whole blocks of them."""
    kept = np.flatnonzero(row.any(axis=1))
    ways = np.diff(kept, prepend=0)
    fillers = np.maximum(ways - 1, 0) // _MAX_STEP
    places = np.cumsum(fillers + 1) - 1  # of what is kept; fillers come before
    count = len(kept) + int(fillers.sum())
    count += -count % _BLOCK
    steps, values = np.zeros(count, np.uint8), np.zeros((count, _COLUMNS), np.int8)
    steps[: places.max(initial=0)] = _MAX_STEP
    steps[places] = ways - fillers * _MAX_STEP
    values[places] = row[kept]
    return steps, values


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length disagrees with the table, or a group is outside.
    """
    table_bytes = 2 * (rows + rows % 2)
    if len(data) < table_bytes:
        raise ValueError(f"{len(data)} bytes hold no table of {rows} rows")
    blocks = np.frombuffer(data, "<u2", rows).astype(np.int64)
    block_bytes = _BLOCK * (1 + _COLUMNS)
    if len(data) != table_bytes + int(blocks.sum()) * block_bytes:
        raise ValueError(f"{len(data)} bytes, but the table counts {int(blocks.sum())} blocks")
    weights = np.zeros((rows, columns // _COLUMNS, _COLUMNS), np.int8)
    stream = np.frombuffer(data, np.uint8, offset=table_bytes).reshape(-1, block_bytes)
    for row, part in enumerate(np.split(stream, np.cumsum(blocks)[:-1])):
        reached = np.cumsum(part[:, :_BLOCK].ravel().astype(np.int64))
        values = part[:, _BLOCK:].reshape(-1, _COLUMNS).view(np.int8)
        used = values.any(axis=1)
        if reached.size and int(reached.max()) >= weights.shape[1]:
            raise ValueError(f"group {int(reached.max())} of {weights.shape[1]}")
        weights[row, reached[used]] = values[used]
    return weights.reshape(rows, columns)
