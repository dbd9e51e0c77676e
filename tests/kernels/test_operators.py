"""Every kernel against the reference interpreter, on random models of one operator."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from edgesparse import native, oracle
from edgesparse.encode import encode
from edgesparse.encode.lower import LOWER
from edgesparse.image import build_image
from tests.devices import run_native
from tests.one_operator import OPERATORS, Example

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
ENCODINGS = {"CONV_2D": ["dense", "delta8"], "FULLY_CONNECTED": ["dense", "delta8"]}


def check_against_oracle(example: Example, encoding: str | None) -> None:
    """Outputs and zero counts equal the reference's, in every row."""
    image = build_image(encode(example.model, encoding=encoding))
    zero_point = example.model.tensors[example.model.outputs[0]].affine()[1]
    expected = oracle.run(example.model, example.rows)
    for reference, got in zip(expected, run_native(image, example.rows), strict=True):
        values = np.frombuffer(got.outputs[0], np.int8)
        np.testing.assert_array_equal(values, reference[0].reshape(-1))
        zeros = int(np.count_nonzero(reference[0] == zero_point))
        assert got.layers[0].activation_zeros == zeros


@pytest.mark.parametrize(
    ("operator", "encoding"),
    [(name, encoding) for name in OPERATORS for encoding in ENCODINGS.get(name, [None])],
)
def test_equals_reference(operator: str, encoding: str | None) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(OPERATORS[operator])
    def check(example: Example | None) -> None:
        assume(example is not None)
        assert example is not None
        check_against_oracle(example, encoding)

    check()


def test_every_kernel_is_drawn() -> None:
    """A new row of kernels.def or of LOWER needs a strategy here."""
    tflite_names = {name for row in native.table("op").values() for name in row.columns[0].split()}
    assert tflite_names == set(OPERATORS)
    assert set(LOWER) == set(OPERATORS)
    encodings = {(row.columns[0], row.columns[1]) for row in native.table("kernel").values()}
    for name, wanted in ENCODINGS.items():
        assert {encoding for op, encoding in encodings if op == name.lower()} == set(wanted)


def products_by_definition(example: Example, *, zeros_too: bool) -> int:
    """Products of a weight and an input that is no padding, by visiting every output and tap."""
    model = example.model
    node = model.nodes[0]
    geometry = node.options.geometry(model, node)  # type: ignore[attr-defined]
    weights = model.tensors[node.inputs[1]].data
    assert weights is not None
    counted = np.ones_like(weights) if zeros_too else weights != 0
    total = 0
    for kh in range(geometry.kernel_h):
        for kw in range(geometry.kernel_w):
            tap = int(np.count_nonzero(counted[:, kh, kw]))
            for oh in range(geometry.out_h):
                for ow in range(geometry.out_w):
                    y = oh * geometry.stride_h - geometry.pad_top + kh * geometry.dilation_h
                    x = ow * geometry.stride_w - geometry.pad_left + kw * geometry.dilation_w
                    if 0 <= y < geometry.in_h and 0 <= x < geometry.in_w:
                        total += tap
    return total * geometry.batches


@pytest.mark.parametrize(
    ("operator", "encoding"),
    [("CONV_2D", "delta8"), ("CONV_2D", "dense"), ("DEPTHWISE_CONV_2D", "dense")],
)
def test_macs_done_counts_products_that_are_formed(operator: str, encoding: str) -> None:
    """Of weights that are stored, zero or not, and of inputs that are there."""

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(OPERATORS[operator])
    def check(example: Example | None) -> None:
        assume(example is not None)
        assert example is not None
        image = build_image(encode(example.model, encoding=encoding))
        expected = products_by_definition(example, zeros_too=encoding == "dense")
        assert image.macs_done == (expected,)

    check()
