"""Convolutions with sparse weights: any band, wide and narrow maps, many and extreme weights."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.encode import encode
from edgesparse.image import build_image
from tests.devices import run_native
from tests.drawing import PADDING, ZERO_POINT, Example, draw_weights, draw_window, finished, rng_of
from tests.kernels.test_operators import SPARSE
from tests.tflite_builder import Builder
from tests.with_params import with_params

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))


@st.composite
def maps(draw: st.DrawFn) -> Example | None:
    """A CONV_2D of up to 26 columns, a few rows and up to 320 weights a filter."""
    rng = rng_of(draw)
    kernel, stride, dilation = draw_window(draw)
    in_c = draw(st.sampled_from([1, 3, 4, 8, 20]))
    out_c = draw(st.integers(1, 5))
    shape = (draw(st.sampled_from([1, 2])), draw(st.integers(1, 12)), draw(st.integers(1, 26)))
    b = Builder()
    x = b.input((*shape, in_c), 0.5, draw(ZERO_POINT))
    w = b.constant(draw_weights(draw, rng, (out_c, *kernel, in_c)), 0.01)
    y = b.conv_2d(
        x,
        w,
        b.bias(rng.integers(-(2**20), 2**20, out_c), x, w),
        scale=draw(st.sampled_from([1.0, 300.0])),
        zero_point=draw(ZERO_POINT),
        padding=draw(PADDING),
        stride=stride,
        dilation=dilation,
        activation=draw(st.sampled_from(["NONE", "RELU6"])),
    )
    b.output(y)
    return finished(b, rng)


def check(example: Example, encoding: str, band: int) -> None:
    example.rows[0][1:] = np.random.default_rng(band).choice(
        np.array([-128, 127], np.int8), example.rows[0][1:].shape
    )
    image = build_image(with_params(encode(example.model, encoding=encoding), "conv_2d", band=band))
    expected = oracle.run(example.model, example.rows)
    for (reference,), got in zip(expected, run_native(image, example.rows), strict=True):
        values = np.frombuffer(got.outputs[0], np.int8)
        np.testing.assert_array_equal(values, reference.reshape(-1))


@pytest.mark.parametrize("encoding", SPARSE)
def test_any_band_equals_reference(encoding: str) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(maps(), st.one_of(st.integers(1, 40), st.sampled_from([64, 1000, 2**32 - 1])))
    def drawn(example: Example | None, band: int) -> None:
        assume(example is not None)
        assert example is not None
        check(example, encoding, band)

    drawn()


def extremes(weights: NDArray[np.int8], zero_point: int) -> Example:
    """A convolution by 1x1 filters of one row of nine columns."""
    rng = np.random.default_rng(weights.size)
    b = Builder()
    x = b.input((1, 1, 9, weights.shape[3]), 0.5, zero_point)
    w = b.constant(weights, 0.01)
    bias = b.bias(np.zeros(len(weights), np.int64), x, w)
    b.output(b.conv_2d(x, w, bias, scale=2000.0, zero_point=0, padding="VALID"))
    example = finished(b, rng)
    assert example is not None
    return example


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("count", [255, 256, 257, 258, 259, 512, 513])
def test_lower_sums_at_their_bounds(weight: int, count: int) -> None:
    """256 extreme weights are one list; from there on the weights decide."""
    example = extremes(np.full((2, 1, 1, count), weight, np.int8), -128)
    example.rows[0][0] = 127
    for encoding in SPARSE:
        check(example, encoding, 32)


@pytest.mark.parametrize("other", [-57, -58, -59, 57, 58, 59])
def test_long_rows_of_small_weights_are_one_list(other: int) -> None:
    """567 times 58 is 32886, within the bound of 32896; 59 is not."""
    example = extremes(np.full((1, 1, 1, 567), other, np.int8), 3)
    example.rows[0][0] = 127
    for encoding in SPARSE:
        check(example, encoding, 8)
