"""The predicted costs are near the counted ones, and what they choose is the cheapest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesparse.deploy.run import Options, deploy_model
from edgesparse.pipeline import Recipe

MODELS = (
    *("ds_cnn_kws", "lenet_300_100", "micro_speech", "mww2_vad", "person_detect"),
    *("resnet8_cifar10", "resnet_large_cifar10", "str_ww"),
)
TOLERANCE = 0.1
NINE_IN_TEN = 0.9


def deployed(
    shared_models: Path, name: str, recipe: Recipe, folder: Path, board: str = "qemu"
) -> dict[str, object]:
    """The document of one real row."""
    path = shared_models / name
    options = Options(board=board, inputs=path / "data.npz", runs=1, log=folder)
    return deploy_model(path / f"{name}.tflite", recipe, options, quiet=True)


def ratios(document: dict[str, object], key: str) -> list[float]:
    """Measured by predicted of every layer that is more than a hundredth of the whole."""
    totals, layers = document["totals"], document["layers"]
    assert isinstance(totals, dict)
    assert isinstance(layers, list)
    found = [layer["measured_by_predicted"] for layer in layers if layer[key] > totals[key] / 100]
    assert None not in found
    return found


@pytest.mark.parametrize(
    ("where", "optimize", "key"),
    [
        ("qemu:cortex-m3", "cycles", "modelled_cycles"),
        ("qemu:cortex-m4", "cycles", "modelled_cycles"),
        ("qemu:cortex-m4", "instructions", "count"),
        ("qemu:cortex-m7", "instructions", "count"),
    ],
)
def test_nine_layers_in_ten_cost_what_was_predicted(
    shared_models: Path, tmp_path: Path, where: str, optimize: str, key: str
) -> None:
    found: list[float] = []
    for name in MODELS:
        for share in (0.0, 0.5, 0.9):
            recipe = Recipe("topk" if share else "none", share, optimize=optimize)
            document = deployed(shared_models, name, recipe, tmp_path / f"{name}-{share}", where)
            found += ratios(document, key)
    assert len(found) > 200
    assert np.mean(np.abs(np.asarray(found) - 1) <= TOLERANCE) >= NINE_IN_TEN


@pytest.mark.parametrize("sparsity", [0.2, 0.6, 0.9])
def test_the_choice_is_no_worse_than_one_encoding_for_all(
    shared_models: Path, tmp_path: Path, sparsity: float
) -> None:
    totals = {}
    for encoding in (None, "dense", "bitmap"):
        recipe = Recipe("topk", sparsity, encoding=encoding, optimize="instructions")
        name = "resnet8_cifar10"
        document = deployed(shared_models, name, recipe, tmp_path / str(encoding))
        numbers = document["totals"]
        assert isinstance(numbers, dict)
        totals[encoding] = numbers["count"]
    assert totals[None] <= 1.01 * min(totals["dense"], totals["bitmap"])
