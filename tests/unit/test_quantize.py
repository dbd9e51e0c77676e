import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesparse import oracle, quantize
from edgesparse.errors import ModelError, UsageError
from edgesparse.model import parse_model
from edgesparse.quantize import Rescale, quantize_multiplier
from tests.tflite_builder import Builder

scales = st.floats(2.0**-13, 8.0, width=32)


def rescaled(acc: int, rescale: Rescale) -> int:
    """Rescale an int32 in two roundings, in Python's unbounded integers."""
    left, right = max(rescale.shift, 0), max(-rescale.shift, 0)
    product = (acc << left) * rescale.multiplier
    high = abs(product) + (1 << 30) if product >= 0 else abs(product) + (1 << 30) - 1
    high = (high >> 31) * (1 if product >= 0 else -1)
    if right == 0:
        return high
    rounded = (abs(high) + (1 << (right - 1))) >> right
    return rounded if high >= 0 else -rounded


# --- quantize_multiplier


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (1 << 30, 0)),
        (1.0, (1 << 30, 1)),
        (0.75, (3 << 29, 0)),
        (3.0, (3 << 29, 2)),
        (1 / 3, (1431655765, -1)),  # 2/3 of 2**31 = 1431655765.33
        (2 / 3, (1431655765, 0)),
        (5 / 6, (1789569707, 0)),  # 1789569706.67 rounds up
        (1 - 2**-33, (1 << 30, 1)),  # the mantissa rounds up to 2**31
        (1 - 2**-32, (1 << 30, 1)),  # ... from the half
        (1 - 3 * 2**-33, ((1 << 31) - 1, 0)),
        (2.0**-32, (1 << 30, -31)),
        (2.0**-32 * (1 - 2**-40), (1 << 30, -31)),  # rounding lifts it over the edge
        (2.0**-32 * (1 - 2**-20), (0, 0)),
        (2.0**-33, (0, 0)),
        (2.0**29, (1 << 30, 30)),
        (2.0**30 - 1, (2147483646, 30)),
        (2.0**30, ((1 << 31) - 1, 30)),
        (1e30, ((1 << 31) - 1, 30)),
    ],
)
def test_quantize_multiplier(real, expected):
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-0.5, math.inf, math.nan])
def test_quantize_multiplier_refuses(real):
    with pytest.raises(ModelError, match="not a finite number"):
        quantize_multiplier(real)


@given(st.floats(2.0**-31, 2.0**29))
def test_quantize_multiplier_is_the_nearest(real):
    multiplier, shift = quantize_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31
    step = math.ldexp(1.0, shift - 31)
    assert abs(multiplier * step - real) <= step / 2


# --- Which product is taken in float32


def fully_connected_model(in_scale, weight_scale, out_scale, bias):
    b = Builder()
    x = b.input((1, 1), in_scale)
    w = b.constant(np.zeros((len(bias), 1), np.int8), weight_scale)
    b.output(b.fully_connected(x, w, b.bias(bias, x, w), scale=out_scale))
    return parse_model(b.finish(), name="m")


def conv_model(in_scale, weight_scale, out_scale, bias):
    b = Builder()
    x = b.input((1, 1, 1, 1), in_scale)
    w = b.constant(np.zeros((len(bias), 1, 1, 1), np.int8), [weight_scale] * len(bias))
    b.output(b.conv_2d(x, w, b.bias(bias, x, w), scale=out_scale))
    return parse_model(b.finish(), name="m")


def telling_biases(one: Rescale, other: Rescale) -> list[int]:
    """Accumulators near 2**30 that the two rescalings round to different outputs."""
    found = []
    for output in range(-120, 120):
        edge = (output + 0.5) * 2.0 ** (31 - one.shift) / one.multiplier
        if abs(edge) < 2**30.9:
            around = range(round(edge) - 3, round(edge) + 4)
            found += [acc for acc in around if rescaled(acc, one) != rescaled(acc, other)]
    return found


def test_fully_connected_multiplies_scales_in_float32_and_conv_in_double():
    rng = np.random.default_rng(5)
    told = 0
    for _ in range(40):
        in_scale, weight_scale = (float(np.float32(s)) for s in rng.uniform(0.01, 0.1, 2))
        out_scale = float(np.float32(in_scale * weight_scale * 2**23))
        single = quantize.fully_connected_multiplier(in_scale, weight_scale, out_scale)
        (double,) = quantize.conv_multipliers(in_scale, [weight_scale], out_scale)
        if single == double:
            continue
        biases = telling_biases(single, double)
        told += len(biases)
        if not biases:
            continue
        zero = np.zeros((1, 1), np.int8)
        for build, rescale in ((fully_connected_model, single), (conv_model, double)):
            model = build(in_scale, weight_scale, out_scale, biases)
            ((output,),) = oracle.run(model, zero.reshape(1, *model.tensors[0].shape))
            assert output.ravel().tolist() == [rescaled(acc, rescale) for acc in biases]
    assert told > 100


def test_conv_multipliers_gives_one_per_scale():
    rows = quantize.conv_multipliers(0.5, [0.5, 0.25, 1.0], 0.5)
    assert rows == (Rescale(1 << 30, 0), Rescale(1 << 30, -1), Rescale(1 << 30, 1))


# --- ADD


def add_reference(a, b, zero_points, scaling):
    scaled = [
        rescaled((code - zero_point) << scaling.left_shift, rescale)
        for code, zero_point, rescale in zip(
            (a, b), zero_points, (scaling.input1, scaling.input2), strict=False
        )
    ]
    return max(-128, min(127, rescaled(sum(scaled), scaling.output) + zero_points[2]))


@settings(max_examples=15, deadline=None)
@given(scales, scales, scales, st.tuples(*[st.integers(-128, 127)] * 3), st.randoms())
def test_add_scaling_against_the_oracle(scale1, scale2, scale3, zero_points, random):
    scaling = quantize.add_scaling(scale1, scale2, scale3)
    b = Builder()
    first = b.input((1, 512), scale1, zero_points[0])
    second = b.input((1, 512), scale2, zero_points[1])
    b.output(b.add(first, second, scale=scale3, zero_point=zero_points[2]))
    rows = [
        np.array([[random.randrange(-128, 128) for _ in range(512)]], np.int8) for _ in range(2)
    ]
    ((output,),) = oracle.run(parse_model(b.finish(), name="m"), rows)
    expected = [
        add_reference(int(one), int(two), zero_points, scaling)
        for one, two in zip(rows[0][0], rows[1][0], strict=True)
    ]
    assert output[0].tolist() == expected


def test_add_scaling_of_equal_scales():
    scaling = quantize.add_scaling(0.5, 0.25, 0.5)
    assert scaling.left_shift == 20
    assert scaling.input1 == Rescale(1 << 30, 0)  # a half
    assert scaling.input2 == Rescale(1 << 30, -1)  # a quarter
    assert scaling.output == Rescale(1 << 30, -18)  # 2**-19


# --- SOFTMAX


@pytest.mark.parametrize(
    ("beta", "scale", "expected"),
    [
        (1.0, 1.0, (1 << 30, 27, -15)),  # 31 * 2**26 / 2**27 = 15.5
        (1.0, 0.5, (1 << 30, 26, -31)),
        (1.0, 0.75, (3 << 29, 26, -31)),
        (0.5, 0.5, (1 << 30, 25, -62)),
        (1.0, 31.0, (31 << 26, 31, 0)),
        (1.0, 1000.0, ((1 << 31) - 1, 31, 0)),  # the factor is capped
        (1.0, 2.0**-25, (1 << 30, 2, -520093696)),
    ],
)
def test_softmax_scaling(beta, scale, expected):
    scaling = quantize.softmax_scaling(beta, scale)
    assert (scaling.multiplier, scaling.left_shift, scaling.diff_min) == expected


@pytest.mark.parametrize(("beta", "scale"), [(1.0, 2.0**-26), (0.0, 1.0), (-1.0, 1.0)])
def test_softmax_scaling_refuses_what_tflite_aborts_on(beta, scale):
    with pytest.raises(ModelError, match="not above"):
        quantize.softmax_scaling(beta, scale)


@settings(max_examples=20, deadline=None)
@given(st.floats(2.0**-7, 3.0, width=32), st.floats(0.25, 2.0, width=32), st.randoms())
def test_softmax_scaling_is_near_the_real_softmax(scale, beta, random):
    b = Builder()
    x = b.input((1, 10), scale, 7)
    b.output(b.softmax(x, beta=beta))
    row = np.array([[[random.randrange(-128, 128) for _ in range(10)]]], np.int8)
    ((output,),) = oracle.run(parse_model(b.finish(), name="m"), row)
    scaling = quantize.softmax_scaling(beta, scale)
    difference = row[0, 0].astype(np.int64) - row.max()
    exponent = difference * scaling.multiplier * 2.0 ** (scaling.left_shift - 31 - 26)
    weight = np.where(difference < scaling.diff_min, 0.0, np.exp(exponent))
    expected = weight / weight.sum() * 256 - 128
    assert np.abs(np.minimum(expected, 127) - output[0]).max() <= 1


# --- Host edges


@settings(max_examples=30, deadline=None)
@given(st.floats(2.0**-10, 2.0, width=32), st.integers(-128, 127), st.randoms())
def test_float_to_int_against_the_oracle(scale, zero_point, random):
    halves = [float(np.float32((code + 0.5) * scale)) for code in range(-130, 130)]
    others = [random.uniform(-200 * scale, 200 * scale) for _ in range(252)]
    x = np.array([halves + others], np.float32)
    b = Builder()
    b.output(b.quantize(b.input((1, 512), None, dtype="float32"), scale, zero_point))
    ((output,),) = oracle.run(parse_model(b.finish(), name="m"), x)
    assert np.array_equal(quantize.float_to_int(x, scale, zero_point, "int8")[0], output.ravel())


def test_float_to_int_rounds_halves_away_from_zero():
    x = np.array([0.5, 1.5, -0.5, -1.5, 0.49999997, -0.49999997, 1e30, -np.inf], np.float32)
    codes = quantize.float_to_int(x, 1.0, 0, "int8")
    assert codes.dtype == np.int8
    assert codes.tolist() == [1, 2, -1, -2, 0, 0, 127, -128]
    assert quantize.float_to_int(x, 1.0, -128, "int8").tolist()[-2:] == [127, -128]


def test_float_to_int_refuses_nan():
    with pytest.raises(UsageError, match="NaN"):
        quantize.float_to_int(np.array([0.0, np.nan], np.float32), 1.0, 0, "int8")


def test_int8_to_float_against_the_oracle():
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    for scale, zero_point in ((0.1, -128), (0.0071, 127), (3.3, 5)):
        b = Builder()
        b.output(b.dequantize(b.input((1, 256), scale, zero_point)))
        ((output,),) = oracle.run(parse_model(b.finish(), name="m"), codes)
        ours = quantize.int8_to_float(codes, scale, zero_point)
        assert ours.dtype == np.float32
        assert np.array_equal(ours, output.reshape(1, 256))


def test_float_softmaxes_against_the_oracle():
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (20, 3, 50)).astype(np.int8)
    b = Builder()
    y = b.dequantize(b.input((3, 50), 0.11, -4))
    b.output(b.softmax(y, beta=0.7), b.log_softmax(y))
    for row, (softmax, log_softmax) in zip(
        codes, oracle.run(parse_model(b.finish(), name="m"), codes), strict=True
    ):
        real = quantize.int8_to_float(row, 0.11, -4)
        ours = quantize.softmax_float(real, 0.7), quantize.log_softmax_float(real)
        assert ours[0].dtype == ours[1].dtype == np.float32
        np.testing.assert_allclose(ours[0], softmax, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ours[1], log_softmax, rtol=1e-6, atol=1e-6)
