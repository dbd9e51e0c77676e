"""Activation thresholds on the device against the reference in pieces, and against the rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.session import FLAG_NO_ZEROS, FLAG_RESET_STATE
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from edgesparse.sparsify import ActivationRule
from edgesparse.thresholds import with_thresholds
from tests.devices import run_native
from tests.kernels.test_operators import EXAMPLES
from tests.kernels.test_state import rows_for, stateful_models
from tests.one_operator import OPERATORS, Example
from tests.tflite_builder import Builder

ALL = {"max_examples": EXAMPLES, "deadline": None, "database": None}
FRACTIONS = st.sampled_from([0.004, 0.05, 0.3, 0.5])
COMPUTING = [
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM",
    "AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX", "MEAN", "TRANSPOSE_CONV", "RELU6", "TANH",
]  # fmt: skip


def everywhere(model: Model, fraction: float) -> Model:
    return with_thresholds(model, rules=[ActivationRule("*", fraction)])


def cut(model: Model, values: NDArray[np.int8]) -> tuple[NDArray[np.int8], int]:
    """The last node's output as its threshold leaves it, and how many elements that changes."""
    index = model.nodes[-1].outputs[0]
    zero_point, codes = model.tensors[index].affine()[1], model.thresholds.get(index, 0)
    kept = values.copy()
    for at, value in np.ndenumerate(values):
        if abs(int(value) - zero_point) <= codes:
            kept[at] = zero_point
    return kept, int(np.count_nonzero(kept != values))


@pytest.mark.parametrize("operator", COMPUTING)
def test_the_output_of_an_operator_is_the_reference_cut(operator: str) -> None:
    @settings(suppress_health_check=list(HealthCheck), **ALL)
    @given(OPERATORS[operator], FRACTIONS)
    def check(example: Example | None, fraction: float) -> None:
        if example is None or len(example.model.nodes) > 1:
            return
        model = everywhere(example.model, fraction)
        runs = run_native(build_image(encode(model)), example.rows)
        plain = oracle.run(example.model, example.rows)
        references = oracle.run(model, example.rows)
        for (before,), (reference,), run in zip(plain, references, runs, strict=True):
            wanted, changed = cut(model, before)
            np.testing.assert_array_equal(wanted, reference)
            np.testing.assert_array_equal(
                np.frombuffer(run.outputs[0], np.int8), wanted.reshape(-1)
            )
            zero_point = model.tensors[model.outputs[0]].affine()[1]
            assert run.layers[0].activation_zeros == np.count_nonzero(wanted == zero_point)
            assert run.layers[0].thresholded == changed

    check()


@settings(suppress_health_check=list(HealthCheck), **ALL)
@given(stateful_models(), FRACTIONS, st.booleans())
def test_variables_hold_what_was_cut(model: Model, fraction: float, reset_state: bool) -> None:
    model = everywhere(model, fraction)
    rows = rows_for(model)
    flags = FLAG_RESET_STATE if reset_state else 0
    runs = run_native(build_image(encode(model)), rows, flags=flags)
    expected = oracle.run(model, rows, reset_state=reset_state)
    for reference, got in zip(expected, runs, strict=True):
        for values, data in zip(reference, got.outputs, strict=True):
            np.testing.assert_array_equal(np.frombuffer(data, np.int8), values.reshape(-1))


def table_model(count: int, zero_point: int) -> Model:
    """What it is given, with another zero point: every code of the output."""
    b = Builder()
    x = b.input((1, count), 0.5, zero_point)
    b.output(b.quantize(x, 0.5, zero_point))
    return parse_model(b.finish(), name="table")


@pytest.mark.parametrize("zero_point", [-128, -100, 0, 31, 127])
@pytest.mark.parametrize("codes", [1, 2, 28, 100, 126, 127])
@pytest.mark.parametrize("count", [1, 15, 16, 256, 273])
def test_every_code_at_every_size(count: int, codes: int, zero_point: int) -> None:
    plain = table_model(count, zero_point)
    model = replace(plain, thresholds={plain.outputs[0]: codes})
    row = np.resize(np.arange(-128, 128), count).astype(np.int8)
    wanted, changed = cut(model, row)
    image = build_image(encode(model))
    (run,) = run_native(image, [row.reshape(1, 1, count)])
    assert run.outputs[0] == wanted.tobytes()
    assert run.layers[0].activation_zeros == np.count_nonzero(wanted == zero_point)
    assert run.layers[0].thresholded == changed
    (uncounted,) = run_native(image, [row.reshape(1, 1, count)], flags=FLAG_NO_ZEROS)
    assert uncounted.outputs == run.outputs
    assert (uncounted.layers[0].activation_zeros, uncounted.layers[0].thresholded) == (0, 0)
