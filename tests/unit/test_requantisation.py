"""The proof for the short path, against the definition in exact integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgesparse import native
from edgesparse.encode.requantisation import accumulator_bounds, channel_rows, short_rounding
from edgesparse.quantize import Rescale


def by_definition(accumulator: int, rescale: Rescale, zero_point: int) -> int:
    """MultiplyByQuantizedMultiplier with two roundings, for right shifts, plus zero point."""
    product = accumulator * rescale.multiplier
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    high = abs(product + nudge) >> 31
    high = high if product + nudge >= 0 else -high
    shift = -rescale.shift
    if shift == 0:
        return high + zero_point
    remainder = high & ((1 << shift) - 1)
    threshold = ((1 << shift) - 1 >> 1) + (1 if high < 0 else 0)
    return (high >> shift) + (1 if remainder > threshold else 0) + zero_point


def short_path(accumulator: int, rescale: Rescale, rounding: int) -> int:
    """What the kernels do, with every intermediate checked to fit in int32."""
    doubled = accumulator << 1
    x = (doubled * rescale.multiplier + 2**31) >> 32
    total = x + (x >> 31) + rounding
    for value in (doubled, x, x + (x >> 31), total, rounding):
        assert -(2**31) <= value < 2**31
    return total >> -rescale.shift


@given(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**25),
    st.integers(2**30, 2**31 - 1),
    st.integers(0, 31),
    st.integers(-128, 127),
)
def test_a_proved_row_takes_the_short_path_exactly(
    low: int, span: int, multiplier: int, shift: int, zero_point: int
) -> None:
    rescale = Rescale(multiplier, -shift)
    rounding = short_rounding(low, low + span, rescale, zero_point)
    if rounding is None:
        return
    for accumulator in (low, low + span, low + span // 2, low + span // 3):
        expected = by_definition(accumulator, rescale, zero_point)
        assert short_path(accumulator, rescale, rounding) == expected


def test_ordinary_rows_are_proved_and_extreme_ones_are_not() -> None:
    rescale = Rescale(1 << 30, -7)
    assert short_rounding(-100_000, 100_000, rescale, -128) is not None
    assert short_rounding(0, 2**30, rescale, 0) is None
    assert short_rounding(-(2**30) - 1, 0, rescale, 0) is None
    assert short_rounding(0, 1, Rescale(1 << 30, 0), 0) is None
    assert short_rounding(0, 1, Rescale(1 << 30, 3), 0) is None
    assert short_rounding(0, 1, Rescale(1 << 30, -31), 127) is None


def test_accumulator_bounds_are_reached() -> None:
    row = np.array([3, -2, 0], np.int64)
    low, high = accumulator_bounds(row, 10, 5)
    inputs = [np.array(v) - 5 for v in ([127, -128, 0], [-128, 127, 0])]
    assert high == 10 + int((row * inputs[0]).sum())
    assert low == 10 + int((row * inputs[1]).sum())


def test_channel_rows_fold_the_zero_point_into_the_bias() -> None:
    weights = np.array([[1, 2], [-3, 0]], np.int8)
    rescales = (Rescale(1 << 30, -8), Rescale(1 << 30, 2))
    rows = channel_rows(
        weights, np.array([100, 2**31 - 1]), rescales, in_zero_point=-128, out_zero_point=1
    )
    layout = native.layout("channel")
    first, second = layout.unpack(rows), layout.unpack(rows, layout.size_bytes)
    assert first["bias"] == 100 + 128 * 3
    assert (first["exact"], first["shift"], first["rounding"]) == (0, 8, (1 << 7) + (1 << 8))
    assert second["bias"] == 2**31 - 1 + 128 * -3
    assert (second["exact"], second["shift"], second["rounding"]) == (1, -2, 0)
