"""Real models with real inputs give their golden outputs on every target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesparse import demo, oracle
from edgesparse.deploy.boards import Board, NativeRunner
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.errors import DoesNotFitError
from edgesparse.inputs import load_inputs
from edgesparse.model import load_model
from edgesparse.outputs import same_values
from edgesparse.pipeline import Recipe, convert_model, thin
from edgesparse.validate import validate_model
from tests.devices import run_rows

ROWS_IN_QEMU = {"resnet_large_cifar10": 3, "mcunet_person_det": 3, "mww2_vad": 64}
TOO_LARGE = {
    ("resnet_large_cifar10", "qemu-mps3-an547"): ("model image", "qemu-mps2-an385"),
    ("resnet_large_cifar10", "qemu-netduinoplus2"): ("arena", "qemu-mps2-an385"),
    ("mcunet_person_det", "qemu-netduinoplus2"): ("arena", "qemu-mps3-an547"),
}
"""What does not fit, and the board that is named instead."""
MODELS = [
    "hello_world",
    "micro_speech",
    "str_ww",
    "ds_cnn_kws",
    "lenet_300_100",
    "person_detect",
    "resnet8_cifar10",
    "resnet_large_cifar10",
    "mcunet_person_det",
    "mww2_vad",
]


def model_files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / name / f"{name}.tflite", folder / name / "data.npz"


def whole(mean: float, runs: int) -> int:
    """The sum that a mean was made from: without DSP instructions, counts depend on the data."""
    return round(mean * runs)


@pytest.mark.parametrize("name", MODELS)
def test_golden_outputs(shared_models: Path, board: Board, name: str, tmp_path: Path) -> None:
    model, data = model_files(shared_models, name)
    rows = load_inputs(data).rows
    runs = rows if isinstance(board.runner, NativeRunner) else min(ROWS_IN_QEMU.get(name, 20), rows)
    options = Options(board=board.name, inputs=data, runs=runs, log=tmp_path / "log")
    if (name, board.name) in TOO_LARGE:
        what, fitting = TOO_LARGE[name, board.name]
        with pytest.raises(DoesNotFitError, match=what) as refused:
            deploy_model(model, Recipe(), options, quiet=True)
        assert refused.value.hint is not None
        assert f"--board {fitting}" in refused.value.hint
        return
    document = deploy_model(model, Recipe(), options, quiet=True)
    assert document["runs"] == runs
    assert document["mismatches"] == 0
    in_layers = sum(whole(layer["count"], runs) for layer in document["layers"])
    outside = whole(document["totals"]["count_outside_layers"], runs)
    assert whole(document["totals"]["count"], runs) == in_layers + outside
    assert outside >= 0


@pytest.mark.parametrize("method", ["relative", "topk"])
@pytest.mark.parametrize("name", ["resnet8_cifar10", "micro_speech"])
def test_thresholded_models_equal_the_oracle_on_the_thresholded_tflite(
    shared_models: Path, board: Board, name: str, method: str
) -> None:
    path, data = model_files(shared_models, name)
    recipe = Recipe(method, 0.6)
    model = load_model(path)
    image, thinned = convert_model(model, recipe)
    assert {"bitmap", "delta8"} & {layer.encoding for layer in image.meta.layers}
    rows = load_inputs(data).x[0][:4].reshape(4, -1)
    expected = oracle.run(thin(model, recipe)[0], rows)
    for reference, result in zip(expected, run_rows(board, image, [rows]), strict=True):
        values = np.frombuffer(result.outputs[0], np.int8)
        assert same_values(values, reference[0])
    assert thinned.sha256() != model.sha256()


def test_counts_repeat_to_the_digit(board: Board, tmp_path: Path) -> None:
    documents = [
        deploy_model(
            None, Recipe(), Options(board=board.name, runs=3, log=tmp_path / name), quiet=True
        )
        for name in ("first", "second")
    ]
    assert documents[0]["layers"] == documents[1]["layers"]
    assert documents[0]["totals"] == documents[1]["totals"]


def test_every_tensor_and_zero_count_equals_the_reference(
    shared_models: Path, board: Board
) -> None:
    for name, rows in {
        "resnet8_cifar10": 1,
        "str_ww": 1,
        "lenet_300_100": 1,
        "mww2_vad": 4,
    }.items():
        model, data = model_files(shared_models, name)
        document = validate_model(
            model, Recipe(), board=board.name, inputs=data, rows=rows, timeout_s=60.0
        )
        assert document["difference"] is None
        assert document["layers_compared"] > 0


def test_demo_accuracy_on_the_device(board: Board, tmp_path: Path) -> None:
    options = Options(board=board.name, runs=100, log=tmp_path / "log")
    document = deploy_model(None, Recipe(), options, quiet=True)
    labels = load_inputs(demo.data_path()).y
    golden = load_inputs(demo.data_path()).golden[0]
    assert labels is not None
    correct = np.argmax(golden[:100].reshape(100, -1), axis=1) == labels[:100]
    assert document["accuracy"] == correct.mean()
    assert document["mismatches"] == 0
