"""What random models of one operator are drawn with: weights, scales, and the model's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.errors import UnsupportedModelError
from edgesparse.model import Model, parse_model
from tests.tflite_builder import Builder

ROWS = 3
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
PADDING = st.sampled_from(["SAME", "VALID"])
ZERO_POINT = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))


@dataclass(frozen=True)
class Example:
    """A model of one operator and a few rows of input, int8 [ROWS, ...] each."""

    model: Model
    rows: list[NDArray[np.int8]]
    builder: Builder


def rng_of(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def draw_weights(
    draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.int8]:
    """Any share of zeros, whole filters of zeros, extreme values."""
    values = rng.integers(-128, 128, shape, dtype=np.int64)
    kind = draw(st.sampled_from(["any", "small", "extreme"]))
    if kind == "small":
        values = values // 40
    elif kind == "extreme":
        values = rng.choice(np.array([-128, -127, 127]), shape)
    zeros = draw(st.sampled_from([0.0, 0.0, 0.3, 0.7, 0.95, 1.0]))
    values[rng.random(shape) < zeros] = 0
    if values.size % 4 == 0 and draw(st.booleans()):  # zeros in groups of four
        values.reshape(-1, 4)[rng.random(values.size // 4) < 0.5] = 0
    return values.astype(np.int8)


def draw_bias(draw: st.DrawFn, rng: np.random.Generator, rows: int) -> NDArray[np.int32] | None:
    kind = draw(st.sampled_from(["none", "small", "large", "huge"]))
    if kind == "none":
        return None
    limit = {"small": 1000, "large": 2**24, "huge": 2**30 + 2**20}[kind]
    return rng.integers(-limit, limit, rows).astype(np.int32)


def draw_scales(
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


def draw_window(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilated = draw(st.booleans()) and stride == (1, 1)
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if dilated else (1, 1)
    return kernel, stride, dilation


def finished(b: Builder, rng: np.random.Generator) -> Example | None:
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
    return Example(model, [values.astype(np.int8) for values in rows], b)


def side_by_side(examples: Sequence[Example]) -> Example:
    """The graphs of several examples in one model, each with its own inputs and outputs."""
    b = Builder()
    for example in examples:
        b.absorb(example.builder)
    model = parse_model(b.finish(), name="side_by_side")
    return Example(model, [values for example in examples for values in example.rows], b)
