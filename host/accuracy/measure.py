"""One point: a model thinned in one way on one half of its rows, judged on the other.

Each model's rows are cut into two halves with the same classes; calibration and search look at one
half, the accuracy is counted in the other, then the other way round, so that every row counts once
and never for a network that was calibrated on it.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.calibration import MOST_ROWS
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model, load_model
from edgesparse.rows import Rows, device_rows, has_state
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import compensate_model, measure_sensitivity, share_out
from edgesparse.sparsify.evaluate import evaluate, halves
from host.accuracy.points import COMPENSATED, DENSE, SHARED, Point

Indices = NDArray[np.int64]


@lru_cache(maxsize=1)
def labelled(folder: Path) -> tuple[Model, Inputs] | None:
    """A model and its labelled rows, None where it has none; all of MNIST's test rows for LeNet."""
    data = folder / "data.npz"
    if not data.is_file():
        return None
    model, inputs = load_model(folder / f"{folder.name}.tflite"), load_inputs(data)
    images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    if images.is_file() and labels.is_file():
        x = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
        y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
        inputs = replace(
            inputs, x=(x.reshape(len(y), *inputs.x[0].shape[1:]),), y=y.astype(np.int64), golden=()
        )
    return None if inputs.y is None or has_state(model) else (model, inputs)


def calibration(half: Indices) -> list[int]:
    """Up to MOST_ROWS rows, evenly over a half."""
    places = np.linspace(0, len(half) - 1, min(len(half), MOST_ROWS))
    return half[np.unique(places.astype(int))].tolist()


def rule_at(model: Model, method: str, share: float) -> Rule:
    """The rule by which a method zeroes that share of the weights it treats, or little more."""
    if method in ("relative", "topk"):
        return Rule(method, (share,))

    def rule(value: float) -> Rule:
        return Rule(method, (value, value / 2) if method == "triangular" else (value,))

    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        _, rows = sparsify(model, rule(middle))
        zeros = sum(row.zeros_after for row in rows) / sum(row.weights for row in rows)
        low, high = (low, middle) if zeros >= share else (middle, high)
    return rule(high)


def measure(point: Point, curves: Sequence[Any] | None) -> Any:
    """An accuracy as {right, rows}, or for a point without a way the sensitivity as lists."""
    loaded = labelled(Path(point.folder))
    assert loaded is not None
    model, inputs = loaded
    assert inputs.y is not None
    if point.half is None:
        thin = model
        if point.way != DENSE:
            thin, _ = sparsify(model, rule_at(model, point.way, point.share))
        return asdict(evaluate(thin, inputs, range(inputs.rows)))
    cut = halves(inputs.y)
    given = device_rows(model, inputs, calibration(cut[point.half]))
    if not point.way:
        return measure_sensitivity(model, given).tolist()
    thin = compensated(model, given, point, curves)
    return asdict(evaluate(thin, inputs, cut[1 - point.half].tolist()))


def compensated(
    model: Model, given: Mapping[int, Rows], point: Point, curves: Sequence[Any] | None
) -> Model:
    """The model thinned in the way of a point."""
    if point.way == SHARED:
        shared = share_out(model, given, point.share, curves=np.array(curves))
        return compensate_model(model, shared, given)[0]
    rule = rule_at(model, point.way.removesuffix(COMPENSATED), point.share)
    return compensate_model(model, replace(rule, compensate=True), given)[0]
