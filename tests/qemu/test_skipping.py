"""Kernels that skip zero activations, on every target: outputs, and products of each run."""

from __future__ import annotations

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.deploy.boards import Board
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from tests.devices import run_rows
from tests.kernels.test_skipping import products
from tests.tflite_builder import Builder
from tests.with_params import with_params

SHARES = (0.0, 0.5, 0.9, 1.0)


def one_layer(operator: str, outputs: int) -> Model:
    """A layer of odd sizes and any zero point."""
    rng = np.random.default_rng(outputs)
    b = Builder()
    if operator == "FULLY_CONNECTED":
        x = b.input((2, 331), 0.05, -5)
        w = b.constant(rng.integers(-127, 128, (outputs, 331)).astype(np.int8), [0.01])
        bias = b.bias(rng.integers(-5000, 5000, outputs), x, w)
        b.output(b.fully_connected(x, w, bias, scale=2.0, zero_point=3))
    else:
        x = b.input((1, 9, 7, 13), 0.05, -5)
        filters = rng.integers(-127, 128, (outputs, 3, 3, 13)).astype(np.int8)
        w = b.constant(filters, [0.01] * outputs, axis=0)
        bias = b.bias(rng.integers(-5000, 5000, outputs), x, w)
        b.output(b.conv_2d(x, w, bias, scale=1.0, zero_point=-7, padding="SAME", activation="NONE"))
    return parse_model(b.finish(), name="one")


@pytest.mark.parametrize("outputs", [8, 11])
@pytest.mark.parametrize(
    ("operator", "encoding"),
    [
        ("CONV_2D", "dense_sums"),
        ("FULLY_CONNECTED", "squares"),
    ],
)
def test_equals_reference(board: Board, operator: str, encoding: str, outputs: int) -> None:
    model = one_layer(operator, outputs)
    encoded = encode(model, encoding=encoding)
    image = build_image(with_params(encoded, "conv_2d", list_zeros=0))
    rng = np.random.default_rng(1)
    shape = model.tensors[model.inputs[0]].shape
    rows = np.stack(
        [
            np.where(rng.random(shape) < share, -5, rng.integers(-128, 128, shape))
            for share in SHARES
        ]
    ).astype(np.int8)
    runs = run_rows(board, image, [rows])
    for row, reference, run in zip(rows, oracle.run(model, [rows]), runs, strict=True):
        got = np.frombuffer(run.outputs[0], np.int8)
        np.testing.assert_array_equal(got, reference[0].reshape(-1))
        assert run.layers[0].macs_done == products(model, row, zeros_too=False)
