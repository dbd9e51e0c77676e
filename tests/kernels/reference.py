"""Slow integer reference of every kernel: what TFLite's reference kernels compute, in int64.

Written to be obviously right, not fast, and without anything that the C kernels rely on: zero
points are subtracted where they occur, padded taps are left out, no bias is folded, nothing is
packed. Arrays are NHWC; weights lie as in the .tflite file (OHWI, depthwise 1HWC). ``shift``
counts bits to the left, as TFLite's, so it is the negative of ``channel.shift`` of the C kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a filter or a pool is laid over its input; pairs are (rows, columns)."""

    out_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How accumulators become int8: a scale for each output channel (or one), then clamping."""

    multiplier: Int64
    shift: Int64
    zero_point: int = 0
    act_min: int = -128
    act_max: int = 127


def wrap32(x: Int64) -> Int64:
    """The low 32 bits of each value, as a signed number."""
    return ((x + 2**31) & (2**32 - 1)) - 2**31


def doubling_high_multiply(a: Int64 | int, b: Int64 | int) -> Int64:
    """SaturatingRoundingDoublingHighMul: a * b / 2^31 rounded, halves upwards."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    return np.asarray(np.sign(nudged) * (np.abs(nudged) // 2**31), np.int64)


def rounding_divide_by_pot(x: Int64, exponent: Int64 | int) -> Int64:
    """x / 2^exponent, halves away from zero."""
    power = np.asarray(1, np.int64) << np.asarray(exponent, np.int64)
    return np.asarray(np.sign(x) * ((np.abs(x) + power // 2) // power), np.int64)


def multiply_by_quantized_multiplier(
    x: Int64, multiplier: Int64 | int, shift: Int64 | int
) -> Int64:
    """TFLite's MultiplyByQuantizedMultiplier with double rounding; ``shift`` > 0 is to the left."""
    left, right = np.maximum(shift, 0), np.maximum(-np.asarray(shift, np.int64), 0)
    return rounding_divide_by_pot(doubling_high_multiply(wrap32(x << left), multiplier), right)


def requantize(acc: Int64, output: Output) -> Int8:
    """Accumulators [..., C] to outputs; the accumulator has wrapped like an int32."""
    scaled = multiply_by_quantized_multiplier(wrap32(acc), output.multiplier, output.shift)
    return np.clip(scaled + output.zero_point, output.act_min, output.act_max).astype(np.int8)


def patches(
    x: Int64, kernel: tuple[int, ...], window: Window
) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """The taps under each output.

    Returns [N, out_h, out_w, kernel_h, kernel_w, C], 0 outside, and which of them are inside:
    [out_h, out_w, kernel_h, kernel_w].
    """
    (n, in_h, in_w, channels), (kernel_h, kernel_w) = x.shape, kernel
    taps = np.zeros((n, *window.out_size, kernel_h, kernel_w, channels), np.int64)
    inside = np.zeros((*window.out_size, kernel_h, kernel_w), np.bool_)
    for oy, ox, ky, kx in np.ndindex(*inside.shape):
        y = oy * window.stride[0] - window.pad[0] + ky * window.dilation[0]
        column = ox * window.stride[1] - window.pad[1] + kx * window.dilation[1]
        if 0 <= y < in_h and 0 <= column < in_w:
            taps[:, oy, ox, ky, kx] = x[:, y, column]
            inside[oy, ox, ky, kx] = True
    return taps, inside


def conv_2d(
    x: Int8, x_zero_point: int, weights: Int8, bias: Int64, window: Window, output: Output
) -> Int8:
    """CONV_2D: x [N, H, W, I], weights [O, kernel_h, kernel_w, I], bias [O]."""
    taps, _ = patches(x.astype(np.int64) - x_zero_point, weights.shape[1:3], window)
    acc = np.einsum("nyxhwi,ohwi->nyxo", taps, weights.astype(np.int64))
    return requantize(acc + bias, output)


def depthwise_conv_2d(
    x: Int8, x_zero_point: int, weights: Int8, bias: Int64, window: Window, output: Output
) -> Int8:
    """DEPTHWISE_CONV_2D: x [N, H, W, I], weights [1, kernel_h, kernel_w, O], O a multiple of I."""
    taps, _ = patches(x.astype(np.int64) - x_zero_point, weights.shape[1:3], window)
    taps = np.repeat(taps, weights.shape[3] // x.shape[3], axis=5)
    acc = np.einsum("nyxhwo,hwo->nyxo", taps, weights[0].astype(np.int64))
    return requantize(acc + bias, output)


def fully_connected(x: Int8, x_zero_point: int, weights: Int8, bias: Int64, output: Output) -> Int8:
    """FULLY_CONNECTED: x [N, I], weights [O, I], bias [O]."""
    acc = (x.astype(np.int64) - x_zero_point) @ weights.astype(np.int64).T
    return requantize(acc + bias, output)


def add(
    operands: tuple[Int8, Int8],
    zero_points: tuple[int, int],
    scales: tuple[tuple[int, int], tuple[int, int]],
    left_shift: int,
    output: Output,
) -> Int8:
    """ADD of two tensors of one shape; ``scales`` are (multiplier, shift) of each operand."""
    total = np.zeros(operands[0].shape, np.int64)
    for operand, zero_point, (multiplier, shift) in zip(operands, zero_points, scales, strict=True):
        lifted = (operand.astype(np.int64) - zero_point) << left_shift
        total += multiply_by_quantized_multiplier(lifted, multiplier, shift)
    return requantize(total, output)


def average_pool_2d(
    x: Int8, kernel: tuple[int, int], window: Window, act_min: int = -128, act_max: int = 127
) -> Int8:
    """AVERAGE_POOL_2D: x [N, H, W, C]; padding is left out of the mean, halves go away from 0."""
    taps, inside = patches(x.astype(np.int64), kernel, window)
    total = taps.sum(axis=(3, 4))
    count = inside.sum(axis=(2, 3))[None, :, :, None]
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    clamped: Int8 = np.clip(mean, act_min, act_max).astype(np.int8)
    return clamped


def shift_left_saturated(x: int, bits: int) -> int:
    """x * 2^bits, kept inside int32."""
    lowest, highest = -(2**31), 2**31 - 1
    return max(lowest, min(highest, x << bits))


def multiply_q31(a: int, b: int) -> int:
    """Product of two fixed point numbers, on Python integers."""
    return int(doubling_high_multiply(a, b))


def divide_by_pot(x: int, exponent: int) -> int:
    """x / 2^exponent, halves away from zero, on Python integers."""
    return int(rounding_divide_by_pot(np.asarray(x, np.int64), exponent))


def exp_on_negative_values(a: int) -> int:
    """exp(a) with 31 fraction bits, for a <= 0 with 26 (gemmlowp's fixed point exponential)."""
    if a == 0:
        return 2**31 - 1
    fraction = a % 2**24 - 2**24
    x = fraction * 32 + 2**28
    x2 = multiply_q31(x, x)
    x3 = multiply_q31(x2, x)
    x4_over_4 = divide_by_pot(multiply_q31(x2, x2), 2)
    sum_over_2 = multiply_q31(x4_over_4 + x3, round(2**31 / 3)) + x2
    tail = x + divide_by_pot(sum_over_2, 1)
    exp_minus_eighth = round(math.exp(-1 / 8) * 2**31)
    result = exp_minus_eighth + multiply_q31(exp_minus_eighth, tail)
    rest = fraction - a
    for exponent in range(-2, 5):
        if rest >> (26 + exponent) & 1:
            factor = round(math.exp(-(2.0**exponent)) * 2**31)
            result = multiply_q31(result, factor)
    return result


def one_over_one_plus(a: int) -> int:
    """1 / (1 + a) with 31 fraction bits, for 0 <= a < 1 with 31."""
    half_denominator = (a + 2**31 - 1 + 1) // 2
    x = round(48 / 17 * 2**29) + multiply_q31(half_denominator, round(-32 / 17 * 2**29))
    for _ in range(3):
        error = 2**29 - multiply_q31(half_denominator, x)
        x += shift_left_saturated(multiply_q31(x, error), 2)
    return shift_left_saturated(x, 1)


def softmax(x: Int8, multiplier: int, left_shift: int, diff_min: int) -> Int8:
    """SOFTMAX over the last axis of [rows, depth], output scale 1/256 and zero point -128."""
    output = np.full(x.shape, -128, np.int8)
    for row, row_output in zip(x.astype(np.int64), output, strict=True):
        difference = row - row.max()
        scaled = doubling_high_multiply(difference << left_shift, multiplier)
        exps = [exp_on_negative_values(int(a)) for a in scaled]
        used = [i for i, d in enumerate(difference) if d >= diff_min]
        total = sum((exps[i] + 2**11) >> 12 for i in used)
        headroom = 32 - total.bit_length()
        scale = one_over_one_plus((total << headroom) - 2**31)
        for i in used:
            value = divide_by_pot(multiply_q31(scale, exps[i]), 12 - headroom + 31 - 8)
            row_output[i] = min(value - 128, 127)
    return output
