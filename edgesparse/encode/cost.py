"""Predicted instructions of the kernels, to choose an encoding and to plan.

Straight lines fitted to exact counts on Cortex-M4; `tests/qemu/test_cost.py` holds them against the
device.  They rank encodings; the device's own counts are the truth.
"""

from __future__ import annotations


def conv_dense(*, positions: int, columns: int, rows: int) -> int:
    """im2col of each position once, then two filters by two positions."""
    return positions * (5 * columns + rows * (14 + 5 * columns // 4))


def conv_delta8(*, positions: int, columns: int, rows: int, non_zeros: int) -> int:
    """Packing of each position once, then each non-zero weight for four positions."""
    return positions * (6 * columns + 17 * rows + 2 * non_zeros)


def depthwise(*, positions: int, taps: int, channels: int) -> int:
    """Every tap of every channel."""
    return positions * channels * (18 + 3 * taps)


def fully_connected_dense(*, batches: int, columns: int, rows: int) -> int:
    """Four rows at a time."""
    return batches * rows * (18 + 7 * columns // 4)


def fully_connected_delta8(*, batches: int, rows: int, non_zeros: int) -> int:
    """Non-zero weights only."""
    return batches * (24 * rows + 5 * non_zeros)


def elementwise(elements: int) -> int:
    """An operator that does a few steps an element."""
    return 25 * elements


def pool(*, inputs: int) -> int:
    """Every input read once a window."""
    return 6 * inputs


def softmax(elements: int) -> int:
    """Two exponentials an element."""
    return 300 * elements


def copy(elements: int) -> int:
    """Bytes moved, and a few instructions around them."""
    return 40 + 2 * elements
