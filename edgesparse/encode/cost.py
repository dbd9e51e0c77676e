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


def depthwise(*, inputs: int, outputs: int, taps: int, channels: int) -> int:
    """Filters widened, then the input, then outputs; 9 taps are taken for the loop of 3 x 3."""
    if outputs == channels and inputs <= channels * taps:  # nothing but one window
        return round(outputs * (32 + 2.6 * taps) + 250)
    output = 15.8 if taps == 9 else 24 + 1.55 * taps
    return round(outputs * output + 1.75 * inputs + channels * (100 + 5 * taps))


def fully_connected_dense(*, batches: int, columns: int, rows: int) -> int:
    """Four rows at a time."""
    return round(batches * (rows * (44 + 1.4 * columns) + 1.9 * columns))


def fully_connected_delta8(*, batches: int, rows: int, non_zeros: int) -> int:
    """Non-zero weights only."""
    return round(batches * (53 * rows + 4.1 * non_zeros))


def add(elements: int) -> int:
    """One operand from a table, which takes as long as some hundred elements."""
    return 36 * elements if elements < 512 else round(10.3 * elements + 3500)


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


def pool(*, inputs: int, outputs: int) -> int:
    """Every input read once a window, every output divided."""
    return round(1.1 * inputs + 36 * outputs)


def softmax(elements: int) -> int:
    """One exponential an element, and the reciprocal of their sum."""
    return 145 * elements + 350


def max_pool(*, taps: int, outputs: int, words: bool) -> int:
    """Every tap of every output, compared with the greatest so far; four channels at a time?"""
    return 10 * outputs + (9 * taps // 4 if words else 12 * taps)


def move(*, runs: int, bytes_moved: int) -> int:
    """Runs of neighbouring bytes, a word at a time, or single bytes."""
    return 7 * runs if runs == bytes_moved else 20 * runs + 3 * bytes_moved // 2


def mean(*, inputs: int, outputs: int) -> int:
    """Every input read once, every output rescaled."""
    return round(1.1 * inputs + 80 * outputs)


def transpose_conv(*, outputs: int, products: int) -> int:
    """Every product by itself, every output rescaled."""
    return 100 * outputs + 6 * products


def copy(elements: int) -> int:
    """Bytes moved, and a few instructions around them."""
    return 40 + 2 * elements
