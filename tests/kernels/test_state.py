"""Models that keep state, row after row, against the reference interpreter."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.session import FLAG_RESET_STATE
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from tests.devices import run_native
from tests.tflite_builder import Builder

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
ROWS = 4
SHAPE = (1, 5)
_STEP = st.sampled_from(["read", "read", "assign", "add", "add", "reshape"])


@st.composite
def stateful_models(draw: st.DrawFn) -> Model:
    """Any order of reading, assigning and adding, with three variables and several outputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder()
    values = [b.input(SHAPE, 0.5, 1), b.input(SHAPE, 0.25, -3)]
    init = b.call_once()
    for name in "uv":
        initial = init.constant(rng.integers(-128, 128, SHAPE).astype(np.int8), 0.5)
        init.assign_variable(init.var_handle(name), initial)
    handles = [b.var_handle(name) for name in "uvuw"]
    b.assign_variable(handles[3], values[0])
    for step in draw(st.lists(_STEP, min_size=1, max_size=12)):
        handle = draw(st.sampled_from(handles))
        value = draw(st.sampled_from(values))
        if step == "read":
            values.append(b.read_variable(handle, SHAPE, 0.5, draw(st.sampled_from([0, -7]))))
        elif step == "assign":
            b.assign_variable(handle, value)
        elif step == "add":
            other = draw(st.sampled_from(values))
            values.append(b.add(value, other, scale=0.75, zero_point=2))
        else:
            values.append(b.reshape(b.reshape(value, (5, 1)), SHAPE))
    values.append(b.add(values[-1], values[0], scale=1.0))
    computed = values[2:]
    b.output(values[-1], *draw(st.lists(st.sampled_from(computed), max_size=3)))
    return parse_model(b.finish(), name="state")


def rows_for(model: Model) -> list[NDArray[np.int8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(-128, 128, (ROWS, *SHAPE)).astype(np.int8) for _ in model.inputs]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(stateful_models(), st.booleans())
def test_equals_reference(model: Model, reset_state: bool) -> None:
    rows = rows_for(model)
    image = build_image(encode(model))
    expected = oracle.run(model, rows, reset_state=reset_state)
    flags = FLAG_RESET_STATE if reset_state else 0
    for reference, got in zip(expected, run_native(image, rows, flags=flags), strict=True):
        for values, data in zip(reference, got.outputs, strict=True):
            np.testing.assert_array_equal(np.frombuffer(data, np.int8), values.reshape(-1))


def test_an_operand_that_is_read_again_is_not_overwritten() -> None:
    """ADD of a value with its own RESHAPE, whose bytes TFLite would reuse for the sum."""
    b = Builder()
    x = b.input(SHAPE, 0.5, 0)
    same = b.reshape(b.reshape(x, (5, 1)), SHAPE)
    b.add(x, same, scale=0.75)
    y = b.add(same, x, scale=1.0)
    b.output(y)
    model = parse_model(b.finish(), name="again")
    rows = [np.arange(10, dtype=np.int8).reshape(2, *SHAPE)]
    outputs = [result.outputs[0] for result in run_native(build_image(encode(model)), rows)]
    assert outputs == [reference.tobytes() for (reference,) in oracle.run(model, rows)]
    assert outputs == [row.tobytes() for row in rows[0]]


def test_the_reference_keeps_variables_until_it_is_made_anew() -> None:
    b = Builder()
    x = b.input(SHAPE, 0.5, 0)
    init = b.call_once()
    init.assign_variable(init.var_handle("v"), init.constant(np.ones(SHAPE, np.int8), 0.5))
    handle = b.var_handle("v")
    y = b.add(x, b.read_variable(handle, SHAPE, 0.5, 0), scale=0.5)
    b.assign_variable(handle, y)
    b.output(y)
    model = parse_model(b.finish(), name="sum")
    rows = np.full((3, *SHAPE), 2, np.int8)
    kept = [int(y[0, 0]) for (y,) in oracle.run(model, rows)]
    anew = [int(y[0, 0]) for (y,) in oracle.run(model, rows, reset_state=True)]
    assert (kept, anew) == ([3, 5, 7], [3, 3, 3])
    layers = [int(t[y][0, 0]) for t in oracle.each_with_layers(model, rows)]
    assert layers == kept
