"""Encoding delta8: non-zero weights with 8-bit column steps, in groups of four.

The bytes and rules are described at the top of
``cmsis_kernels/src/encoding/es_encoding_delta8.c``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GROUP = 4
_MAX_STEP = 255
_MAX_GROUPS = 0xFFFF


def encode(weights: npt.NDArray[np.int8]) -> bytes:
    """Encode weights.

    Args:
        weights: int8 [rows, columns].

    Returns:
        The table of group counts, then the groups of every row.

    Raises:
        ValueError: a row needs more than 65535 groups, which the table cannot hold.
    """
    rows = weights.shape[0]
    row, column = np.nonzero(weights)
    steps = np.diff(column, prepend=0)
    first = np.diff(row, prepend=-1) != 0
    steps[first] = column[first]
    # A step of 1..255 is what fillers of 255 each leave to the weight they lead up to.
    fillers = np.maximum(steps - 1, 0) // _MAX_STEP
    entries = np.bincount(row, weights=fillers + 1, minlength=rows).astype(np.int64)
    groups = -(-entries // _GROUP)
    if groups.size and int(groups.max()) > _MAX_GROUPS:
        raise ValueError(f"{int(groups.max())} groups in a row, the most is {_MAX_GROUPS}")

    # Where each weight goes: behind all rows before its own, filled up to whole groups, and behind
    # the entries and fillers before it in its own row.
    row_start = (np.cumsum(groups) - groups) * _GROUP
    entry_start = np.cumsum(entries) - entries
    place = np.cumsum(fillers + 1) - 1 - entry_start[row] + row_start[row]
    total = int(groups.sum()) * _GROUP
    step_of = np.zeros(total, np.uint8)
    weight_of = np.zeros(total, np.int8)
    step_of[place] = steps - fillers * _MAX_STEP
    weight_of[place] = weights[row, column]
    bridged = np.repeat(place - fillers, fillers)
    nth = np.arange(bridged.size) - np.repeat(np.cumsum(fillers) - fillers, fillers)
    step_of[bridged + nth] = _MAX_STEP

    table = np.zeros(rows + rows % 2, "<u2")
    table[:rows] = groups
    stream = np.concatenate(
        [step_of.reshape(-1, _GROUP), weight_of.view(np.uint8).reshape(-1, _GROUP)], axis=1
    )
    return bytes(table.tobytes() + stream.tobytes())


def decode(data: bytes, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Decode what :func:`encode` made of int8 [rows, columns].

    Raises:
        ValueError: the length disagrees with the table, or a column is outside.
    """
    table_bytes = 2 * (rows + rows % 2)
    if len(data) < table_bytes:
        raise ValueError(f"{len(data)} bytes hold no table of {rows} rows")
    groups = np.frombuffer(data, "<u2", rows).astype(np.int64)
    if len(data) != table_bytes + int(groups.sum()) * 2 * _GROUP:
        raise ValueError(f"{len(data)} bytes, but the table counts {int(groups.sum())} groups")
    stream = np.frombuffer(data, np.uint8, offset=table_bytes).reshape(-1, 2, _GROUP)
    steps = stream[:, 0].ravel().astype(np.int64)
    values = stream[:, 1].ravel().view(np.int8)

    row = np.repeat(np.arange(rows), groups * _GROUP)
    reached = np.cumsum(steps)
    start = (np.cumsum(groups) - groups) * _GROUP
    before = np.concatenate([[0], reached])[start]
    column = reached - before[row]
    if column.size and int(column.max()) >= columns:
        raise ValueError(f"column {int(column.max())} of {columns}")
    weights = np.zeros((rows, columns), np.int8)
    used = values != 0
    weights[row[used], column[used]] = values[used]
    return weights
