"""What an input without zeros costs where zeros were expected: at most 2 % above the dense kernel.

Instructions are counted exactly, so the bound is asserted as it is.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesparse.deploy.boards import find_board
from edgesparse.encode import Encoded, Goal, Zeros, encode
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from tests.devices import run_rows
from tests.tflite_builder import Builder

BOARD = "qemu-mps2-an386"
ZERO_POINT = -128


def behind_a_relu(shape: tuple[int, ...], weights: tuple[int, ...]) -> Model:
    """A FULLY_CONNECTED layer, or a convolution, whose input's zeros telemetry has counted."""
    rng = np.random.default_rng(weights[0])
    b = Builder()
    y = b.unary("RELU", b.input(shape, 0.05, ZERO_POINT), scale=0.05, zero_point=ZERO_POINT)
    w = b.constant(rng.integers(-127, 128, weights).astype(np.int8), [0.01])
    bias = b.bias(rng.integers(-5000, 5000, weights[0]), y, w)
    operator = b.fully_connected if len(shape) == 2 else b.conv_2d
    b.output(operator(y, w, bias, scale=20.0, zero_point=3))
    return parse_model(b.finish(), name="one")


def count(encoded: Encoded, row: NDArray[np.int8]) -> int:
    """Instructions of the layer."""
    (run,) = run_rows(find_board(BOARD), build_image(encoded), [row[None]])
    return run.layers[1].count


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ((1, 784), (300, 784)),
        ((1, 300), (100, 300)),
        ((1, 64), (12, 64)),
        ((1, 256), (64, 256)),
        ((1, 1152), (128, 1152)),
        ((1, 1024), (10, 1024)),
        ((3, 200), (64, 200)),
        ((9, 64), (64, 64)),
        ((1, 8, 8, 16), (16, 3, 3, 16)),
        ((1, 6, 6, 64), (64, 1, 1, 64)),
    ],
)
@pytest.mark.parametrize("zeros", [0.4, 0.8])
def test_skipping_never_costs_more_than_two_percent(
    shape: tuple[int, ...], weights: tuple[int, ...], zeros: float
) -> None:
    model = behind_a_relu(shape, weights)
    goal = Goal("instructions", max_flash=1 << 30)
    expected = dict.fromkeys(range(len(model.tensors)), Zeros(zeros, 0.05))
    chosen = encode(model, goal=goal, zeros=expected)
    dense = encode(model, encoding="dense", goal=goal)
    row = np.random.default_rng(1).integers(ZERO_POINT + 1, 128, shape).astype(np.int8)
    assert count(chosen, row) <= 1.02 * count(dense, row)


@pytest.mark.parametrize(("columns", "rows"), [(784, 300), (300, 100), (256, 64)])
def test_lists_beat_dense_rows_with_and_without_zeros(columns: int, rows: int) -> None:
    model = behind_a_relu((1, columns), (rows, columns))
    listed, dense = (
        encode(model, encoding=name, goal=Goal(max_flash=1 << 30)) for name in ("squares", "dense")
    )
    rng = np.random.default_rng(1)
    row = rng.integers(ZERO_POINT + 1, 128, (1, columns)).astype(np.int8)
    assert count(listed, row) < 0.9 * count(dense, row)
    half = np.where(rng.random(row.shape) < 0.5, np.int8(ZERO_POINT), row)
    assert count(listed, half) < 0.75 * count(dense, half)
