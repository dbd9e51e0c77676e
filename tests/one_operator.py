"""Random models of one operator: shapes, strides, zero points, extreme scales.

The operators that move or reduce elements are in one_movement.py; what both draw with is in
drawing.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.drawing import (
    ACTIVATIONS,
    PADDING,
    ZERO_POINT,
    Example,
    draw_bias,
    draw_scales,
    draw_weights,
    draw_window,
    finished,
    rng_of,
)
from tests.one_movement import MOVEMENT
from tests.tflite_builder import Builder

__all__ = ["OPERATORS", "Example"]

UNARIES = (
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"),
    *("HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE"),
)
OUT_CHANNELS = st.integers(1, 9) | st.sampled_from([16, 17])
"""Less than a block of channels, one, and more with a rest."""


@st.composite
def convolutions(draw: st.DrawFn, *, depthwise: bool) -> Example | None:
    """CONV_2D or DEPTHWISE_CONV_2D."""
    rng = rng_of(draw)
    kernel, stride, dilation = draw_window(draw)
    in_c = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 16, 20]))
    out_c = in_c * draw(st.sampled_from([1, 1, 2, 8])) if depthwise else draw(OUT_CHANNELS)
    sides = [draw(st.integers(1, 9) | st.integers(1, 19)) for _ in range(2)]
    if depthwise and draw(st.booleans()):  # several strips, every pitch of the 3 x 3 loops
        kernel, dilation = (3, 3), (1, 1)
        stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
        sides[1] = draw(st.one_of(st.integers(1, 9), st.integers(10, 140)))
        if draw(st.booleans()):
            sides = [draw(st.integers(10, 40)), min(sides[1], 30)]
    elif depthwise and draw(st.booleans()):  # longer filters along a signal
        kernel, stride = (draw(st.integers(1, 16)), 1), (draw(st.integers(1, 2)), 1)
        dilation, sides = (1, 1), [draw(st.integers(1, 40)), 1]
    shape = (draw(st.sampled_from([1, 1, 2])), *sides, in_c)
    per_row = draw(st.booleans())
    in_scale, scales, out_scale = draw_scales(draw, rng, out_c, per_row=per_row)
    b = Builder()
    x = b.input(shape, in_scale, draw(ZERO_POINT))
    weights_shape = (1, *kernel, out_c) if depthwise else (out_c, *kernel, in_c)
    w = b.constant(draw_weights(draw, rng, weights_shape), scales, axis=3 if depthwise else 0)
    values = draw_bias(draw, rng, out_c)
    if values is None and not depthwise:  # the reference's CONV_2D insists on a bias
        values = np.zeros(out_c, np.int32)
    operator = b.depthwise_conv_2d if depthwise else b.conv_2d
    y = operator(
        x,
        w,
        None if values is None else b.bias(values, x, w),
        scale=out_scale,
        zero_point=draw(ZERO_POINT),
        padding=draw(PADDING),
        stride=stride,
        dilation=dilation,
        activation=draw(ACTIVATIONS),
    )
    b.output(y)
    return finished(b, rng)


@st.composite
def fully_connected(draw: st.DrawFn) -> Example | None:
    """FULLY_CONNECTED."""
    rng = rng_of(draw)
    columns = draw(st.one_of(st.integers(1, 40), st.sampled_from([300, 700])))
    rows = draw(st.integers(1, 13))
    in_scale, scales, out_scale = draw_scales(draw, rng, rows, per_row=False)
    b = Builder()
    x = b.input((draw(st.sampled_from([1, 1, 3])), columns), in_scale, draw(ZERO_POINT))
    w = b.constant(draw_weights(draw, rng, (rows, columns)), scales)
    values = draw_bias(draw, rng, rows)
    bias = None if values is None else b.bias(values, x, w)
    activation = draw(ACTIVATIONS)
    zero_point = draw(ZERO_POINT)
    b.output(
        b.fully_connected(x, w, bias, scale=out_scale, zero_point=zero_point, activation=activation)
    )
    return finished(b, rng)


def _broadcasting(draw: st.DrawFn, most: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast, of up to `most` dimensions; often alike, or one is a vector."""
    rank = draw(st.integers(1, most))
    shape = tuple(draw(st.integers(1, 7 if rank < 5 else 3)) for _ in range(rank))
    kind = draw(st.sampled_from(["same", "scalar", "vector", "any"]))
    other = {"same": shape, "scalar": (1,), "vector": shape[-1:]}.get(kind)
    if other is None:
        keep = [draw(st.sampled_from("12b")) for _ in range(rank)]  # who has the dimension
        other = tuple(1 if who == "1" else side for who, side in zip(keep, shape, strict=True))
        shape = tuple(1 if who == "2" else side for who, side in zip(keep, shape, strict=True))
        other = other[draw(st.integers(0, rank - 1)) :] if draw(st.booleans()) else other
    return (other, shape) if draw(st.booleans()) else (shape, other)


@st.composite
def binaries(draw: st.DrawFn, *, name: str, most: int) -> Example | None:
    """ADD, SUB, MUL, MAXIMUM or MINIMUM of up to `most` dimensions; one may be a constant."""
    rng = rng_of(draw)
    shapes = _broadcasting(draw, most)
    if draw(st.integers(0, 3)) == 0:  # enough for tables of ADD's terms
        shapes = ((draw(st.integers(500, 530)),),) * 2
    clips = name not in ("MAXIMUM", "MINIMUM")
    spread = st.floats(-4, 1)
    scales = [float(np.float32(10.0 ** draw(spread))) for _ in range(3)]
    if name == "MUL" and draw(st.booleans()):
        scales[2] = float(np.float32(scales[0] * scales[1] * 10.0 ** draw(st.floats(0, 3))))
    points = [draw(ZERO_POINT) for _ in range(3)]
    if not clips:
        scales, points = scales[:1] * 3, points[:1] * 3
    constant = draw(st.sampled_from([None, None, 0, 1]))
    b = Builder()
    operands = []
    for i, shape in enumerate(shapes):
        if i == constant:
            values = draw_weights(draw, rng, shape)
            if shape == (1,) and draw(st.booleans()):
                values = values.reshape(())
            operands.append(b.constant(values, scales[i], zero_points=points[i]))
        else:
            operands.append(b.input(shape, scales[i], points[i]))
    activation = draw(ACTIVATIONS) if clips else None
    b.output(
        b.binary(name, *operands, scale=scales[2], zero_point=points[2], activation=activation)
    )
    return finished(b, rng)


@st.composite
def unaries(draw: st.DrawFn, *, name: str) -> Example | None:
    """A function of one int8, over any number of elements."""
    rng = rng_of(draw)
    shape = tuple(draw(st.integers(1, 9)) for _ in range(draw(st.integers(1, 4))))
    in_scale = float(np.float32(10.0 ** draw(st.floats(-5, 2))))
    out_scale = float(np.float32(in_scale * 10.0 ** draw(st.floats(-2, 2))))
    if name == "LOGISTIC":
        out_scale = 1 / 256
    elif name == "TANH":
        out_scale = draw(st.sampled_from([1 / 128, 1 / 128, 0.001, 0.3]))
    alpha = draw(st.sampled_from([0.0, 0.01, 0.2, 1.5])) if name == "LEAKY_RELU" else None
    b = Builder()
    x = b.input(shape, in_scale, draw(ZERO_POINT))
    b.output(b.unary(name, x, scale=out_scale, zero_point=draw(ZERO_POINT), alpha=alpha))
    return finished(b, rng)


@st.composite
def poolings(draw: st.DrawFn, *, name: str) -> Example | None:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    rng = rng_of(draw)
    kernel, stride, _ = draw_window(draw)
    sides = [draw(st.integers(1, 9)) for _ in range(2)]
    b = Builder()
    x = b.input((1, *sides, draw(st.integers(1, 9))), draw(st.floats(0.01, 0.5)), draw(ZERO_POINT))
    padding, activation = draw(PADDING), draw(ACTIVATIONS)
    b.output(b.pool_2d(name, x, kernel, stride=stride, padding=padding, activation=activation))
    return finished(b, rng)


@st.composite
def softmaxes(draw: st.DrawFn) -> Example | None:
    """SOFTMAX."""
    rng = rng_of(draw)
    shape = (draw(st.sampled_from([1, 3])), draw(st.integers(1, 33)))
    b = Builder()
    x = b.input(shape, float(np.float32(10.0 ** draw(st.floats(-5, 1)))), draw(ZERO_POINT))
    b.output(b.softmax(x, beta=draw(st.sampled_from([1.0, 1.0, 0.5, 3.0]))))
    return finished(b, rng)


@st.composite
def variables(draw: st.DrawFn, *, read_first: bool) -> Example | None:
    """ASSIGN_VARIABLE before a free READ_VARIABLE; before both, perhaps, one that must copy."""
    rng = rng_of(draw)
    shape = (1, draw(st.integers(1, 40)))
    zero_point = draw(ZERO_POINT)
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
    return finished(b, rng)


OPERATORS: dict[str, st.SearchStrategy[Example | None]] = {
    "CONV_2D": convolutions(depthwise=False),
    "DEPTHWISE_CONV_2D": convolutions(depthwise=True),
    "FULLY_CONNECTED": fully_connected(),
    "ADD": binaries(name="ADD", most=6),
    "SUB": binaries(name="SUB", most=5),
    "MUL": binaries(name="MUL", most=4),
    "MAXIMUM": binaries(name="MAXIMUM", most=5),
    "MINIMUM": binaries(name="MINIMUM", most=5),
    **{name: unaries(name=name) for name in UNARIES},
    "AVERAGE_POOL_2D": poolings(name="AVERAGE_POOL_2D"),
    "SOFTMAX": softmaxes(),
    "MAX_POOL_2D": poolings(name="MAX_POOL_2D"),
    **MOVEMENT,
    "ASSIGN_VARIABLE": variables(read_first=False),
    "READ_VARIABLE": variables(read_first=True),
}
"""What a test draws from, by operator; None stands for a model that is refused."""
