"""Kernels that skip zero activations: both ways of each, and how many products they form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.session import FLAG_NO_ZEROS
from edgesparse.encode import Encoded, dense_sums, encode, pairs
from edgesparse.encode.lower.candidate import NEVER
from edgesparse.encode.lower.skipping import break_even
from edgesparse.image import build_image
from edgesparse.model import Model
from tests.devices import run_native
from tests.drawing import Example
from tests.kernels.reference import Window, patches
from tests.kernels.test_operators import EXAMPLES
from tests.one_operator import OPERATORS

SKIPPING = {"CONV_2D": ["dense_sums", "pairs"], "FULLY_CONNECTED": ["pairs"]}


def with_params(encoded: Encoded, **params: int) -> Encoded:
    """The same nodes with other parameters."""
    nodes = tuple(
        replace(node, choice=replace(node.choice, params={**node.choice.params, **params}))
        for node in encoded.nodes
    )
    return replace(encoded, nodes=nodes)


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


@pytest.mark.parametrize("list_zeros", [0, 1, NEVER])
@pytest.mark.parametrize(
    ("operator", "encoding"),
    [(operator, encoding) for operator, names in SKIPPING.items() for encoding in names],
)
def test_equals_reference(operator: str, encoding: str, list_zeros: int) -> None:
    if encoding == "pairs" and list_zeros != 0:
        list_zeros = 0  # these kernels have one way only, and list_zeros does not matter
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
        params = {"list_zeros": list_zeros}
        if operator == "CONV_2D":
            params["band"] = draw.draw(st.sampled_from([1, 2, 5, 8, 32, 1000]))
        zero_point = example.model.tensors[example.model.nodes[0].inputs[0]].affine()[1]
        zeros = [int(np.count_nonzero(row == zero_point)) for row in example.rows[0]]
        check_runs(
            example,
            with_params(encoded, **params),
            [encoding == "pairs" or count >= list_zeros for count in zeros],
        )

    check()


def test_decision_without_counted_zeros() -> None:
    assert FLAG_NO_ZEROS
    raise AssertionError


def _unused(x: Any) -> None:
    dense_sums, pairs, break_even
