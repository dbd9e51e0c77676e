"""A convolution gives the same in bands of any size, and asks for less scratch in small ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgesparse import native, oracle
from edgesparse.encode import Encoded, encode
from edgesparse.image import Image, build_image
from edgesparse.model import parse_model
from tests.devices import run_native
from tests.one_operator import OPERATORS, Example
from tests.tflite_builder import Builder
from tests.with_params import node_with

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))


def in_bands(encoded: Encoded, band: int) -> Image:
    """The image whose first node makes `band` positions at a time."""
    first = node_with(encoded.nodes[0], band=band)
    return build_image(replace(encoded, nodes=(first, *encoded.nodes[1:])))


@pytest.mark.parametrize("encoding", ["dense"])
def test_bands_of_any_size_give_the_same_outputs(encoding: str) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(OPERATORS["CONV_2D"], st.sampled_from([1, 2, 3, 4, 5, 6, 9, 17, 2**31, 2**32 - 1]))
    def check(example: Example | None, band: int) -> None:
        assume(example is not None)
        assert example is not None
        image = in_bands(encode(example.model, encoding=encoding), band)
        expected = oracle.run(example.model, example.rows)
        for reference, got in zip(expected, run_native(image, example.rows), strict=True):
            for values, wanted in zip(got.outputs, reference, strict=True):
                np.testing.assert_array_equal(np.frombuffer(values, np.int8), wanted.reshape(-1))

    check()


def scratch_of(side: int, in_c: int, kernel: int) -> Callable[[int], int]:
    """Bytes of scratch of a dense convolution to 16 channels, by band."""
    b = Builder()
    x = b.input((1, side, side, in_c))
    w = b.constant(np.ones((16, kernel, kernel, in_c), np.int8), [0.5])
    b.output(b.conv_2d(x, w, b.bias(np.zeros(16), x, w)))
    encoded = encode(parse_model(b.finish(), name="m"), encoding="dense")
    return lambda band: in_bands(encoded, band).meta.scratch_bytes


@pytest.mark.parametrize(("in_c", "kernel"), [(16, 3), (16, 1), (3, 3)])
def test_small_bands_need_little_scratch(in_c: int, kernel: int) -> None:
    """A band of one or two: a column as int16, its bytes, the zero points. Others grow with it."""
    scratch = scratch_of(32, in_c, kernel)
    columns = -(-kernel * kernel * in_c // 4) * 4
    assert scratch(1) == scratch(2) <= 3 * columns + -(-kernel * in_c // 4) * 4
    sizes = [scratch(band) for band in (2, 4, 8, 16, 32, 128, 512, 1024)]
    assert sizes == sorted(set(sizes))
    assert scratch(2**32 - 1) == sizes[-1]


def test_scratch_of_parameters_that_nobody_has_checked() -> None:
    """No trap, and nothing that wraps to a small size: it sticks at 2^32 - 1, which is refused."""
    kernel = native.table("kernel")["conv_2d_dense_s8"].id
    layout = native.layout("conv_params")
    assert native.scratch_bytes(kernel, layout.pack()) < 1000
    fields = {"batches": 1, "in_h": 9, "in_w": 9, "out_h": 8, "out_w": 8, "out_c": 8, "band": 32}
    fields |= {"stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
    for in_c in (2**30, 2**30 + 1):
        params = layout.pack(**fields, kernel_h=2, kernel_w=2, in_c=in_c)
        with pytest.raises(ValueError, match="takes no parameter struct"):
            native.scratch_bytes(kernel, params)
