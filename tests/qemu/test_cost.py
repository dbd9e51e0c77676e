"""The predicted costs are near the counted ones, and rank the encodings rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesparse.deploy.boards import find_board
from edgesparse.image import Image
from edgesparse.inputs import rows_for
from edgesparse.model import load_model
from edgesparse.pipeline import Recipe, convert_model
from tests.devices import run_rows

TOLERANCE = 0.35


def counts(image: Image) -> list[int]:
    """Instructions of each node, in one run on Cortex-M4."""
    rows = rows_for(image.meta.inputs, None, range(1))
    shaped = [
        values.reshape(1, *meta.shape) for values, meta in zip(rows, image.meta.inputs, strict=True)
    ]
    (run,) = run_rows(find_board("qemu-mps2-an386"), image, shaped)
    return [layer.count for layer in run.layers]


@pytest.mark.parametrize("encoding", ["dense", "delta8", "group4"])
@pytest.mark.parametrize("name", ["resnet8_cifar10", "ds_cnn_kws"])
def test_predictions_of_layers_with_weights(shared_models: Path, name: str, encoding: str) -> None:
    model = load_model(shared_models / name / f"{name}.tflite")
    granularity = "1x4" if encoding == "group4" else "1x1"
    recipe = Recipe("topk", 0.6, encoding=encoding, granularity=granularity)
    image, _ = convert_model(model, recipe)
    for node, count in zip(image.nodes, counts(image), strict=True):
        if node["macs"] > 10_000:
            assert node["predicted_cost"] == pytest.approx(count, rel=TOLERANCE)


@pytest.mark.parametrize("sparsity", [0.2, 0.9])
def test_the_cheaper_encoding_is_chosen(shared_models: Path, sparsity: float) -> None:
    """Far from the break-even of about 55 % the choice costs no more than either encoding alone."""
    model = load_model(shared_models / "resnet8_cifar10" / "resnet8_cifar10.tflite")
    totals = {
        encoding: sum(counts(convert_model(model, Recipe("topk", sparsity, encoding=encoding))[0]))
        for encoding in (None, "dense", "delta8")
    }
    assert totals[None] <= 1.01 * min(totals["dense"], totals["delta8"])
