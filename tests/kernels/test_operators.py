"""Every kernel against the reference interpreter, on random models of one operator."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import native, oracle
from edgesparse.encode import encode
from edgesparse.encode.lower import LOWER
from edgesparse.image import build_image
from tests.devices import run_native
from tests.one_operator import OPERATORS, Example

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
SPARSE = ["bitmap", "run4", "delta8"]
ENCODINGS = {
    "CONV_2D": ["dense", *SPARSE, "group4", "dense_sums"],
    "FULLY_CONNECTED": ["dense", *SPARSE, "group4", "squares"],
}


def check_against_oracle(example: Example, encoding: str | None) -> None:
    """Outputs and zero counts equal the reference's, in every row."""
    model = example.model
    image = build_image(encode(model, encoding=encoding))
    expected = oracle.run(model, example.rows)
    for row, (reference, got) in enumerate(
        zip(expected, run_native(image, example.rows), strict=True)
    ):
        for values, wanted in zip(got.outputs, reference, strict=True):
            np.testing.assert_array_equal(np.frombuffer(values, np.int8), wanted.reshape(-1))
        assert got.layers[-1].activation_zeros == zeros_of_last_layer(example, reference, row)


def zeros_of_last_layer(example: Example, reference: Sequence[NDArray[Any]], row: int) -> int:
    """Zeros in all outputs of the last node, those that the model does not give included."""
    model = example.model
    computed = dict(zip(model.outputs, reference, strict=True))
    if set(model.nodes[-1].outputs) != set(computed):
        computed = oracle.run_layers(model, [values[row] for values in example.rows])
    points = {index: model.tensors[index].affine()[1] for index in model.nodes[-1].outputs}
    return sum(int(np.count_nonzero(computed[i] == point)) for i, point in points.items())


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


def kernels_drawn(strategy: st.SearchStrategy[Example | None]) -> set[str]:
    """The kernels that some drawn model of one operator can run on; always the same draws."""
    found: set[str] = set()

    @settings(
        max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def draw(example: Example | None) -> None:
        if example is not None:
            node = next(node for node in example.model.nodes if node.op in LOWER)
            found.update(choice.kernel for choice in LOWER[node.op](example.model, node))

    draw()
    return found


def test_every_kernel_is_drawn() -> None:
    """A new row of kernels.def needs a strategy here, and every operator's kernels are its ops'."""
    ops = native.table("op")
    assert {name for row in ops.values() for name in row.columns[0].split()} == set(OPERATORS)
    assert set(LOWER) == set(OPERATORS)
    drawn = set()
    for name, strategy in OPERATORS.items():
        for kernel in kernels_drawn(strategy):
            assert name in ops[native.table("kernel")[kernel].columns[0]].columns[0].split()
            drawn.add(kernel)
    assert drawn == set(native.table("kernel"))
    encodings = {(row.columns[0], row.columns[1]) for row in native.table("kernel").values()}
    for name, wanted in ENCODINGS.items():
        assert {encoding for op, encoding in encodings if op == name.lower()} == set(wanted)


def stored(weights: NDArray[np.int8], encoding: str) -> NDArray[np.bool_]:
    """Which of a convolution's weights an encoding keeps."""
    if encoding in ("dense", "dense_sums"):
        return np.ones(weights.shape, np.bool_)
    if encoding in SPARSE:
        return weights != 0
    assert encoding == "group4"
    return np.repeat(weights.reshape(-1, 4).any(axis=1), 4).reshape(weights.shape)


def products_by_definition(example: Example, encoding: str) -> int:
    """Products of a weight and an input that is no padding, by visiting every output and tap."""
    model = example.model
    node = model.nodes[0]
    geometry = node.options.geometry(model, node)  # type: ignore[attr-defined]
    weights = model.tensors[node.inputs[1]].data
    assert weights is not None
    counted = stored(weights, encoding)
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
    [
        *[("CONV_2D", encoding) for encoding in ENCODINGS["CONV_2D"]],
        ("DEPTHWISE_CONV_2D", "dense"),
    ],
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
        expected = products_by_definition(example, image.meta.layers[0].encoding)
        assert image.macs_done == (expected,)

    check()
