"""Kernels that skip zero activations: both ways of each, and how many products they form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.session import FLAG_NO_ZEROS
from edgesparse.encode import Encoded, dense_sums, encode, squares
from edgesparse.encode.lower.candidate import NEVER
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from tests.devices import run_native
from tests.drawing import Example
from tests.kernels.reference import Window, patches
from tests.kernels.test_operators import EXAMPLES
from tests.one_operator import OPERATORS
from tests.tflite_builder import Builder
from tests.with_params import with_params


def products(model: Model, row: NDArray[np.int8], *, zeros_too: bool) -> int:
    """Products of the one node: of inputs that are no padding and, unless zeros_too, no zero."""
    node = model.nodes[0]
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    counted = np.ones(row.shape, np.int64) if zeros_too else (row != source.affine()[1])
    if node.op == "FULLY_CONNECTED":
        columns = model.tensors[node.inputs[1]].shape[1]
        return int(counted.sum()) * (result.elements * columns // row.size)
    geometry = node.options.geometry(model, node)  # type: ignore[attr-defined]
    window = Window(
        out_size=(geometry.out_h, geometry.out_w),
        stride=(geometry.stride_h, geometry.stride_w),
        dilation=(geometry.dilation_h, geometry.dilation_w),
        pad=(geometry.pad_top, geometry.pad_left),
    )
    kernel = (geometry.kernel_h, geometry.kernel_w)
    taps, _ = patches(counted.astype(np.int64), kernel, window)
    return int(taps.sum()) * int(geometry.out_c)


def with_zeros(draw: st.DataObject, example: Example) -> Example:
    """The example with a share of its inputs zero."""
    share = draw.draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(draw.draw(st.integers(0, 2**32 - 1)))
    (rows,) = example.rows
    zero_point = example.model.tensors[example.model.nodes[0].inputs[0]].affine()[1]
    return replace(
        example, rows=[np.where(rng.random(rows.shape) < share, np.int8(zero_point), rows)]
    )


def check_runs(
    example: Example, encoded: Encoded, skipped: Sequence[bool], *, flags: int = 0
) -> None:
    """Outputs and products are the reference's; `skipped` says of each row whether zeros were."""
    image = build_image(encoded)
    expected = oracle.run(example.model, example.rows)
    runs = run_native(image, example.rows, flags=flags)
    for row, reference, run, skips in zip(example.rows[0], expected, runs, skipped, strict=True):
        for values, wanted in zip(run.outputs, reference, strict=True):
            np.testing.assert_array_equal(np.frombuffer(values, np.int8), wanted.reshape(-1))
        formed = products(example.model, row, zeros_too=not skips)
        assert run.layers[0].macs_done == formed
        assert run.end.macs_done == formed


@pytest.mark.parametrize(
    ("operator", "encoding", "list_zeros"),
    [
        ("CONV_2D", "dense_sums", 0),
        ("CONV_2D", "dense_sums", 1),
        ("CONV_2D", "dense_sums", NEVER),
        ("FULLY_CONNECTED", "squares", None),
    ],
)
def test_equals_reference(operator: str, encoding: str, list_zeros: int | None) -> None:
    """A kernel without a dense way has no list_zeros and always skips."""

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(OPERATORS[operator], st.data())
    def check(drawn: Example | None, draw: st.DataObject) -> None:
        assume(drawn is not None)
        assert drawn is not None
        example = with_zeros(draw, drawn)
        encoded = encode(example.model, encoding=encoding)
        assume(encoded.nodes[0].encoding == encoding)  # words cannot hold all weights
        params = {} if list_zeros is None else {"list_zeros": list_zeros}
        if operator == "CONV_2D":
            params["band"] = draw.draw(st.sampled_from([1, 2, 5, 8, 32, 1000]))
        zero_point = example.model.tensors[example.model.nodes[0].inputs[0]].affine()[1]
        zeros = [int(np.count_nonzero(row == zero_point)) for row in example.rows[0]]
        check_runs(
            example,
            with_params(encoded, operator.lower(), **params),
            [list_zeros is None or count >= list_zeros for count in zeros],
        )

    check()


@pytest.mark.parametrize("flags", [0, FLAG_NO_ZEROS])
def test_the_node_decides_in_each_run(flags: int) -> None:
    """By zeros that telemetry has counted, behind a RESHAPE too, or that the kernel counts."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 4, 30), 0.1, -5)
    y = b.reshape(b.unary("RELU", x, scale=0.1, zero_point=-5), (1, 4, 5, 6))
    w = b.constant(rng.integers(-99, 100, (3, 1, 1, 6)).astype(np.int8), [0.01])
    bias = b.bias(np.arange(3), y, w)
    b.output(b.conv_2d(y, w, bias, scale=0.4, zero_point=0, activation="NONE"))
    model = parse_model(b.finish(), name="decides")
    rows = [rng.integers(-128, 128, (4, 1, 4, 30)).astype(np.int8)]
    for row, zeros in enumerate((0, 59, 60, 120)):
        rows[0][row] = 7
        rows[0][row].flat[:zeros] = -50
    encoded = encode(model, encoding="dense_sums")
    runs = run_native(
        build_image(with_params(encoded, "conv_2d", list_zeros=60)), rows, flags=flags
    )
    for reference, run in zip(oracle.run(model, rows), runs, strict=True):
        np.testing.assert_array_equal(
            np.frombuffer(run.outputs[0], np.int8), reference[0].reshape(-1)
        )
    assert [run.layers[1].macs_done for run in runs] == [360, 360, 180, 0]


def test_limit_of_the_lanes() -> None:
    """At least 257 weights fit, or all of a row that is smaller; order does not matter."""
    rows = np.full((2, 300), 3, np.int8)
    assert dense_sums.lane_limit(rows) == dense_sums.NO_LIMIT
    rows[1] = -128
    assert dense_sums.lane_limit(rows) == 257
    rows[1, :150] = 1
    assert dense_sums.lane_limit(rows) == dense_sums.NO_LIMIT
    many = np.ones((1, 400), np.int8)
    many[0, -257:] = 127
    assert dense_sums.lane_limit(many) == dense_sums.NO_LIMIT
    many[0, -258:] = 127
    assert dense_sums.lane_limit(many) == 258 + 130  # 258 * 127 + 130 = 2^23 / 255


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 4), (9, 7), (16, 1)])
def test_round_trips(shape: tuple[int, int]) -> None:
    weights = np.random.default_rng(1).integers(-127, 128, shape).astype(np.int8)
    for encoding in (dense_sums, squares):
        np.testing.assert_array_equal(encoding.decode(encoding.encode(weights), *shape), weights)
    assert dense_sums.fits(weights)
    assert not dense_sums.fits(np.array([[-1], [-128]], np.int8))
    assert dense_sums.fits(np.array([[-128], [-127], [0], [-128], [-128]], np.int8))
