"""Every core's loop over four depthwise windows gives what the native one does.

The native loop is held against the reference by tests/kernels; the others are assembler.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from edgesparse.deploy.boards import Board, NativeRunner, list_boards
from edgesparse.encode import encode
from edgesparse.image import Image, build_image
from edgesparse.model import parse_model
from edgesparse.telemetry.runs import RunResult
from tests.devices import run_native, run_rows
from tests.tflite_builder import Builder

BOARDS = [each for each in list_boards() if not isinstance(each.runner, NativeRunner)]
QEMUS = 3
ROWS = 2
SHAPES = ((15, 1, 8), (4, 7, 3), (1, 24, 4), (9, 10, 4), (40, 33, 4))
"""Along a signal, either way; few columns and channels; several strips."""
FILTERS = (
    *(((1, 1), 1), ((1, 3), 1), ((3, 1), 1), ((5, 1), 1), ((10, 1), 1), ((1, 4), 2)),
    *(((5, 5), 1), ((3, 5), 2), ((2, 7), 1), ((4, 6), 2), ((9, 1), 2), ((2, 2), 3)),
)
"""An odd and an even number of pairs of taps, one or several rows, each stride."""


@cache
def image_of(shape: tuple[int, int, int], multiplier: int) -> Image:
    """A layer for each filter; one output channel is scaled exactly, and one layer clamps."""
    rng = np.random.default_rng(shape[0])
    b = Builder()
    x = b.input((1, *shape), 0.05, -7)
    for number, (kernel, stride) in enumerate(FILTERS):
        count = shape[2] * multiplier
        scales = [0.01] * count
        scales[1] = 40.0  # more than one: a shift to the left
        w = b.constant(rng.integers(-127, 128, (1, *kernel, count)).astype(np.int8), scales, axis=3)
        bias = b.bias(rng.integers(-900, 900, count), x, w)
        y = b.depthwise_conv_2d(
            x,
            w,
            bias,
            scale=0.05 * (kernel[0] * kernel[1]) ** 0.5,
            zero_point=3,
            stride=(stride, stride),
            activation="RELU" if number == 3 else "NONE",
        )
        b.output(y)
    return build_image(encode(parse_model(b.finish(), name="windows")))


@pytest.mark.parametrize("each", BOARDS, ids=lambda each: each.name)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_windows_of_any_filter(each: Board, multiplier: int) -> None:
    rows = {
        shape: [np.random.default_rng(1).integers(-128, 128, (ROWS, *shape)).astype(np.int8)]
        for shape in SHAPES
    }
    native = {
        shape: outputs_of(run_native(image_of(shape, multiplier), rows[shape])) for shape in SHAPES
    }
    assert all(first != second for first, second in native.values())

    def wrong(shape: tuple[int, int, int]) -> bool:
        return outputs_of(run_rows(each, image_of(shape, multiplier), rows[shape])) != native[shape]

    with ThreadPoolExecutor(QEMUS) as executor:
        assert not any(executor.map(wrong, SHAPES))


def outputs_of(runs: list[RunResult]) -> list[tuple[bytes, ...]]:
    return [run.outputs for run in runs]
