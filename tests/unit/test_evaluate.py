"""Accuracy and agreement on models whose classes are known."""

import numpy as np
import pytest

from edgesparse.errors import UsageError
from edgesparse.inputs import Inputs
from edgesparse.model import load_model, parse_model
from edgesparse.sparsify.evaluate import Accuracy, agreement, evaluate, halves, predict
from tests.tflite_builder import Builder


def layer(codes):
    """A FULLY_CONNECTED layer and a SOFTMAX, or for one output a LOGISTIC."""
    b = Builder()
    codes = np.asarray(codes, np.int8)
    x = b.input((1, codes.shape[1]), 0.5)
    y = b.fully_connected(x, b.constant(codes, 0.1), scale=0.5)
    if len(codes) > 1:
        b.output(b.softmax(y))
    else:
        b.output(b.unary("LOGISTIC", y, scale=1 / 256, zero_point=-128))
    return parse_model(b.finish(), name="m")


def rows(*values, labels=None):
    return Inputs((np.array(values, np.int8),), None if labels is None else np.array(labels))


def test_classes_are_the_first_largest_outputs():
    given = rows([9, 0], [0, 9], [5, 5], [-9, -5])
    assert predict(layer([[50, 0], [0, 50]]), given, range(4)).tolist() == [0, 1, 0, 1]
    assert predict(layer([[50, 0], [0, 50]]), given, [3, 0]).tolist() == [1, 0]


def test_one_output_stands_for_two_classes():
    assert predict(layer([[50]]), rows([-20], [-1], [1], [20]), range(4)).tolist() == [0, 0, 1, 1]


def test_halves_have_the_same_classes_and_no_row_in_common():
    labels = np.tile(np.arange(10), 20)  # even and odd rows would have different classes
    one, other = halves(labels)
    assert sorted([*one, *other]) == list(range(200))
    assert np.bincount(labels[one]).tolist() == np.bincount(labels[other]).tolist() == [10] * 10


def test_accuracy_counts_the_labels_met():
    given = rows([9, 0], [0, 9], [9, 1], [1, 9], labels=[0, 1, 1, 1])
    model = layer([[50, 0], [0, 50]])
    assert evaluate(model, given, range(4)) == Accuracy(3, 4)
    assert evaluate(model, given, [2]) == Accuracy(0, 1)
    found = Accuracy(3, 4)
    assert (found.share, found.standard_error) == (0.75, pytest.approx(0.2165, abs=1e-4))


def test_agreement_needs_no_labels():
    given = rows([9, 0], [0, 9], [9, 1], [1, 9])
    turned, same = layer([[0, 50], [50, 0]]), layer([[90, 0], [0, 90]])
    assert agreement(turned, layer([[50, 0], [0, 50]]), given, range(4)) == Accuracy(0, 4)
    assert agreement(same, layer([[50, 0], [0, 50]]), given, range(4)) == Accuracy(4, 4)


def test_no_labels_and_no_rows():
    with pytest.raises(UsageError, match="no labels"):
        evaluate(layer([[50]]), rows([1]), [0])
    with pytest.raises(UsageError, match="no rows"):
        predict(layer([[50]]), rows([1]), [])


def test_a_model_that_keeps_state_runs_its_rows_in_order(shared_models):
    folder = shared_models / "mww2_vad"
    model, data = load_model(folder / "mww2_vad.tflite"), np.load(folder / "data.npz")
    given = Inputs((data["x"],), data["y"].astype(np.int64))
    expected = (data["golden"].reshape(-1) >= 128).astype(int)
    assert predict(model, given, [900, 5, 1279]).tolist() == expected[[900, 5, 1279]].tolist()
    assert predict(model, given, range(1280)).tolist() == expected.tolist()
