"""Channel rows: how each output channel goes from its int32 accumulator to int8.

The reference computes, for an accumulator a, multiplier m and right shift s,

    x = saturating rounding doubling high multiply of a and m
    y = x / 2**s rounded half away from zero, plus the output zero point

The kernels' short path is x = SMMULR(a << 1, m); y = (x + (x >> 31) + rounding) >> s with the
output zero point inside `rounding`.  Both are equal where a << 1 and the sum do not overflow, which
is proved here for each row from its own weights; rows without the proof are marked exact.

Source: gemmlowp fixedpoint.h; the identity is argued in DESIGN.md, section "Requantisation".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.quantize import Rescale

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_HALF_RANGE = 2**30


def wrap_int32(value: int) -> int:
    """The int32 that a sum ends up as."""
    return (value + 2**31) % 2**32 - 2**31


def accumulator_bounds(row: NDArray[np.int64], bias: int, in_zero_point: int) -> tuple[int, int]:
    """Least and greatest value of bias + sum of w * (q - zero point) over all int8 inputs q.

    A tap that is padding or not met adds 0, which lies between the bounds of its own product.
    """
    low, high = -128 - in_zero_point, 127 - in_zero_point
    positive, negative = int(row[row > 0].sum()), int(row[row < 0].sum())
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def _high_multiply(accumulator: int, multiplier: int) -> int:
    return (2 * accumulator * multiplier + 2**31) >> 32


def rescale_exact(accumulator: int, rescale: Rescale) -> int:
    """An accumulator rescaled as defined, for any factor, before the output zero point."""
    left, right = max(rescale.shift, 0), max(-rescale.shift, 0)
    high = (wrap_int32(accumulator << left) * rescale.multiplier + 2**30) >> 31
    rounded = (abs(high) + (1 << right >> 1)) >> right
    return rounded if high >= 0 else -rounded


def short_rounding(low: int, high: int, rescale: Rescale, out_zero_point: int) -> int | None:
    """The `rounding` constant of the short path, or None where it is not proved.

    low, high: bounds of the accumulator.
    """
    shift = -rescale.shift
    if not 1 <= shift <= 31 or low < -_HALF_RANGE or high >= _HALF_RANGE:
        return None
    rounding = (1 << (shift - 1)) + (out_zero_point << shift)
    least = _high_multiply(low, rescale.multiplier) - 1 + rounding
    greatest = _high_multiply(high, rescale.multiplier) + rounding
    fits = min(least, rounding - 1) >= _INT32_MIN and max(greatest, rounding) <= _INT32_MAX
    return rounding if fits else None


def channel_rows(
    weights: NDArray[np.int8],
    biases: NDArray[np.int32],
    rescales: Sequence[Rescale],
    *,
    in_zero_point: int,
    out_zero_point: int,
    whole_rows: bool = True,
    amounts: NDArray[np.int64] | None = None,
) -> bytes:
    """Struct `channel` for each row of weights [rows, columns].

    biases: [rows], int32.  amounts: [classes, rows], what comes on top of them in places; 0 where
    not given.  rescales: one a row.  whole_rows: every output meets all weights of its
    row, so that the bias takes the input's zero point in; else it stays as it is.
    """
    layout = native.layout("channel")
    rows = []
    tops = np.zeros((1, len(biases)), np.int64) if amounts is None else amounts
    least, most = tops.min(axis=0), tops.max(axis=0)
    for i, (row, bias, rescale) in enumerate(
        zip(weights.astype(np.int64), biases, rescales, strict=True)
    ):
        low, high = accumulator_bounds(row, int(bias), in_zero_point)
        low, high = low + int(least[i]), high + int(most[i])
        rounding = short_rounding(low, high, rescale, out_zero_point)
        folded = in_zero_point * int(row.sum()) if whole_rows else 0
        start = wrap_int32(int(bias) - folded)
        rows.append(
            layout.pack(
                bias=start,
                multiplier=rescale.multiplier,
                rounding=0 if rounding is None else rounding,
                shift=-rescale.shift,
                exact=1 if rounding is None else 0,
            )
        )
    return b"".join(rows)
