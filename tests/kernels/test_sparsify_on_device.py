"""Weights that the device sets to zero: those that the host does, bit for bit, at any scales."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse.deploy.boards import find_board
from edgesparse.errors import UnsupportedModelError
from edgesparse.model import Model, parse_model
from edgesparse.sparsify import Rule
from edgesparse.sparsify.layer import magnitudes
from tests.kernels.test_operators import EXAMPLES
from tests.on_device import check_alike, run_both
from tests.tflite_builder import Builder

RULES = st.one_of(
    st.builds(lambda share: Rule("relative", (share,)), st.floats(0, 1)),
    st.builds(lambda share: Rule("relative", (share,)), st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0])),
    st.builds(lambda value: Rule("flat", (value,)), st.floats(0, 1)),
    st.builds(lambda value: Rule("threshold", (value,)), st.floats(0, 1)),
)


ENCODINGS = st.sampled_from(["dense", "bitmap"])


@st.composite
def two_layers(draw: st.DrawFn) -> Model | None:
    """A convolution and a fully connected layer, scales far apart, many equal magnitudes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    spread = draw(st.sampled_from([0, 0, 1, 6]))
    b = Builder()
    x = b.input((1, 4, 4, channels), 0.5, draw(st.sampled_from([-128, -3, 0, 127])))
    codes = rng.integers(-128, 128, (outputs, 3, 3, channels)) // draw(st.sampled_from([1, 1, 40]))
    codes[rng.random(codes.shape) < draw(st.sampled_from([0.0, 0.3]))] = 0
    scales = [float(np.float32(10.0 ** rng.uniform(-spread, 0))) * 0.01 for _ in range(outputs)]
    w = b.constant(codes.astype(np.int8), scales, axis=0)
    y = b.conv_2d(x, w, b.bias(rng.integers(-999, 999, outputs), x, w), scale=0.8, zero_point=-9)
    y = b.reshape(y, (1, 16 * outputs))
    matrix = rng.integers(-128, 128, (5, 16 * outputs)).astype(np.int8)
    v = b.constant(matrix, float(np.float32(0.013)))
    b.output(b.fully_connected(y, v, b.bias(rng.integers(-99, 99, 5), y, v), scale=3.0))
    try:
        return parse_model(b.finish(), name="two")
    except UnsupportedModelError:
        return None


def rows_of(model: Model) -> list[NDArray[np.int8]]:
    shape = model.tensors[model.inputs[0]].shape
    return [np.random.default_rng(1).integers(-128, 128, (3, *shape)).astype(np.int8)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(two_layers(), RULES, ENCODINGS)
def test_the_same_weights_go(model: Model | None, rule: Rule, encoding: str) -> None:
    if model is not None:
        native = find_board("native")
        check_alike(run_both(model, rule, rows_of(model), native, encoding=encoding))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(two_layers(), st.integers(0, 2**32 - 1), st.sampled_from([-1, 0, 1]), ENCODINGS)
def test_limits_at_and_beside_a_magnitude(
    model: Model | None, seed: int, beside: int, encoding: str
) -> None:
    """The double next to a weight's own magnitude decides otherwise than that magnitude."""
    if model is None:
        return
    values = magnitudes(model.tensors[model.nodes[0].inputs[1]]).reshape(-1)
    limit = float(values[seed % values.size])
    rule = Rule("threshold", (max(float(np.nextafter(limit, limit + beside)), 0.0),))
    native = find_board("native")
    check_alike(run_both(model, rule, rows_of(model), native, encoding=encoding))
