"""Predicted instructions of the kernels on Cortex-M4, to choose an encoding and to plan.

Sums of products fitted to exact counts of single layers in QEMU; tests/qemu/test_cost.py holds them
against the device.  They rank encodings; the device's own counts are the truth.
"""

from __future__ import annotations

from collections.abc import Mapping


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


def _inside(params: Mapping[str, int], side: str, size: str) -> int:
    """Taps inside the image along one side, summed over the output's places there."""
    reach = params[f"kernel_{side}"], params[f"dilation_{side}"]
    first = -params["pad_top" if side == "h" else "pad_left"]
    places = range(first, first + params[f"out_{side}"] * params[f"stride_{side}"])
    starts = places[:: params[f"stride_{side}"]]
    return sum(0 <= at + tap * reach[1] < params[size] for at in starts for tap in range(reach[0]))


def conv_skipping(params: Mapping[str, int], zeros: float, *, columns: int, unpacked: bool) -> int:
    """Listing of the inputs, unpacking for each band, and products of non-zero inputs.

    params: of struct conv_params.  zeros: share of the inputs.  unpacked: whether words of two
    weights are made for each band.
    """
    batches, blocks = params["batches"], -(-params["out_c"] // 8)
    pixels = batches * params["in_h"] * params["in_w"]
    positions = batches * params["out_h"] * params["out_w"]
    if params["kernel_h"] * params["kernel_w"] == 1 and pixels == positions:
        bands = -(-positions // params["band"])
    else:
        bands = batches * -(-params["out_h"] // max(params["band"] // params["out_w"], 1))
    listing = pixels * (25 + params["in_c"] * (4 + 3.5 * (1 - zeros)))
    words = 16.4 * columns if unpacked else 0
    inside = batches * _inside(params, "h", "in_h") * _inside(params, "w", "in_w")
    entries = inside * params["in_c"] * (1 - zeros)
    outputs = positions * (80 + 32 * params["kernel_h"])
    return round(listing + blocks * (bands * (300 + words) + outputs + 8.9 * entries))


def fully_connected_pairs(batches: int, rows: int, columns: int, zeros: float) -> int:
    """Listing of the inputs, and products of non-zero inputs, eight rows at a time."""
    blocks = -(-rows // 8)
    entries = columns * (1 - zeros)
    return round(batches * (4 * columns + 3.5 * entries + blocks * (390 + 8.9 * entries)))


def fully_connected_columns(batches: int, rows: int, columns: int, zeros: float) -> int:
    """As fully_connected_pairs, with weights of one byte, in pieces of 128 inputs."""
    blocks, entries = -(-rows // 8), columns * (1 - zeros)
    return round(batches * (4 * columns + 8.5 * entries + blocks * (330 + 14.4 * entries)))


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
