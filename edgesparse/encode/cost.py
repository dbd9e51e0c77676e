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


def conv_group4(
    *, positions: int, kernel_h: int, columns: int, rows: int, groups: int, band: int
) -> int:
    """Packing; unpacking a row's groups once a band; four weights for four positions."""
    packing = positions * (40 + 70 * kernel_h + 1.4 * columns)
    unpacking = -(-positions // band) * (60 * rows + 11 * groups)
    tiles, rest = divmod(positions, 4)
    products = tiles * (43 * rows + 12.6 * groups)
    if rest:  # a single position left over costs less than two or three
        products += 45 * rows + 8 * groups if rest == 1 else 100 * rows + 13 * groups
    return round(packing + unpacking + products)


def depthwise(*, positions: int, taps: int, channels: int) -> int:
    """Filters widened once, then every tap of every channel."""
    return round(positions * channels * (23 + 0.62 * taps) + 40 * taps * channels)


def fully_connected_dense(*, batches: int, columns: int, rows: int) -> int:
    """Four rows at a time."""
    return round(batches * (rows * (44 + 1.4 * columns) + 1.9 * columns))


def fully_connected_delta8(*, batches: int, rows: int, non_zeros: int) -> int:
    """Non-zero weights only."""
    return round(batches * (53 * rows + 4.1 * non_zeros))


def fully_connected_group4(*, batches: int, columns: int, rows: int, groups: int) -> int:
    """Groups with non-zero weights only, for one vector or four."""
    if batches == 1:
        return 53 * rows + 9 * groups
    tiles = -(-batches // 4)
    return round(1.4 * batches * columns + tiles * (120 * rows + 23.6 * groups))


def add(elements: int) -> int:
    """Two rescalings an element, one of them a shift."""
    return 17 * elements


def add_broadcast(elements: int) -> int:
    """As add, but the shift is not taken out of the loop."""
    return 21 * elements


def mul(elements: int) -> int:
    """A product and its rescaling."""
    return 15 * elements


def extremum(elements: int) -> int:
    """A comparison."""
    return 9 * elements


def lut(elements: int) -> int:
    """One look-up an element."""
    return 5 * elements


def pool(*, inputs: int) -> int:
    """Every input read once a window."""
    return round(3.2 * inputs)


def softmax(elements: int) -> int:
    """Two exponentials an element."""
    return 334 * elements


def max_pool(*, taps: int, outputs: int, words: bool) -> int:
    """Every tap of every output, compared with the greatest so far; four channels at a time?"""
    return 10 * outputs + (9 * taps // 4 if words else 12 * taps)


def move(*, runs: int, bytes_moved: int) -> int:
    """Runs of neighbouring bytes, a word at a time, or single bytes."""
    return 7 * runs if runs == bytes_moved else 20 * runs + 3 * bytes_moved // 2


def mean(*, inputs: int, outputs: int) -> int:
    """Every input read once, every output rescaled."""
    return 5 * inputs + 70 * outputs


def transpose_conv(*, outputs: int, products: int) -> int:
    """Every product by itself, every output rescaled."""
    return 100 * outputs + 6 * products


def copy(elements: int) -> int:
    """Bytes moved, and a few instructions around them."""
    return 40 + 2 * elements
