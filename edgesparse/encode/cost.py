"""Predicted instructions of the kernels on Cortex-M4, to choose an encoding and to plan.

Sums of products fitted to exact counts of single layers in QEMU; tests/qemu/test_cost.py holds them
against the device.  They rank encodings; the device's own counts are the truth.
"""

from __future__ import annotations


def conv_dense(*, positions: int, columns: int, rows: int) -> int:
    """Packing of each position, then two filters by two positions."""
    return round(positions * (95 + 3.6 * columns + rows * (16.6 + 1.06 * columns)))


def conv_delta8(*, positions: int, columns: int, rows: int, non_zeros: int) -> int:
    """Packing of each position, then each non-zero weight for four positions."""
    packing, outputs, products = 3.5 * columns, 20.8 * rows, 1.94 * non_zeros
    return round(positions * (packing + outputs + products) + 2 * non_zeros)


def depthwise(*, positions: int, taps: int, channels: int) -> int:
    """Filters widened once, then every tap of every channel."""
    return round(positions * channels * (23 + 0.62 * taps) + 40 * taps * channels)


def fully_connected_dense(*, batches: int, columns: int, rows: int) -> int:
    """Four rows at a time."""
    return round(batches * (rows * (44 + 1.4 * columns) + 1.9 * columns))


def fully_connected_delta8(*, batches: int, rows: int, non_zeros: int) -> int:
    """Non-zero weights only."""
    return round(batches * (53 * rows + 4.1 * non_zeros))


def add(elements: int) -> int:
    """Two rescalings an element, one of them a shift."""
    return 17 * elements


def pool(*, inputs: int) -> int:
    """Every input read once a window."""
    return round(3.2 * inputs)


def softmax(elements: int) -> int:
    """Two exponentials an element."""
    return 334 * elements


def copy(elements: int) -> int:
    """Bytes moved, and a few instructions around them."""
    return 40 + 2 * elements
