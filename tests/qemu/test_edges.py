"""Models with several inputs and outputs, on every target, from memory and over the line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.boards import Board
from edgesparse.deploy.session import Session
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.inputs import Inputs, row_bytes, rows_for
from edgesparse.model import Model, parse_model
from edgesparse.outputs import finish_outputs, same_values
from tests.devices import batch_bytes, power_on
from tests.tflite_builder import Builder

ROWS = 3
SHAPE = (1, 6)


def two_inputs_three_outputs(b: Builder) -> None:
    """The inputs differ in size, the outputs come in another order than they are computed in."""
    x, y = b.input(SHAPE, 0.5, 1), b.input((1, 3), 0.25, -9)
    first = b.add(x, x, scale=0.5)
    second = b.softmax(y)
    b.output(b.softmax(first), second, first)


def intermediate_output(b: Builder) -> None:
    """An output that further layers read."""
    y = b.add(b.input(SHAPE, 0.5, 1), b.input(SHAPE, 0.5, 2), scale=0.5)
    z = b.add(y, y, scale=1.0, zero_point=4)
    b.output(y, b.softmax(z))


def one_tensor_twice(b: Builder) -> None:
    """Two outputs from one tensor, one of them under another name."""
    y = b.softmax(b.input(SHAPE, 0.5, 1))
    b.output(y, y, b.reshape(y, (6, 1)))


def input_twice(b: Builder) -> None:
    """An input that two layers read, the last one late."""
    x = b.input(SHAPE, 0.5, 1)
    y = b.softmax(b.softmax(b.softmax(x)))
    b.output(b.add(x, y, scale=0.5))


def reshaped_input(b: Builder) -> None:
    """An output that is an input in another shape, while a layer works."""
    x = b.input(SHAPE, 0.5, 1)
    b.output(b.reshape(x, (3, 2)), b.softmax(b.softmax(x)))


def nothing_but_a_reshape(b: Builder) -> None:
    """No node at all."""
    b.output(b.reshape(b.input(SHAPE, 0.5, 1), (2, 3)))


def unused_input(b: Builder) -> None:
    """An input that nothing reads, before one that something reads."""
    b.input((1, 5), 1.0)
    b.output(b.softmax(b.input(SHAPE, 0.5, 1)))


def mixed_types(b: Builder) -> None:
    """Inputs and outputs of every type."""
    x = b.quantize(b.input(SHAPE, 0.01, 130, dtype="uint8"), 0.02, 3)
    y = b.quantize(b.input(SHAPE, 0.001, dtype="int16"), 0.03, -5)
    z = b.quantize(b.input(SHAPE, None, dtype="float32"), 0.04, 7)
    total = b.add(b.add(x, y, scale=0.05, zero_point=9), z, scale=0.06, zero_point=-11)
    total = b.add(total, b.input(SHAPE, 0.07, 13), scale=0.08)
    b.output(b.quantize(total, 0.09, 140, dtype="uint8"), b.dequantize(total), total)


MODELS = [
    two_inputs_three_outputs,
    intermediate_output,
    one_tensor_twice,
    input_twice,
    reshaped_input,
    nothing_but_a_reshape,
    unused_input,
    mixed_types,
]


def made_up(model: Model) -> list[NDArray[np.generic]]:
    rng = np.random.default_rng(5)
    rows: list[NDArray[np.generic]] = []
    for index in model.inputs:
        tensor = model.tensors[index]
        values = rng.integers(-(2**15), 2**15, (ROWS, *tensor.shape))
        is_float = tensor.dtype == "float32"
        rows.append((values / 2**13 if is_float else values).astype(tensor.dtype))
    return rows


@pytest.mark.parametrize("build", MODELS)
def test_equals_reference(board: Board, build: Callable[[Builder], None]) -> None:
    b = Builder()
    build(b)
    model = parse_model(b.finish(), name=build.__name__)
    image = build_image(encode(model))
    feeds = made_up(model)
    rows = rows_for(image.meta.inputs, Inputs(x=tuple(feeds)), range(ROWS))
    expected = oracle.run(model, feeds)
    has_batch = board.memory.batch is not None
    batch = batch_bytes(rows) if has_batch else b""
    with power_on(board, image.device_bytes(), batch) as target:
        session = Session(target)
        session.hello()
        results = [session.run_from_link(row_bytes(rows, row)) for row in range(ROWS)]
        if has_batch:
            results += session.run(0, ROWS)
            expected *= 2
    for reference, result in zip(expected, results, strict=True):
        outputs = finish_outputs(image.meta, result.outputs)
        assert [output.dtype for output in outputs] == [output.dtype for output in reference]
        assert all(map(same_values, outputs, reference))
