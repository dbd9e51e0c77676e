"""Every reason to refuse a model, and what stands right beside it."""

import numpy as np
import pytest

from edgesparse import ops, oracle
from edgesparse.errors import UnsupportedModelError
from edgesparse.ops import check_supported
from tests.tflite_builder import Builder, parsed


def offenders(b: Builder) -> list[tuple[str, str]]:
    """Return the (operator, reason) pairs for which a model is refused."""
    try:
        check_supported(parsed(b))
    except UnsupportedModelError as error:
        return [(operator, reason) for operator, _, reason in error.offenders]
    return []


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


@pytest.mark.parametrize("bias", [None, -1])
def test_absent_biases_are_supported(bias):
    b = Builder()
    x = b.input((1, 2, 2, 2), 0.5)
    y = b.conv_2d(x, b.constant(np.ones((2, 1, 1, 2), np.int8), 0.5), bias)
    z = b.depthwise_conv_2d(y, b.constant(np.ones((1, 1, 1, 2), np.int8), 0.5), bias)
    b.output(b.fully_connected(z, b.constant(np.ones((3, 8), np.int8), 0.5), bias))
    assert offenders(b) == []


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
