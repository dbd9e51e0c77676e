import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesparse import ops, oracle, quantize
from edgesparse.errors import ModelError, UnsupportedModelError
from edgesparse.model import load_model, parse_model
from edgesparse.ops import activation_range, check_supported, window_axis
from tests.tflite_builder import Builder

# Multiply-accumulates as published with the shared models.
ACCEPTED = {
    "mww2_vad": 13_760,
    "resnet8_cifar10": 12_501_632,
    "resnet_large_cifar10": 76_473_920,
    "ds_cnn_kws": 2_656_768,
    "str_ww": 826_368,
    "person_detect": 7_157_888,
    "micro_speech": 336_000,
    "hello_world": 288,
    "lenet_300_100": 266_200,
    "mcunet_person_det": 18_296_320,
}
REFUSED = {
    "mnist_lstm": {("UNIDIRECTIONAL_SEQUENCE_LSTM", "operator is not supported")},
    "keyword_scrambled_8bit": {
        ("QUANTIZE", "output is int32, only int8 is supported"),
        ("QUANTIZE", "int16 input is not an input of the model"),
        ("SVDF", "operator is not supported"),
        ("SOFTMAX", "output is int16, only int8 is supported"),
    },
    "mobilenet_v1_025_128_uint8": {
        ("CONV_2D", "input is uint8, only int8 is supported"),
        (
            "CONV_2D",
            "weights are uint8 with zero point 134, only int8 with zero point 0 is supported",
        ),
    },
}


def parsed(b: Builder):
    return parse_model(b.finish(), name="m")


def offenders(b: Builder) -> list[tuple[str, str]]:
    """Return the (operator, reason) pairs for which a model is refused."""
    try:
        check_supported(parsed(b))
    except UnsupportedModelError as error:
        return [(operator, reason) for operator, _, reason in error.offenders]
    return []


# --- Real models


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_models(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    check_supported(model)
    assert sum(ops.macs(model, node) for node in model.nodes) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_models(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(model)
    reasons = {(operator, reason) for operator, _, reason in caught.value.offenders}
    assert reasons >= REFUSED[name]
    assert all(tensor for _, tensor, _ in caught.value.offenders)


def test_every_offending_operator_is_named_at_once(shared_models):
    name = "keyword_scrambled_8bit"
    model = load_model(shared_models / name / f"{name}.tflite")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(model)
    named = {tensor for operator, tensor, _ in caught.value.offenders if operator == "SVDF"}
    assert named == {
        model.tensors[node.outputs[0]].label for node in model.nodes if node.op == "SVDF"
    }


def test_host_operators_of_lenet(shared_models):
    model = load_model(shared_models / "lenet_300_100" / "lenet_300_100.tflite")
    hosted = [node.op for node in model.nodes if ops.on_host(model, node)]
    assert hosted == ["QUANTIZE", "DEQUANTIZE", "LOG_SOFTMAX"]


# --- Windows


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


# --- Activation ranges


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        ("NONE", 0.1, 5, (-128, 127)),
        ("RELU", 0.1, 5, (5, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.1, -20, (-20, 40)),
        ("RELU6", 6 / 255, -128, (-128, 127)),
        ("RELU6", 4.0, 0, (0, 2)),  # 1.5 rounds away from zero
        ("RELU6", 100.0, 3, (3, 3)),
        ("RELU_N1_TO_1", 2.0, 0, (-1, 1)),  # so does -0.5
        ("RELU_N1_TO_1", 0.01, 100, (0, 127)),
    ],
)
def test_activation_range(activation, scale, zero_point, expected):
    assert activation_range(activation, float(np.float32(scale)), zero_point) == expected


def test_activation_range_divides_in_float32():
    scale = float(np.float32(2.4))
    assert 6 / scale < 2.5  # but 2.5 in float32
    assert activation_range("RELU6", scale, 0) == (0, 3)


def test_activation_range_refuses():
    with pytest.raises(ModelError, match="fused activation TANH is not supported"):
        activation_range("TANH", 1.0, 0)
    with pytest.raises(ModelError, match="overflows"):
        activation_range("RELU6", 1e-10, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
    st.floats(2.0**-9, 8.0, width=32), st.integers(-128, 127),
)  # fmt: skip
def test_activation_range_against_the_oracle(activation, scale, zero_point):
    """Large biases drive the output to both ends of its range."""
    b = Builder()
    x = b.input((1, 1), 0.5)
    w = b.constant(np.zeros((2, 1), np.int8), 0.5)
    # Below 2**23: the rescaling shifts it left by up to 8 bits in int32.
    bias = b.bias([-(2**14), 2**14], x, w)
    b.output(
        b.fully_connected(x, w, bias, scale=scale, zero_point=zero_point, activation=activation)
    )
    ((output,),) = oracle.run(parsed(b), np.zeros((1, 1), np.int8))
    assert tuple(output.ravel().tolist()) == activation_range(activation, scale, zero_point)


# --- FULLY_CONNECTED


@pytest.mark.parametrize(
    ("shape", "keep", "out_shape", "batches"),
    [
        ((1, 12), False, (1, 5), 1),
        ((2, 3, 12), False, (6, 5), 6),
        ((1, 2, 3, 2), False, (1, 5), 1),
        ((2, 3, 12), True, (2, 3, 5), 6),
        ((12,), False, (1, 5), 1),
    ],
)
def test_fully_connected_geometry(shape, keep, out_shape, batches):
    b = Builder()
    x = b.input(shape, 0.5)
    w = b.constant(np.ones((5, 12), np.int8), 0.5)
    b.output(b.fully_connected(x, w, scale=1.0, keep_num_dims=keep))
    model = parsed(b)
    check_supported(model)
    node = model.nodes[0]
    assert dataclasses.astuple(node.options.geometry(model, node)) == (batches, 12, 5)
    assert ops.macs(model, node) == batches * 60
    ((output,),) = oracle.run(model, np.zeros((1, *shape), np.int8))
    assert output.shape == model.tensors[model.outputs[0]].shape == out_shape


@pytest.mark.parametrize("bias", [None, -1])
def test_absent_biases_are_supported(bias):
    b = Builder()
    x = b.input((1, 2, 2, 2), 0.5)
    y = b.conv_2d(x, b.constant(np.ones((2, 1, 1, 2), np.int8), 0.5), bias)
    z = b.depthwise_conv_2d(y, b.constant(np.ones((1, 1, 1, 2), np.int8), 0.5), bias)
    b.output(b.fully_connected(z, b.constant(np.ones((3, 8), np.int8), 0.5), bias))
    assert offenders(b) == []


def test_weight_index():
    b = Builder()
    x = b.input((1, 4), 0.5)
    w = b.constant(np.ones((4, 4), np.int8), 0.5)
    y = b.fully_connected(x, w)
    b.output(b.add(x, y), b.softmax(y))
    assert [ops.weight_index(node) for node in parsed(b).nodes] == [w, None, None]


# --- Refusals, one by one


def conv(shape=(1, 4, 4, 2), codes=(3, 3, 3, 2), scales=(0.1, 0.1, 0.1), **options) -> Builder:
    """Return a CONV_2D with some of its parts out of order."""
    b = Builder()
    x = b.input(
        shape, options.pop("in_scale", 0.5), options.pop("in_zero_point", 0),
        dtype=options.pop("in_dtype", "int8"),
    )  # fmt: skip
    w = b.constant(
        np.ones(codes, options.pop("weight_dtype", np.int8)), scales, options.pop("axis", 0),
        zero_points=options.pop("weight_zero_points", 0),
    )  # fmt: skip
    bias = options.pop("bias", None)
    bias = None if bias is None else b.constant(bias, options.pop("bias_scale", 0.05))
    b.output(b.conv_2d(x, w, bias, **options))
    return b


CONV_REFUSALS = [
    (conv(in_dtype="uint8"), "input is uint8, only int8 is supported"),
    (conv(in_dtype="int16"), "input is int16, only int8 is supported"),
    (conv(in_scale=None), "input needs exactly one scale and one zero point"),
    (conv(in_scale=[0.5, 0.5]), "input needs exactly one scale and one zero point"),
    (conv(in_scale=0.0), "input has scale 0.0; scales must be finite and above 0"),
    (conv(in_scale=-1.0), "input has scale -1.0; scales must be finite and above 0"),
    (conv(in_scale=float("inf")), "input has scale inf; scales must be finite and above 0"),
    (conv(scale=float("nan")), "output has scale nan; scales must be finite and above 0"),
    (conv(in_zero_point=128), "input has zero point 128, outside int8"),
    (conv(zero_point=-129), "output has zero point -129, outside int8"),
    (
        conv(weight_zero_points=[0, 1, 0]),
        "weights are int8 with zero point 1, only int8 with zero point 0 is supported",
    ),
    (
        conv(weight_dtype=np.uint8),
        "weights are uint8, only int8 with zero point 0 is supported",
    ),
    (conv(scales=None), "weights need scales and as many zero points"),
    (conv(weight_zero_points=[0, 0]), "weights need scales and as many zero points"),
    (conv(scales=[0.1, 0.1]), "weights have 2 scales for 3 output channels"),
    (
        conv(codes=(3, 3, 2, 2), axis=2),
        "weights are quantised along axis 2, not along output axis 0",
    ),
    (conv(axis=4), "weights are quantised along axis 4, not along output axis 0"),
    (conv(axis=-1), "weights are quantised along axis -1, not along output axis 0"),
    (
        conv(scales=[0.1, 0.0, 0.1]),
        "weights has scale 0.0; scales must be finite and above 0",
    ),
    (conv(codes=(3, 3, 3, 1)), "grouped convolution (2 groups) is not supported"),
    (conv(codes=(3, 3, 3, 4)), "weights take 4 input channels, the input has 2"),
    (conv(shape=(1, -1, 4, 2), recorded_shape=(1, 4, 4, 3)),
     "input has shape [1, -1, 4, 2]; every dimension must be fixed and above 0"),
    (conv(shape=(1, 4, 0, 2), recorded_shape=(1, 4, 4, 3)),
     "input has shape [1, 4, 0, 2]; every dimension must be fixed and above 0"),
    (conv(shape=(1, 32768, 1, 2)), "input is larger than 32767 in height or width"),
    (conv(shape=(65536, 181, 182, 2)), "input has 4317773824 elements, more than 2147483647"),
    (conv(stride=(1025, 1)), "stride [1025, 1] is outside 1 ... 1024"),
    (conv(stride=(1, 2000)), "stride [1, 2000] is outside 1 ... 1024"),
    (conv(dilation=(0, 1)), "dilation [0, 1] is outside 1 ... 1024"),
    (conv(codes=(3, 1, 1025, 2)), "kernel [1, 1025] is outside 1 ... 1024"),
    (
        conv(codes=(3, 5, 3, 2), padding="VALID", recorded_shape=(1, 1, 2, 3)),
        "the window does not fit into input [1, 4, 4, 2]",
    ),
    (
        conv(recorded_shape=(1, 4, 3, 3)),
        "output is recorded as [1, 4, 3, 3] but computed as [1, 4, 4, 3]",
    ),
    (conv(activation="TANH"), "fused activation TANH is not supported"),
    (conv(scale=1e-10, activation="RELU6"),
     "fused activation RELU6 overflows at output scale 1.000000013351432e-10"),
    (conv(scale=1e-12), "a rescaling factor is 2**30 or more"),
    (conv(bias=np.zeros(2, np.int32)), "bias has 2 elements for 3 output channels"),
    (
        conv(bias=np.zeros(3, np.int64)),
        "bias is constant int64, only constant int32 is supported",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("builder", "reason"), CONV_REFUSALS, ids=[r for _, r in CONV_REFUSALS])
def test_conv_refusals(builder, reason):
    assert ("CONV_2D", reason) in offenders(builder)


def test_the_conv_that_the_refusals_start_from_is_supported():
    assert offenders(conv()) == []
    assert offenders(conv(scales=[0.1])) == []
    assert offenders(conv(bias=np.zeros(3, np.int32), bias_scale=99.0)) == []


def test_grouped_input_reasons_come_together():
    b = conv(in_dtype="uint8", weight_dtype=np.uint8, weight_zero_points=7)
    assert offenders(b) == [
        ("CONV_2D", "input is uint8, only int8 is supported"),
        (
            "CONV_2D",
            "weights are uint8 with zero point 7, only int8 with zero point 0 is supported",
        ),
    ]


def simple(build) -> list[str]:
    """Return the reasons against one operator that build adds behind an input [1, 4, 4, 2]."""
    b = Builder()
    b.output(build(b, b.input((1, 4, 4, 2), 0.5, 3)))
    return [reason for _, reason in offenders(b)]


def test_depthwise_refusals():
    def build(codes, **options):
        return lambda b, x: b.depthwise_conv_2d(
            x, b.constant(np.ones(codes, np.int8), 0.1, 3), **options
        )

    assert simple(build((1, 3, 3, 4))) == []
    assert simple(build((1, 3, 3, 4), depth_multiplier=3)) == [
        "weights have 4 channels, input and depth multiplier make 2 times 3"
    ]
    assert simple(build((2, 3, 3, 2))) == [
        "weights have shape [2, 3, 3, 2], the first dimension must be 1"
    ]


def test_fully_connected_refusals():
    def build(codes, bias_scale=None, **options):
        def add(b, x):
            bias = None
            if bias_scale is not None:
                bias = b.constant(np.zeros(codes[0], np.int32), bias_scale)
            return b.fully_connected(x, b.constant(np.ones(codes, np.int8), 0.5), bias, **options)

        return add

    assert simple(build((3, 8))) == []
    assert simple(build((3, 32), 0.25)) == []
    assert simple(build((3, 32), 0.26)) == []  # differs by 0.01 output steps
    assert simple(build((3, 32), 0.2696)) == []
    assert simple(build((3, 32), 0.2704)) == [
        "bias has scale 0.2703999876976013, input times weight scale is 0.25"
    ]
    assert simple(build((3, 5), recorded_shape=(6, 3))) == [
        "input [1, 4, 4, 2] does not divide into rows of 5"
    ]
    assert simple(build((3, 8), keep_num_dims=True)) == [
        "input [1, 4, 4, 2] does not divide into rows of 8"
    ]


def test_shuffled_weights_are_refused():
    b = Builder()
    x = b.input((1, 8), 0.5)
    b.output(b.fully_connected(x, b.constant(np.ones((3, 8), np.int8), 0.5)))
    b.operators[0].fields["WeightsFormat"] = 1
    assert offenders(b) == [("FULLY_CONNECTED", "weights format 1 is not supported")]


def test_computed_weights_and_constant_activations_are_refused():
    b = Builder()
    x, w = b.input((4, 4), 0.5), b.input((4, 4), 0.5)
    constant = b.constant(np.ones((4, 4), np.int8), 0.5)
    b.output(b.fully_connected(x, w), b.softmax(constant))
    assert offenders(b) == [
        ("FULLY_CONNECTED", "weights are not constant"),
        ("SOFTMAX", "input is a constant, only computed activations are supported"),
    ]


def test_add_refusals():
    b = Builder()
    x = b.input((1, 4, 4, 2), 0.5)
    b.output(b.add(x, x, scale=1e-7))
    b.output(b.add(x, x, scale=float(np.float32(2.0**-20)) * 1.01))
    b.output(b.add(x, x, activation="SIGN_BIT"))
    assert offenders(b) == [
        ("ADD", "output scale is too small beside the inputs' (2**19 times or more)"),
        ("ADD", "fused activation SIGN_BIT is not supported"),
    ]


def test_pooling_refusals():
    assert simple(lambda b, x: b.average_pool_2d(x, (4, 4))) == []
    assert simple(lambda b, x: b.average_pool_2d(x, (2, 2), zero_point=4)) == [
        "input and output must be quantised alike (scale 0.5, zero point 3 to scale 0.5, 4)"
    ]
    assert simple(lambda b, x: b.average_pool_2d(x, (2, 2), scale=0.25)) == [
        "input and output must be quantised alike (scale 0.5, zero point 3 to scale 0.25, 3)"
    ]
    assert simple(lambda b, x: b.average_pool_2d(x, (0, 2))) == [
        "kernel [0, 2] is outside 1 ... 1024"
    ]


def test_reshape_refusals():
    def wrong_operand(b, x):
        y = b.tensor((1, 32), 0.5, 3)
        b.op("RESHAPE", [x, b.constant(np.array([2, 16], np.int32))], [y])
        return y

    assert simple(lambda b, x: b.reshape(x, (8, 4))) == []
    assert simple(lambda b, x: b.reshape(x, (8, 4), operand=False)) == []
    assert simple(lambda b, x: b.reshape(x, (8, 5))) == ["[1, 4, 4, 2] cannot become [8, 5]"]
    assert simple(wrong_operand) == ["output is recorded as [1, 32], not as [2, 16]"]
    assert simple(lambda b, x: b.reshape(x, (8, 4), zero_point=0)) == [
        "input and output must be quantised alike (scale 0.5, zero point 3 to scale 0.5, 0)"
    ]


def test_reshape_goes_by_its_options_without_an_operand():
    def build(new_shape):
        def add(b, x):
            y = b.tensor((8, 4), 0.5, 3)
            b.op("RESHAPE", [x], [y], "ReshapeOptions", NewShape=new_shape)
            return y

        return add

    assert simple(build([8, 4])) == simple(build([-1, 4])) == []
    assert simple(build([4, 8])) == ["output is recorded as [8, 4], not as [4, 8]"]
    assert simple(build([4] * 20)) == [f"output is recorded as [8, 4], not as {[4] * 16}"]
    assert simple(build([])) == ["output is recorded as [8, 4], not as []"]


def test_reshape_takes_a_shape_with_an_open_dimension():
    def build(b, x):
        y = b.tensor((1, 32), 0.5, 3)
        b.op("RESHAPE", [x, b.constant(np.array([1, -1], np.int32))], [y])
        return y

    assert simple(build) == []


def test_softmax_refusals():
    assert simple(lambda b, x: b.softmax(x)) == []
    fixed = "TFLite fixes them at 1/256 and -128"
    assert simple(lambda b, x: b.softmax(x, scale=1 / 255)) == [
        f"output has scale 0.003921568859368563 and zero point -128, {fixed}"
    ]
    assert simple(lambda b, x: b.softmax(x, zero_point=0)) == [
        "output has scale 0.00390625 and zero point 0, TFLite fixes them at 1/256 and -128"
    ]
    assert simple(lambda b, x: b.softmax(x, beta=0.0)) == ["softmax factor 0.0 is not above 2**-26"]
    b = Builder()
    b.output(b.softmax(b.input((1, 4096), 0.5)), b.softmax(b.input((1, 4095), 0.5)))
    assert offenders(b) == [
        ("SOFTMAX", "input [1, 4096] exceeds 4 dimensions and 4095 values a row")
    ]


def test_the_longest_flat_row_that_the_reference_defines():
    """511 equal values: one more and its last shift is by more than 31 bits."""
    b = Builder()
    b.output(b.softmax(b.input((1, 511), 0.5)))
    ((output,),) = oracle.run(parsed(b), np.zeros((1, 511), np.int8))
    assert set(output.ravel().tolist()) == {-127}


# --- The float edges


def test_float_edges_are_supported():
    b = Builder()
    x = b.input((1, 4), None, dtype="float32")
    y = b.dequantize(b.softmax(b.quantize(x, 0.5, 3)))
    b.output(y, b.softmax(y), b.log_softmax(y))
    assert offenders(b) == []
    model = parsed(b)
    hosted = [ops.on_host(model, node) for node in model.nodes]
    assert hosted == [True, False, True, True, True]


def test_quantize_takes_model_inputs_only():
    b = Builder()
    x = b.dequantize(b.input((1, 4), 0.5))
    b.output(b.quantize(x, 0.5, 0), b.quantize(b.input((1, 4), dtype="int32"), 0.5, 0))
    assert offenders(b) == [
        ("QUANTIZE", "float32 input is not an input of the model"),
        ("QUANTIZE", "input is int32, only float32, int8, uint8 and int16 can be quantised"),
    ]


def test_quantize_of_int8_runs_on_the_device():
    b = Builder()
    b.output(b.quantize(b.input((1, 4), 0.25), 0.5, 0))
    assert offenders(b) == []
    model = parsed(b)
    assert not ops.on_host(model, model.nodes[0])


def test_float_operators_in_the_middle_are_refused():
    b = Builder()
    x = b.input((1, 4), None, dtype="float32")
    softmax = b.softmax(x)
    b.output(b.log_softmax(softmax), b.reshape(x, (4, 1)))
    assert offenders(b) == [
        ("SOFTMAX", "float32 input does not come from a DEQUANTIZE"),
        ("LOG_SOFTMAX", "float32 input does not come from a DEQUANTIZE"),
        ("RESHAPE", "input is float32, only int8 is supported"),
        ("RESHAPE", "output is float32, only int8 is supported"),
    ]


def test_float_results_must_be_outputs():
    b = Builder()
    x = b.input((1, 4), 0.5)
    b.log_softmax(b.dequantize(x))
    b.output(b.softmax(x))
    assert offenders(b) == [("LOG_SOFTMAX", "float32 output is not an output of the model")]


def test_int8_log_softmax_is_refused():
    b = Builder()
    x = b.input((1, 4), 0.5)
    y = b.tensor((1, 4), 0.0625, 127)
    b.op("LOG_SOFTMAX", [x], [y])
    b.output(y)
    assert offenders(b) == [
        ("LOG_SOFTMAX", "input is int8, only float32 behind a DEQUANTIZE is supported")
    ]


# --- The graph


def test_operators_out_of_order_are_refused():
    b = Builder()
    x = b.input((1, 4), 0.5)
    y = b.tensor((1, 4), 0.5)
    b.output(b.reshape(y, (4, 1)))
    b.op("ADD", [x, x], [y], "AddOptions")
    assert ("RESHAPE", "reads 'tensor_1' before anything computes it") in offenders(b)


def test_a_tensor_computed_twice_is_refused():
    b = Builder()
    x = b.input((1, 4), 0.5)
    y = b.add(x, x)
    b.op("ADD", [x, x], [y], "AddOptions")
    b.op("ADD", [y, y], [x], "AddOptions")
    b.output(y)
    assert offenders(b) == [("ADD", "its output already has a value")] * 2


def test_outputs_that_nothing_computes_are_refused():
    b = Builder()
    x = b.input((1, 4), 0.5, name="x")
    b.output(b.add(x, x), x)
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(parsed(b))
    assert caught.value.offenders == (("output", "x", "no operator computes it"),)


def test_wrong_numbers_of_operands_are_refused():
    b = Builder()
    x = b.input((1, 4), 0.5)
    y, z = b.tensor((1, 4), 1 / 256, -128), b.tensor((1, 4), 0.5)
    b.op("SOFTMAX", [x, x], [y], "SoftmaxOptions", Beta=1.0)
    b.op("ADD", [x], [z], "AddOptions")
    b.op("SOFTMAX", [x], [], "SoftmaxOptions", Beta=1.0)
    b.output(y, z)
    assert offenders(b) == [
        ("SOFTMAX", "2 inputs and 1 outputs do not fit it"),
        ("ADD", "input 2 is absent"),
        ("SOFTMAX", "1 inputs and 0 outputs do not fit it"),
    ]


def test_a_stride_of_0_is_refused():
    b = conv()
    b.operators[0].fields["StrideW"] = 0
    assert offenders(b) == [("CONV_2D", "stride [1, 0] is outside 1 ... 1024")]


def test_unknown_enumerations_are_refused():
    b = conv()
    b.operators[0].fields.update(Padding=5, FusedActivationFunction=77)
    assert [reason for _, reason in offenders(b)] == ["padding 5 is not supported"]
    b.operators[0].fields["Padding"] = 0
    assert [reason for _, reason in offenders(b)] == [
        "fused activation activation 77 is not supported"
    ]
