"""How often a model is right, on labelled rows, or how often it agrees with another one without.

Rows run on the native port, whose outputs are those of every board and of the reference.  The class
of a row is the first largest element of the model's first output; an output of one element stands
for two classes, the second of them from a value of 0.5 on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode import encode
from edgesparse.errors import UsageError
from edgesparse.image import build_image
from edgesparse.inputs import Inputs
from edgesparse.model import Model
from edgesparse.outputs import finish_outputs, first_maximum
from edgesparse.rows import device_rows, has_state, run_image_rows

__all__ = ["Accuracy", "agreement", "evaluate", "predict"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of the rows looked at were right."""

    right: int
    rows: int

    @property
    def share(self) -> float:
        """Right ones per row."""
        return self.right / self.rows

    @property
    def standard_error(self) -> float:
        """Of the share, as of one drawn from a binomial distribution."""
        return math.sqrt(self.share * (1.0 - self.share) / self.rows)


def predict(model: Model, inputs: Inputs, rows: Sequence[int]) -> NDArray[np.int64]:
    """The class of each of some rows of an input file.

    A model that keeps state runs all rows of the file in order, from the reset state.

    Raises UnsupportedModelError for a model that cannot run, FormatError for rows that do not fit
    it, UsageError where there are none.
    """
    if len(rows) == 0:
        raise UsageError("no rows to evaluate")
    run = range(inputs.rows) if has_state(model) else rows
    image = build_image(encode(model))
    given = device_rows(model, inputs, run)
    outputs = run_image_rows(image, list(given.values()))
    classes = np.array(
        [
            _class_of(
                finish_outputs(image.meta, [output[row].tobytes() for output in outputs])[0], model
            )
            for row in range(len(run))
        ]
    )
    return classes[np.asarray(rows)] if has_state(model) else classes


def evaluate(model: Model, inputs: Inputs, rows: Sequence[int]) -> Accuracy:
    """Accuracy on some rows of an input file.

    Raises what predict does, and UsageError without labels.
    """
    if inputs.y is None:
        raise UsageError("the data has no labels", hint="without labels, ask for the agreement")
    right = predict(model, inputs, rows) == inputs.y[np.asarray(rows)]
    return Accuracy(int(right.sum()), len(right))


def agreement(model: Model, dense: Model, inputs: Inputs, rows: Sequence[int]) -> Accuracy:
    """How many rows get the same class from two models.  Raises what predict does."""
    same = predict(model, inputs, rows) == predict(dense, inputs, rows)
    return Accuracy(int(same.sum()), len(same))


def _class_of(values: NDArray[np.generic], model: Model) -> int:
    if values.size > 1:
        return first_maximum(values)
    value = float(values.reshape(-1)[0].astype(np.float64))
    if values.dtype.kind != "f":
        scale, zero_point = model.tensors[model.outputs[0]].affine()
        value = scale * (value - zero_point)
    return int(value >= 0.5)
