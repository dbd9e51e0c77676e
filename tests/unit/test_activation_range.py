"""The codes that a fused activation leaves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesparse import oracle
from edgesparse.errors import ModelError
from edgesparse.ops import activation_range
from tests.tflite_builder import Builder, parsed


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
