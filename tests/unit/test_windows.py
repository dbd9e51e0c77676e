"""Windows of convolutions and pooling, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesparse import oracle, quantize
from edgesparse.ops import activation_range, check_supported, window_axis
from tests.tflite_builder import Builder, parsed


@pytest.mark.parametrize(
    ("padding", "sizes", "expected"),
    [
        ("SAME", (5, 3, 1, 1), (5, 1)),
        ("SAME", (5, 2, 1, 1), (5, 0)),  # the odd element goes behind
        ("SAME", (6, 3, 2, 1), (3, 0)),
        ("SAME", (5, 3, 2, 1), (3, 1)),
        ("SAME", (5, 1, 4, 1), (2, 0)),
        ("SAME", (7, 3, 1, 3), (7, 3)),
        ("SAME", (1, 10, 1, 1), (1, 4)),
        ("VALID", (5, 3, 1, 1), (3, 0)),
        ("VALID", (6, 3, 2, 1), (2, 0)),
        ("VALID", (7, 3, 1, 3), (1, 0)),
        ("VALID", (2, 3, 1, 1), (0, 0)),
    ],
)
def test_window_axis(padding, sizes, expected):
    assert window_axis(padding, *sizes) == expected


def requantised(acc, multiplier, shift):
    """Both roundings of TFLite's rescaling, on int64 arrays."""
    acc = acc << max(shift, 0)
    product = acc * multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.trunc((product + nudge) / 2.0**31).astype(np.int64)
    right = max(-shift, 0)
    half = (1 << right) >> 1
    return np.where(high >= 0, (high + half) >> right, -((-high + half) >> right))


def slow_window_layer(model, node, x):
    """CONV_2D or DEPTHWISE_CONV_2D, one output at a time; padding adds nothing."""
    geometry = node.options.geometry(model, node)
    source, weights = model.tensors[node.inputs[0]], model.tensors[node.inputs[1]]
    result = model.tensors[node.outputs[0]]
    (in_scale, in_zero), (out_scale, out_zero) = source.affine(), result.affine()
    scales = weights.quantization.scales * (
        geometry.out_c if len(weights.quantization.scales) == 1 else 1
    )
    rescales = quantize.conv_multipliers(in_scale, scales, out_scale)
    bias = model.tensors[node.inputs[2]].data
    low, high = activation_range(node.options.activation, out_scale, out_zero)
    depthwise = node.op == "DEPTHWISE_CONV_2D"
    out = np.empty(geometry.out_shape, np.int64)
    for n, oy, ox, o in np.ndindex(*geometry.out_shape):
        acc = int(bias[o])
        for ky, kx in np.ndindex(geometry.kernel_h, geometry.kernel_w):
            y = oy * geometry.stride_h - geometry.pad_top + ky * geometry.dilation_h
            xx = ox * geometry.stride_w - geometry.pad_left + kx * geometry.dilation_w
            if not (0 <= y < geometry.in_h and 0 <= xx < geometry.in_w):
                continue
            pixel = x[n, y, xx].astype(np.int64) - in_zero
            if depthwise:
                channel = o // node.options.depth_multiplier
                acc += int(pixel[channel]) * int(weights.data[0, ky, kx, o])
            else:
                acc += int(pixel @ weights.data[o, ky, kx].astype(np.int64))
        row = requantised(np.int64(acc), rescales[o].multiplier, rescales[o].shift)
        out[n, oy, ox, o] = np.clip(row + out_zero, low, high)
    return out


sides = st.integers(1, 3)
pairs = st.tuples(sides, sides)


@settings(max_examples=120, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)), pairs, pairs,
    st.sampled_from(["SAME", "VALID"]), st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
    st.booleans(), st.booleans(), sides, st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_convolutions_against_the_oracle(
    shape, kernel, stride, dilation, padding, activation, depthwise, per_channel, multiple, seed
):
    """Geometry, multipliers and activation ranges together make the oracle's every value."""
    rng = np.random.default_rng(seed)
    if padding == "VALID":
        extents = [(side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True)]
        shape = (shape[0], max(shape[1], extents[0]), max(shape[2], extents[1]), shape[3])
    out_c = shape[3] * multiple if depthwise else multiple
    b = Builder()
    x = b.input(shape, 0.05, int(rng.integers(-128, 128)))
    codes = (1, *kernel, out_c) if depthwise else (out_c, *kernel, shape[3])
    scales = rng.uniform(0.001, 0.02, out_c if per_channel else 1)
    w = b.constant(rng.integers(-127, 128, codes).astype(np.int8), scales, 3 if depthwise else 0)
    layer = b.depthwise_conv_2d if depthwise else b.conv_2d
    y = layer(
        x, w, b.bias(rng.integers(-3000, 3000, out_c), x, w), scale=0.03,
        zero_point=int(rng.integers(-128, 128)), padding=padding, stride=stride,
        dilation=dilation, activation=activation,
    )  # fmt: skip
    b.output(y)
    model = parsed(b)
    check_supported(model)
    row = rng.integers(-128, 128, shape).astype(np.int8)
    ((output,),) = oracle.run(model, row[np.newaxis])
    assert output.shape == model.nodes[0].options.geometry(model, model.nodes[0]).out_shape
    assert np.array_equal(output, slow_window_layer(model, model.nodes[0], row))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)), pairs,
    st.sampled_from(["SAME", "VALID"]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_pooling_against_the_oracle(shape, window, stride, padding, seed):
    rng = np.random.default_rng(seed)
    if padding == "VALID":
        shape = (shape[0], max(shape[1], window[0]), max(shape[2], window[1]), shape[3])
    b = Builder()
    b.output(b.average_pool_2d(b.input(shape, 0.5, 9), window, stride=stride, padding=padding))
    model = parsed(b)
    check_supported(model)
    geometry = model.nodes[0].options.geometry(model, model.nodes[0])
    x = rng.integers(-128, 128, shape).astype(np.int8)
    ((output,),) = oracle.run(model, x[np.newaxis])
    assert output.shape == geometry.out_shape
    for oy, ox in np.ndindex(geometry.out_h, geometry.out_w):
        top = oy * geometry.stride_h - geometry.pad_top
        left = ox * geometry.stride_w - geometry.pad_left
        part = x[:, max(top, 0) : top + window[0], max(left, 0) : left + window[1]]
        mean = part.astype(np.int64).sum(axis=(1, 2)) / (part.shape[1] * part.shape[2])
        expected = np.sign(mean) * np.floor(np.abs(mean) + 0.5)
        assert np.array_equal(output[:, oy, ox], expected)
