"""Tables of int8 functions: TFLite's reference arithmetic, evaluated for all 256 inputs.

A function of one int8 becomes 256 bytes that the device looks up; so every operator here is one
kernel on the device, and the exact arithmetic of each is on the host only.  All take the scales and
zero points of input and output, and raise ModelError where TFLite's result is undefined or leaves
the range in which it was checked.

Where a scale is divided in float32 and where in double decides the last bit of a multiplier, so
each function says which it is.

Source: activations.cc, quantize.cc, internal/common.h and
internal/reference/{hard_swish,leaky_relu,requantize}.h in tensorflow/lite/kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.errors import ModelError
from edgesparse.quantize import quantize_multiplier

Table = NDArray[np.int8]
"""Outputs of the inputs -128 ... 127, in this order."""

_MAX_LEFT_SHIFT = 22
"""A difference of two int8 shifted left by more does not stay below 2**30."""

_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1
_LOGISTIC_SCALE = 1 / 256


@dataclass(frozen=True, slots=True)
class Affine:
    """Scale, a float32 value, and zero point of a tensor."""

    scale: float
    zero_point: int


def _table(values: Callable[[int], int]) -> Table:
    """The table of a function of the stored input, clamped to int8."""
    return np.array([max(-128, min(127, values(code))) for code in range(-128, 128)], np.int8)


def _divide(first: float, second: float) -> float:
    """A quotient in float32."""
    with np.errstate(over="ignore"):
        return float(np.float32(first) / np.float32(second))


def _rounding_shift_right(value: int, bits: int) -> int:
    """Value / 2**bits, halves away from zero."""
    size = (abs(value) + (1 << bits >> 1)) >> bits
    return size if value >= 0 else -size


def _scaling(factor: float) -> Callable[[int], int]:
    """Multiplication of a difference by a factor, rounded twice as TFLite does."""
    multiplier, shift = quantize_multiplier(factor)
    if shift > _MAX_LEFT_SHIFT:
        raise ModelError(f"rescaling factor {factor!r} is not below 2**{_MAX_LEFT_SHIFT}")
    left, right = max(shift, 0), max(-shift, 0)

    def scaled(difference: int) -> int:
        # The product rounds halves up, as its nudge and truncation come to.
        high = ((difference << left) * multiplier + (1 << 30)) >> 31
        return _rounding_shift_right(high, right)

    return scaled


def requantize(source: Affine, result: Affine) -> Table:
    """QUANTIZE from int8 to int8; the factor is a quotient in double."""
    scaled = _scaling(source.scale / result.scale)
    return _table(lambda code: scaled(code - source.zero_point) + result.zero_point)


def _bound(limit: float, result: Affine) -> int:
    """The code of a real limit, its quotient in float32, halves away from zero."""
    steps = _divide(limit, result.scale)
    if abs(steps) >= 2**30:
        raise ModelError(f"output scale {result.scale!r} is too small to clip at {limit}")
    return result.zero_point + int(np.copysign(np.floor(abs(steps) + 0.5), steps))


def relu(source: Affine, result: Affine, low: float, high: float | None) -> Table:
    """RELU, RELU6 and RELU_N1_TO_1: clipped to low ... high; the factor is a float32 quotient."""
    scaled = _scaling(_divide(source.scale, result.scale))
    least = max(-128, _bound(low, result))
    greatest = 127 if high is None else min(127, _bound(high, result))

    def value(code: int) -> int:
        exact = scaled(code - source.zero_point) + result.zero_point
        return min(greatest, max(least, exact))

    return _table(value)


def leaky_relu(source: Affine, result: Affine, alpha: float) -> Table:
    """LEAKY_RELU; scale · alpha / scale is in float32, and so is the factor above 0."""
    if not alpha >= 0.0:
        raise ModelError(f"alpha {alpha!r} is not 0 or above")
    with np.errstate(over="ignore"):
        slope = float(np.float32(source.scale) * np.float32(alpha))
    above = _scaling(_divide(source.scale, result.scale))
    below = _scaling(_divide(slope, result.scale))

    def value(code: int) -> int:
        difference = code - source.zero_point
        return (above if difference >= 0 else below)(difference) + result.zero_point

    return _table(value)


def _of_float(source: Affine, result: Affine, function: Callable[[float], np.float32]) -> Table:
    """A function of a float32, taken of the real input: all arithmetic is in float32."""
    inverse = np.float32(1.0) / np.float32(result.scale)

    def value(code: int) -> int:
        real = np.float32(source.scale) * np.float32(code - source.zero_point)
        steps = function(float(real)) * inverse
        if not abs(steps) < 2**30:
            raise ModelError(f"output scale {result.scale!r} is too small")
        # round() gives a float32; the zero point is added in float32 and cut off to an integer.
        rounded = np.float32(np.copysign(np.floor(abs(float(steps)) + 0.5), steps))
        return int(rounded + np.float32(result.zero_point))

    with np.errstate(over="ignore"):
        return _table(value)


def logistic(source: Affine, result: Affine) -> Table:
    """LOGISTIC; TFLite wants an output scale of 1/256."""
    if result.scale != _LOGISTIC_SCALE:
        raise ModelError(f"output has scale {result.scale!r}, TFLite fixes it at 1/256")
    one = np.float32(1.0)
    return _of_float(
        source, result, lambda x: np.float32(one / (one + np.float32(native.exp_float32(-x))))
    )


def tanh(source: Affine, result: Affine) -> Table:
    """TANH, with any output scale."""
    return _of_float(source, result, lambda x: np.float32(native.tanh_float32(x)))


def _int16_factor(factor: float, what: str, most: int) -> tuple[int, int]:
    """A factor as int16 mantissa (Q15) and exponent, -15 ... most."""
    multiplier, exponent = quantize_multiplier(factor)
    if not -15 <= exponent <= most:
        raise ModelError(f"{what} {factor!r} is outside 2**-16 ... 2**{most}")
    return min((multiplier + (1 << 15)) >> 16, _INT16_MAX), exponent


def _saturated(value: int) -> int:
    return max(_INT16_MIN, min(_INT16_MAX, value))


def _high_product(first: int, second: int) -> int:
    """First · second / 2**15 of two int16, halves upwards; the second is not negative."""
    return (first * second + (1 << 14)) >> 15


def hard_swish(source: Affine, result: Affine) -> Table:
    """HARD_SWISH, x · relu6(x + 3) / 6, in TFLite's 16-bit fixed point; scales in float32."""
    fine = float(np.float32(1 / 128) * np.float32(source.scale))
    output, output_exponent = _int16_factor(_divide(fine, result.scale), "output factor", 0)
    unit = float(np.float32(3.0) / np.float32(32768.0))
    gate, gate_exponent = _int16_factor(_divide(fine, unit), "input factor", 30)

    def value(code: int) -> int:
        lifted = (code - source.zero_point) << 7
        # The gate is (x + 3) / 6 in 0 ... 1, from x / 3 in -1 ... 1.
        third = lifted
        if gate_exponent > 0:
            third = _saturated(third << (gate_exponent - 1))
        third = _high_product(third, gate)
        if gate_exponent > 0:
            third = _saturated(third << 1)
        third = _rounding_shift_right(third, max(-gate_exponent, 0))
        product = ((third + (1 << 15)) >> 1) * _high_product(lifted, output)
        towards_zero = abs(product) >> 15
        gated = towards_zero if product >= 0 else -towards_zero
        return _rounding_shift_right(gated, -output_exponent) + result.zero_point

    return _table(value)
