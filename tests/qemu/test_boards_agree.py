"""Every board, whatever --target says, gives the outputs and zero counts of the native one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from numpy.typing import NDArray

from edgesparse import demo
from edgesparse.deploy.boards import Board, NativeRunner, list_boards
from edgesparse.encode import Goal, encode
from edgesparse.image import Image, build_image
from edgesparse.inputs import load_inputs, rows_for
from edgesparse.pipeline import Recipe, prepare_image
from edgesparse.telemetry.runs import RunResult
from tests.devices import run_native, run_rows
from tests.drawing import side_by_side
from tests.kernels.test_operators import ENCODINGS
from tests.one_operator import OPERATORS, Example

Rows = Sequence[NDArray[np.int8]]

DRAWS = 12
MANY = 24
MANIFOLD = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "AVERAGE_POOL_2D")
"""Operators whose kernels have many ways through them."""
MOST_BYTES = 16_000
"""Tensors of one of them: every board holds four, and some scratch."""
GOAL = Goal(spare_ram=100_000)
SIDE_BY_SIDE = 4
"""Inputs that a device takes are eight at most, and these models may have two each."""

QEMUS = 8
MODEL_ROWS = 2
MODELS = ["hello_world", "str_ww", "ds_cnn_kws", "resnet8_cifar10"]
OTHER_BOARDS = [each for each in list_boards() if not isinstance(each.runner, NativeRunner)]
on_every_board = pytest.mark.parametrize("each", OTHER_BOARDS, ids=lambda each: each.name)


@cache
def examples_of(operator: str) -> list[Example]:
    """A few examples side by side, some models of them, or the largest; always the same."""
    if operator not in MANIFOLD:
        drawn = drawn_of(operator, DRAWS)
        return [max(drawn, key=lambda example: sum(row.size for row in example.rows))]
    drawn = [example for example in drawn_of(operator, MANY) if tensor_bytes(example) < MOST_BYTES]
    first = range(0, len(drawn), SIDE_BY_SIDE)
    return [side_by_side(drawn[i : i + SIDE_BY_SIDE]) for i in first]


def tensor_bytes(example: Example) -> int:
    """Bytes of a model's inputs and outputs."""
    model = example.model
    return sum(model.tensors[index].elements for index in (*model.inputs, *model.outputs))


def drawn_of(operator: str, draws: int) -> list[Example]:
    """What hypothesis draws first for an operator."""
    drawn: list[Example] = []

    @settings(
        max_examples=draws,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(OPERATORS[operator])
    def draw(example: Example | None) -> None:
        if example is not None:
            drawn.append(example)

    draw()
    return drawn


def told(runs: list[RunResult], *, counted: bool) -> list[object]:
    """All that has to be the same: outputs and, node by node, zeros and products."""
    for run in runs:
        assert (run.end.unit == "instructions") == counted
        assert all((layer.count > 0) == counted for layer in run.layers)
    return [
        (
            run.outputs,
            run.end.macs_done,
            [(layer.node, layer.activation_zeros, layer.macs_done) for layer in run.layers],
        )
        for run in runs
    ]


@cache
def operator_cases() -> list[tuple[str, Image, Rows, list[object]]]:
    """Name, image, input rows and what the native device tells, for every operator and encoding."""
    cases = []
    for operator in OPERATORS:
        for example in examples_of(operator):
            for encoding in ENCODINGS.get(operator, [None]):
                image = build_image(encode(example.model, encoding=encoding, goal=GOAL))
                expected = told(run_native(image, example.rows), counted=False)
                cases.append((f"{operator} {encoding}", image, example.rows, expected))
    return cases


@on_every_board
def test_every_operator(each: Board) -> None:
    """Some at a time: a start of QEMU is a second of waiting for its serial line."""

    def wrong(case: tuple[str, Image, Rows, list[object]]) -> str | None:
        name, image, rows, expected = case
        return None if told(run_rows(each, image, rows), counted=True) == expected else name

    with ThreadPoolExecutor(QEMUS) as executor:
        assert [name for name in executor.map(wrong, operator_cases()) if name] == []


def check_model(each: Board, image: Image, data: Path) -> None:
    rows = rows_for(image.meta.inputs, load_inputs(data), range(MODEL_ROWS))
    expected = told(run_native(image, rows), counted=False)
    assert told(run_rows(each, image, rows), counted=True) == expected


@on_every_board
def test_demo_dense_and_sparse(each: Board) -> None:
    grouped = Recipe("topk", 0.6, encoding="group4", granularity="1x4")
    for recipe in (Recipe(), Recipe("relative", 0.7), grouped):
        check_model(each, prepare_image(None, recipe), demo.data_path())


@on_every_board
@pytest.mark.parametrize("name", MODELS)
def test_real_models(shared_models: Path, each: Board, name: str) -> None:
    folder = shared_models / name
    check_model(each, prepare_image(folder / f"{name}.tflite", Recipe()), folder / "data.npz")
