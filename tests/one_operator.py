"""Random models of one operator: shapes, strides, zero points, extreme scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.errors import UnsupportedModelError
from edgesparse.model import Model, parse_model
from tests.tflite_builder import Builder

ROWS = 3
_ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
_PADDING = st.sampled_from(["SAME", "VALID"])
_ZERO_POINT = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))


@dataclass(frozen=True)
class Example:
    """A model of one operator and a few rows of input, int8 [ROWS, ...] each."""

    model: Model
    rows: list[NDArray[np.int8]]


def _rng(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def _weights(draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Any share of zeros, whole filters of zeros, extreme values."""
    values = rng.integers(-128, 128, shape, dtype=np.int64)
    kind = draw(st.sampled_from(["any", "small", "extreme"]))
    if kind == "small":
        values = values // 40
    elif kind == "extreme":
        values = rng.choice(np.array([-128, -127, 127]), shape)
    zeros = draw(st.sampled_from([0.0, 0.0, 0.3, 0.7, 0.95, 1.0]))
    values[rng.random(shape) < zeros] = 0
    return values.astype(np.int8)


def _bias(draw: st.DrawFn, rng: np.random.Generator, rows: int) -> NDArray[np.int32] | None:
    kind = draw(st.sampled_from(["none", "small", "large", "huge"]))
    if kind == "none":
        return None
    limit = {"small": 1000, "large": 2**24, "huge": 2**30 + 2**20}[kind]
    return rng.integers(-limit, limit, rows).astype(np.int32)


def _scales(
    draw: st.DrawFn, rng: np.random.Generator, rows: int, *, per_row: bool
) -> tuple[float, list[float], float]:
    """Input, weights and output scale; their quotient spans shifts from beyond -31 to the left."""
    in_scale = float(np.float32(10.0 ** draw(st.floats(-4, 0))))
    out_scale = float(np.float32(10.0 ** draw(st.floats(-4, 2))))
    centre = draw(st.sampled_from([-2.5, -2.5, -4.0, -0.5, -9.0]))
    spread = draw(st.sampled_from([0.3, 0.3, 2.0]))
    count = rows if per_row else 1
    factors = 10.0 ** rng.normal(centre, spread, count)
    weights = [float(np.float32(max(f * out_scale / in_scale, 1e-30))) for f in factors]
    return in_scale, weights, out_scale


def _window(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilated = draw(st.booleans()) and stride == (1, 1)
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if dilated else (1, 1)
    return kernel, stride, dilation


def _example(b: Builder, rng: np.random.Generator) -> Example | None:
    """The finished model with random rows; None if it is one that edgesparse refuses."""
    model = parse_model(b.finish(), name="one")
    try:
        ops.check_supported(model)
    except UnsupportedModelError:
        return None
    shapes = [model.tensors[i].shape for i in model.inputs]
    rows = [rng.integers(-128, 128, (ROWS, *shape), dtype=np.int64) for shape in shapes]
    if rng.random() < 0.3:  # a vector full of zero points, as after a ReLU
        for i, values in zip(model.inputs, rows, strict=True):
            values[0] = model.tensors[i].affine()[1]
    return Example(model, [values.astype(np.int8) for values in rows])


@st.composite
def convolutions(draw: st.DrawFn, *, depthwise: bool) -> Example | None:
    """CONV_2D or DEPTHWISE_CONV_2D."""
    rng = _rng(draw)
    kernel, stride, dilation = _window(draw)
    in_c = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 16, 20]))
    out_c = in_c * draw(st.sampled_from([1, 1, 2, 8])) if depthwise else draw(st.integers(1, 9))
    sides = [draw(st.integers(1, 9)) for _ in range(2)]
    shape = (draw(st.sampled_from([1, 1, 2])), *sides, in_c)
    per_row = draw(st.booleans())
    in_scale, scales, out_scale = _scales(draw, rng, out_c, per_row=per_row)
    b = Builder()
    x = b.input(shape, in_scale, draw(_ZERO_POINT))
    weights_shape = (1, *kernel, out_c) if depthwise else (out_c, *kernel, in_c)
    w = b.constant(_weights(draw, rng, weights_shape), scales, axis=3 if depthwise else 0)
    values = _bias(draw, rng, out_c)
    if values is None and not depthwise:  # the reference's CONV_2D insists on a bias
        values = np.zeros(out_c, np.int32)
    operator = b.depthwise_conv_2d if depthwise else b.conv_2d
    y = operator(
        x,
        w,
        None if values is None else b.bias(values, x, w),
        scale=out_scale,
        zero_point=draw(_ZERO_POINT),
        padding=draw(_PADDING),
        stride=stride,
        dilation=dilation,
        activation=draw(_ACTIVATIONS),
    )
    b.output(y)
    return _example(b, rng)


@st.composite
def fully_connected(draw: st.DrawFn) -> Example | None:
    """FULLY_CONNECTED."""
    rng = _rng(draw)
    columns = draw(st.one_of(st.integers(1, 40), st.sampled_from([300, 700])))
    rows = draw(st.integers(1, 13))
    in_scale, scales, out_scale = _scales(draw, rng, rows, per_row=False)
    b = Builder()
    x = b.input((draw(st.sampled_from([1, 1, 3])), columns), in_scale, draw(_ZERO_POINT))
    w = b.constant(_weights(draw, rng, (rows, columns)), scales)
    values = _bias(draw, rng, rows)
    bias = None if values is None else b.bias(values, x, w)
    activation = draw(_ACTIVATIONS)
    zero_point = draw(_ZERO_POINT)
    b.output(
        b.fully_connected(x, w, bias, scale=out_scale, zero_point=zero_point, activation=activation)
    )
    return _example(b, rng)


@st.composite
def additions(draw: st.DrawFn) -> Example | None:
    """ADD of two inputs of one shape."""
    rng = _rng(draw)
    shape = (1, draw(st.integers(1, 7)), draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    scales = [float(np.float32(10.0 ** draw(st.floats(-4, 1)))) for _ in range(3)]
    b = Builder()
    first = b.input(shape, scales[0], draw(_ZERO_POINT))
    second = b.input(shape, scales[1], draw(_ZERO_POINT))
    zero_point = draw(_ZERO_POINT)
    activation = draw(_ACTIVATIONS)
    b.output(b.add(first, second, scale=scales[2], zero_point=zero_point, activation=activation))
    return _example(b, rng)


@st.composite
def poolings(draw: st.DrawFn) -> Example | None:
    """AVERAGE_POOL_2D."""
    rng = _rng(draw)
    kernel, stride, _ = _window(draw)
    sides = [draw(st.integers(1, 9)) for _ in range(2)]
    b = Builder()
    x = b.input((1, *sides, draw(st.integers(1, 9))), draw(st.floats(0.01, 0.5)), draw(_ZERO_POINT))
    padding, activation = draw(_PADDING), draw(_ACTIVATIONS)
    b.output(b.average_pool_2d(x, kernel, stride=stride, padding=padding, activation=activation))
    return _example(b, rng)


@st.composite
def softmaxes(draw: st.DrawFn) -> Example | None:
    """SOFTMAX."""
    rng = _rng(draw)
    shape = (draw(st.sampled_from([1, 3])), draw(st.integers(1, 33)))
    b = Builder()
    x = b.input(shape, float(np.float32(10.0 ** draw(st.floats(-5, 1)))), draw(_ZERO_POINT))
    b.output(b.softmax(x, beta=draw(st.sampled_from([1.0, 1.0, 0.5, 3.0]))))
    return _example(b, rng)


@st.composite
def variables(draw: st.DrawFn, *, read_first: bool) -> Example | None:
    """ASSIGN_VARIABLE before a free READ_VARIABLE; before both, perhaps, one that must copy."""
    rng = _rng(draw)
    shape = (1, draw(st.integers(1, 40)))
    zero_point = draw(_ZERO_POINT)
    b = Builder()
    x = b.input(shape, 0.5, zero_point)
    init = b.call_once()
    initial = init.constant(rng.integers(-128, 128, shape).astype(np.int8), 0.5)
    init.assign_variable(init.var_handle("v"), initial)
    handle = b.var_handle("v")
    if read_first:
        b.output(b.read_variable(handle, shape, 0.5, zero_point))
    b.assign_variable(handle, x)
    b.output(b.read_variable(handle, shape, 0.5, zero_point))
    return _example(b, rng)


OPERATORS: dict[str, st.SearchStrategy[Example | None]] = {
    "CONV_2D": convolutions(depthwise=False),
    "DEPTHWISE_CONV_2D": convolutions(depthwise=True),
    "FULLY_CONNECTED": fully_connected(),
    "ADD": additions(),
    "AVERAGE_POOL_2D": poolings(),
    "SOFTMAX": softmaxes(),
    "ASSIGN_VARIABLE": variables(read_first=False),
    "READ_VARIABLE": variables(read_first=True),
}
"""What a test draws from, by operator; None stands for a model that is refused."""
