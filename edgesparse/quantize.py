"""TensorFlow Lite's arithmetic of scales, reproduced bit for bit.

Source: internal/quantization_util.cc, kernel_util.cc, {add,mul,quantize}.cc and
internal/reference/{quantize,requantize,dequantize,softmax,log_softmax}.h in
tensorflow/lite/kernels, as built into tflite-runtime 2.14 (two roundings, not
TFLITE_SINGLE_ROUNDING).  Scales are float32 values held in Python floats; whether a product is
taken in float32 or in double decides the last bit of a multiplier, so each function says which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesparse.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ADD_LEFT_SHIFT = 20
"""Bits by which the int8 ADD scales its operands up before rescaling them."""

MUL_MAX_SHIFT = 14
"""Most bits by which a product of an int8 MUL may be shifted left: it then stays below 2**30."""

SOFTMAX_INTEGER_BITS = 5
"""Integer bits of the fixed-point difference that int8 SOFTMAX exponentiates (Q5.26)."""


@dataclass(frozen=True, slots=True)
class Rescale:
    """A real factor as ``multiplier * 2**(shift - 31)``.

    The multiplier is 0 or in 2**30 ... 2**31 - 1, in a MEAN perhaps less; the shift is in
    -31 ... 30.
    """

    multiplier: int
    shift: int


@dataclass(frozen=True, slots=True)
class AddScaling:
    """The three rescalings of an int8 ADD and the shift before them."""

    left_shift: int
    input1: Rescale
    input2: Rescale
    output: Rescale


@dataclass(frozen=True, slots=True)
class SoftmaxScaling:
    """How int8 SOFTMAX scales a difference to the row's maximum.

    Differences below ``diff_min`` (negative or 0) give an output of zero probability.
    """

    multiplier: int
    left_shift: int
    diff_min: int


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (multiplier, shift) with ``real`` ≈ multiplier · 2**(shift - 31).

    Factors below 2**-32 become (0, 0); factors of 2**30 and more saturate at (2**31 - 1, 30).
    TFLite's double-rounding build leaves the second case undefined, so ops.check_supported refuses
    models that reach it.  Raises ModelError for a negative or non-finite factor.
    Source: QuantizeMultiplier.
    """
    if not math.isfinite(real) or real < 0.0:
        raise ModelError(f"rescaling factor {real!r} is not a finite number >= 0")
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    # Scaling by 2**31 and adding 0.5 are exact in double: 22 fraction bits are left.
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier >>= 1
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return (1 << 31) - 1, 30
    return multiplier, shift


def _rescale(real: float) -> Rescale:
    return Rescale(*quantize_multiplier(real))


def conv_multipliers(
    input_scale: float, weight_scales: Sequence[float], output_scale: float
) -> tuple[Rescale, ...]:
    """Return one rescaling per weight scale, for CONV_2D and DEPTHWISE_CONV_2D.

    input · weight / output in double, left to right.  One scale serves all output channels.
    A FULLY_CONNECTED layer with a scale per output uses this formula too; one with a single scale
    uses fully_connected_multiplier.  Source: PopulateConvolutionQuantizationParams.
    """
    return tuple(_rescale(input_scale * scale / output_scale) for scale in weight_scales)


def fully_connected_multiplier(
    input_scale: float, weight_scale: float, output_scale: float
) -> Rescale:
    """Return the rescaling of a FULLY_CONNECTED layer whose weights have a single scale.

    The product of the two scales is rounded to float32 before the division in double, unlike in
    conv_multipliers.  Source: GetQuantizedConvolutionMultipler.
    """
    product = float(np.float32(input_scale) * np.float32(weight_scale))
    return _rescale(product / output_scale)


def mean_rescale(input_scale: float, output_scale: float, count: int) -> Rescale:
    """Return the rescaling of the sum in an int8 MEAN of `count` elements.

    The factor of the scales is rounded to a multiplier first; the division by count then truncates
    that, with as many more bits as count has but no shift beyond -31, and so leaves it below 2**31.
    Source: PrepareMeanOrSum in reduce.cc and QuantizedMeanOrSum in reference/reduce.h.
    """
    multiplier, shift = quantize_multiplier(input_scale / output_scale)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return Rescale((multiplier << bits) // count, shift - bits)


def add_real_multipliers(
    input1_scale: float, input2_scale: float, output_scale: float
) -> tuple[float, float, float]:
    """Return the real factors of input 1, input 2 and output of an int8 ADD, in double.

    Doubling a float32 scale and multiplying it by 2**20 are exact.  Source: add.cc, Prepare.
    """
    twice_max = 2.0 * max(input1_scale, input2_scale)
    return (
        input1_scale / twice_max,
        input2_scale / twice_max,
        twice_max / ((1 << ADD_LEFT_SHIFT) * output_scale),
    )


def add_scaling(input1_scale: float, input2_scale: float, output_scale: float) -> AddScaling:
    """Return the scaling of an int8 ADD.  Source: add.cc, Prepare."""
    factors = add_real_multipliers(input1_scale, input2_scale, output_scale)
    input1, input2, output = (_rescale(factor) for factor in factors)
    return AddScaling(ADD_LEFT_SHIFT, input1, input2, output)


def mul_real_multiplier(input1_scale: float, input2_scale: float, output_scale: float) -> float:
    """Return the real factor of an int8 MUL: product and quotient in float32.

    Source: mul.cc, Prepare.
    """
    with np.errstate(over="ignore"):
        product = np.float32(input1_scale) * np.float32(input2_scale)
        return float(product / np.float32(output_scale))


def mul_multiplier(input1_scale: float, input2_scale: float, output_scale: float) -> Rescale:
    """Return the rescaling of an int8 MUL.  Source: mul.cc, Prepare."""
    return _rescale(mul_real_multiplier(input1_scale, input2_scale, output_scale))


def softmax_scaling(beta: float, input_scale: float) -> SoftmaxScaling:
    """Return the scaling of an int8 SOFTMAX.

    Raises ModelError unless beta · input_scale > 2**-26, which TFLite requires.
    Source: PreprocessSoftmaxScaling and CalculateInputRadius with 5 integer bits, 31 signed bits.
    """
    fraction_bits = 31 - SOFTMAX_INTEGER_BITS
    real = min(beta * input_scale * (1 << fraction_bits), float((1 << 31) - 1))
    if not real > 1.0:
        raise ModelError(f"softmax factor {beta * input_scale!r} is not above 2**-26")
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier >>= 1
        shift += 1
    radius = ((1 << SOFTMAX_INTEGER_BITS) - 1) * (1 << fraction_bits) / (1 << shift)
    return SoftmaxScaling(multiplier, shift, -math.floor(radius))


def requantize(
    codes: NDArray[np.integer[Any]],
    source: tuple[float, int],
    result: tuple[float, int],
    dtype: str,
) -> NDArray[Any]:
    """Return codes of one integer type as those of another, as QUANTIZE between integers does.

    Args:
        codes: of any shape.
        source: scale and zero point of what is given.
        result: of what is wanted.
        dtype: of the result.

    Rounds twice, like all of TFLite's rescaling.  Exact where ops.check_supported lets it pass:
    elsewhere TFLite's int32 overflows.  Source: requantize.h; quantize.cc, Prepare.
    """
    rescale = _rescale(source[0] / result[0])
    left, right = max(rescale.shift, 0), max(-rescale.shift, 0)
    lifted = (codes.astype(np.int64) - source[1]) << left
    product = lifted * rescale.multiplier
    product += np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(product >= 0, product >> 31, -(-product >> 31))
    # Halves away from zero.
    rounded = (high + ((1 << right) >> 1) - ((high < 0) & (right > 0))) >> right
    info = np.iinfo(dtype)
    return np.clip(rounded + result[1], info.min, info.max).astype(dtype)


def float_to_int(x: NDArray[np.float32], scale: float, zero_point: int, dtype: str) -> NDArray[Any]:
    """Quantise float32 values of any shape: round(x / scale) + zero_point, clamped to the dtype.

    The division is in float32 and halves round away from zero, as in TFLite.  Where TFLite's
    conversion to int32 is undefined (|x / scale| >= 2**31) this clamps.  Raises UsageError for NaN.
    Source: reference/quantize.h, AffineQuantize.
    """
    values = np.asarray(x, dtype=np.float32)
    if bool(np.isnan(values).any()):
        raise UsageError(f"the input holds NaN, which has no {dtype} value")
    with np.errstate(over="ignore"):
        quotient = (values / np.float32(scale)).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
    info = np.iinfo(dtype)
    return np.clip(rounded + zero_point, info.min, info.max).astype(dtype)


def int8_to_float(q: NDArray[np.int8], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Return scale · (q - zero_point) in float32, for any shape.

    Source: reference/dequantize.h.
    """
    difference = np.asarray(q, dtype=np.int32) - np.int32(zero_point)
    return (difference * np.float64(np.float32(scale))).astype(np.float32)


def softmax_float(x: NDArray[np.float32], beta: float = 1.0) -> NDArray[np.float32]:
    """Return the softmax of float32 values over the last axis, within 1e-6 of TFLite's.

    Source: reference/softmax.h.
    """
    shifted = _below_row_maximum(x)
    exponentials = np.exp(shifted * np.float32(beta))
    return np.asarray(exponentials / _row_sum(exponentials), dtype=np.float32)


def log_softmax_float(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-softmax of float32 values over the last axis, within 1e-6 of TFLite's.

    Source: reference/log_softmax.h.
    """
    shifted = _below_row_maximum(x)
    return np.asarray(shifted - np.log(_row_sum(np.exp(shifted))), dtype=np.float32)


def _below_row_maximum(x: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.asarray(x, dtype=np.float32)
    return np.asarray(values - values.max(axis=-1, keepdims=True), dtype=np.float32)


def _row_sum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # One term after the other in float32, as the reference does; np.sum would add pairwise.
    return np.add.accumulate(values, axis=-1, dtype=np.float32)[..., -1:]
