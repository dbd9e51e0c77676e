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

from edgesparse.edges import device_output, output_meta
from edgesparse.errors import UsageError
from edgesparse.inputs import Inputs
from edgesparse.model import Model
from edgesparse.outputs import finish_output, first_maximum
from edgesparse.rows import Rows, device_rows, has_state, run_tensors

__all__ = ["Accuracy", "agreement", "classes_of", "evaluate", "halves", "predict"]


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
    index = device_output(model, model.outputs[0])
    values = run_tensors(model, device_rows(model, inputs, run), [index])[index]
    classes = classes_of(model, values)
    return classes[np.asarray(rows)] if has_state(model) else classes


def classes_of(model: Model, values: Rows) -> NDArray[np.int64]:
    """The class of each row, from what the device gives for the model's first output."""
    meta = output_meta(model, model.outputs[0])
    if not meta.steps and values.shape[1] > 1:
        return np.asarray(values.argmax(axis=1), np.int64)
    return np.array([_class_of(finish_output(meta, row.tobytes()), model) for row in values])


def halves(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers cut into two halves with the same classes: every other row of each, the rest."""
    first = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        first[np.flatnonzero(labels == label)[::2]] = True
    return np.flatnonzero(first), np.flatnonzero(~first)


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
