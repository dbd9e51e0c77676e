"""Variables: which models with state are supported, and what becomes of them in an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgesparse import native
from edgesparse.encode import encode
from edgesparse.errors import ModelError, UnsupportedModelError
from edgesparse.image import Image, build_image
from edgesparse.model import parse_model, with_weights
from edgesparse.ops import check_supported
from tests.tflite_builder import Builder

SHAPE = (1, 4)
INITIAL = np.array([[1, -2, 3, -4]], np.int8)


def start(*, initial: bool = True) -> tuple[Builder, int, int]:
    """A builder with an input, the handle of a variable, and perhaps its initial value."""
    b = Builder()
    x = b.input(SHAPE, 0.5, 1)
    if initial:
        init = b.call_once()
        init.assign_variable(init.var_handle("v"), init.constant(INITIAL, 0.5, zero_points=1))
    return b, x, b.var_handle("v")


def accumulator() -> Builder:
    """state = state + x, which is the output."""
    b, x, handle = start()
    y = b.add(x, b.read_variable(handle, SHAPE, 0.5, 1), scale=0.5, zero_point=1)
    b.assign_variable(handle, y)
    b.output(y)
    return b


def image_of(b: Builder) -> Image:
    return build_image(encode(parse_model(b.finish(), name="m")))


def ops_of(image: Image) -> list[str]:
    return [native.name_of("op", node["op"]) for node in image.nodes]


def reasons(b: Builder) -> list[tuple[str, str]]:
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(parse_model(b.finish(), name="m"))
    return [(operator, reason) for operator, _, reason in caught.value.offenders]


def section(image: Image, kind: str) -> bytes:
    layout, head = native.layout("section"), native.layout("image_header")
    for i in range(image.header["section_count"]):
        row = layout.unpack(image.data, head.size_bytes + i * layout.size_bytes)
        if row["kind"] == native.number("section", kind):
            return image.data[row["offset"] : row["offset"] + row["bytes"]]
    raise KeyError(kind)


def test_a_variable_is_a_persistent_tensor_with_its_initial_value() -> None:
    image = image_of(accumulator())
    persistent = [t for t in image.tensors if t["place"] == native.number("place", "persistent")]
    assert image.has_state
    assert [t["bytes"] for t in persistent] == [4]
    start_at = persistent[0]["reset_off"]
    assert section(image, "data")[start_at : start_at + 4] == INITIAL.tobytes()
    assert (persistent[0]["zero_point"], persistent[0]["scale"]) == (1, 0.5)


def test_reading_is_free_and_declarations_do_nothing() -> None:
    image = image_of(accumulator())
    assert ops_of(image) == ["add", "copy"]
    layers = image.meta.layers
    assert [layer.op for layer in layers] == [
        "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ADD", "ASSIGN_VARIABLE",
    ]  # fmt: skip
    assert [layer.node for layer in layers] == [None, None, None, 0, 1]
    assert [layer.activations for layer in layers] == [0, 0, 0, 4, 4]
    assert layers[4].name == "v"


def test_the_old_value_is_copied_where_it_is_needed_after_the_assignment() -> None:
    b, x, handle = start()
    old = b.reshape(b.read_variable(handle, SHAPE, 0.5, 1), (4, 1))
    b.assign_variable(handle, x)
    b.output(b.softmax(old))
    assert ops_of(image_of(b)) == ["copy", "copy", "softmax"]


def test_an_old_value_that_is_an_output_outlives_every_assignment() -> None:
    b, x, handle = start()
    b.output(b.reshape(b.read_variable(handle, SHAPE, 0.5, 1), (4, 1)), b.softmax(x))
    b.assign_variable(handle, x)
    assert ops_of(image_of(b)) == ["copy", "softmax", "copy"]


def test_assigning_a_variable_to_itself_moves_through_a_tensor_of_its_own() -> None:
    b, x, handle = start()
    b.assign_variable(handle, b.read_variable(handle, SHAPE, 0.5, 1))
    b.output(b.softmax(x))
    assert ops_of(image_of(b)) == ["copy", "copy", "softmax"]


def test_assignments_of_other_variables_do_not_matter() -> None:
    b, x, handle = start()
    old = b.read_variable(handle, SHAPE, 0.5, 1)
    b.assign_variable(b.var_handle("other"), x)
    b.output(b.softmax(old))
    assert ops_of(image_of(b)) == ["copy", "softmax"]


def test_two_handles_of_one_name_are_one_variable() -> None:
    b, x, handle = start()
    b.assign_variable(b.var_handle("v"), x)
    b.output(b.read_variable(handle, SHAPE, 0.5, 1))
    image = image_of(b)
    persistent = [t for t in image.tensors if t["place"] == native.number("place", "persistent")]
    assert len(persistent) == 1
    assert ops_of(image) == ["copy"]


def test_a_variable_without_initial_value_starts_as_zeros() -> None:
    b, x, handle = start(initial=False)
    b.assign_variable(handle, x)
    b.output(b.read_variable(handle, SHAPE, 0.5, 1))
    assert section(image_of(b), "data") == bytes(4)


def test_a_variable_that_nothing_uses_takes_no_memory() -> None:
    b, x, _ = start()
    b.output(b.softmax(x))
    assert not image_of(b).has_state


def _unset(b: Builder, x: int, handle: int) -> None:
    del x
    b.output(b.read_variable(handle, SHAPE, 0.5, 1))


def _other_shape(b: Builder, x: int, handle: int) -> None:
    b.assign_variable(handle, b.reshape(x, (2, 2)))
    b.output(b.read_variable(handle, SHAPE, 0.5, 1))


def _no_handle(b: Builder, x: int, handle: int) -> None:
    del handle
    b.assign_variable(x, x)
    b.output(b.softmax(x))


def _constant(b: Builder, x: int, handle: int) -> None:
    b.assign_variable(handle, b.constant(INITIAL, 0.5))
    b.output(b.softmax(x))


def _handle_as_output(b: Builder, x: int, handle: int) -> None:
    b.output(b.softmax(x), handle)


def _handle_as_activation(b: Builder, x: int, handle: int) -> None:
    del x
    b.output(b.softmax(handle))


def _integer_handle(b: Builder, x: int, handle: int) -> None:
    del handle
    b.assign_variable(b.var_handle("w", dtype="int32"), x)
    b.output(b.softmax(x))


@pytest.mark.parametrize(
    ("build", "initial", "expected"),
    [
        (_unset, False, ("READ_VARIABLE", "reads 'v' before it has a value")),
        (
            _other_shape,
            True,
            ("ASSIGN_VARIABLE", "value is [2, 2], 'v' is [1, 4]; a variable keeps its shape"),
        ),
        (
            _other_shape,
            False,
            ("READ_VARIABLE", "output is [1, 4], 'v' is [2, 2]; a variable keeps its shape"),
        ),
        (
            _no_handle,
            True,
            ("ASSIGN_VARIABLE", "what it works on is not the output of a VAR_HANDLE"),
        ),
        (
            _constant,
            True,
            ("ASSIGN_VARIABLE", "value is a constant, only computed activations are supported"),
        ),
        (_handle_as_output, True, ("output", "a variable's handle has no values")),
        (
            _handle_as_activation,
            True,
            ("SOFTMAX", "input is resource, only int8 is supported"),
        ),
        (
            _integer_handle,
            True,
            ("VAR_HANDLE", "output is int32, only resource is supported"),
        ),
    ],
)
def test_refusals(
    build: Callable[[Builder, int, int], None], initial: bool, expected: tuple[str, str]
) -> None:
    b, x, handle = start(initial=initial)
    build(b, x, handle)
    assert expected in reasons(b)


def _computed(init: Builder) -> None:
    handle = init.var_handle("v")
    init.assign_variable(handle, init.softmax(init.tensor(SHAPE, 0.5)))


def _wide(init: Builder) -> None:
    init.assign_variable(init.var_handle("v"), init.constant(INITIAL.astype(np.int16), 0.5))


def _nothing(init: Builder) -> None:
    init.op("ASSIGN_VARIABLE", [init.var_handle("v")], [])


def _elsewhere(init: Builder) -> None:
    init.assign_variable(init.tensor((), dtype="resource"), init.constant(INITIAL, 0.5))


def _with_an_end(init: Builder) -> None:
    init.output(init.var_handle("v"))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (_computed, "its subgraph runs SOFTMAX, only ASSIGN_VARIABLE of constants is supported"),
        (_computed, "its subgraph assigns 'tensor_2', which is not constant"),
        (_wide, "its subgraph assigns 'tensor_1', int16, only int8 is supported"),
        (_nothing, "an ASSIGN_VARIABLE of its subgraph has not exactly a variable and a value"),
        (_elsewhere, "its subgraph assigns 'tensor_1' to what is no variable"),
        (_with_an_end, "its subgraph has inputs or outputs"),
    ],
)
def test_refused_initial_values(build: Callable[[Builder], None], expected: str) -> None:
    b = Builder()
    x = b.input(SHAPE, 0.5, 1)
    build(b.call_once())
    b.output(b.softmax(x))
    assert ("CALL_ONCE", expected) in reasons(b)


def test_initialisation_behind_a_use_is_refused() -> None:
    b = Builder()
    x = b.input(SHAPE, 0.5, 1)
    handle = b.var_handle("v")
    b.assign_variable(handle, x)
    init = b.call_once()
    init.assign_variable(init.var_handle("v"), init.constant(INITIAL, 0.5))
    b.output(b.read_variable(handle, SHAPE, 0.5, 1))
    assert reasons(b) == [("CALL_ONCE", "runs after operator 1 uses a variable")]


@pytest.mark.parametrize("graph", [-1, 0, 2])
def test_call_once_of_no_other_subgraph_is_no_model(graph: int) -> None:
    b = Builder()
    b.call_once()
    b.operators[0].fields["InitSubgraphIndex"] = graph
    b.output(b.softmax(b.input(SHAPE, 0.5, 1)))
    with pytest.raises(ModelError, match=f"CALL_ONCE names subgraph {graph} of 2"):
        parse_model(b.finish(), name="m")


def test_weights_that_are_an_initial_value_too_cannot_be_changed() -> None:
    b = Builder()
    x = b.input(SHAPE, 0.5, 1)
    init = b.call_once()
    initial = init.constant(INITIAL, 0.5)
    init.assign_variable(init.var_handle("v"), initial)
    w = b.tensor(SHAPE, [0.5], buffer=init.tensors[initial].buffer)
    b.output(b.fully_connected(x, w))
    model = parse_model(b.finish(), name="m")
    with pytest.raises(ModelError, match="initial value"):
        with_weights(model, {w: np.zeros(SHAPE, np.int8)})
