"""Zeros to expect in activations: from rows, from a log, assumed; and which of these is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesparse import demo
from edgesparse.activations import assumed, profile_rows, profile_run
from edgesparse.deploy.run import Options, deploy_model, image_for
from edgesparse.errors import UsageError
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.meta import ProfileMeta
from edgesparse.model import Model, parse_model
from edgesparse.pipeline import Destination, Recipe, make_image, parse_rows, read_model
from tests.tflite_builder import Builder


@pytest.fixture
def model() -> Model:
    """RELU of [1, 8] at zero point -128, and one more RELU of its reshaped output."""
    b = Builder()
    x = b.input((1, 8), 1.0, 0)
    y = b.unary("RELU", x, scale=1.0, zero_point=-128)
    b.output(b.unary("LOGISTIC", b.reshape(y, (2, 4)), scale=1 / 256, zero_point=-128))
    return parse_model(b.finish(), name="m")


def rows(*positive: int) -> Inputs:
    """Rows of 8 with this many elements above 0 in each, one 0, and the rest below."""
    values = np.full((len(positive), 8), -3, np.int8)
    for row, count in zip(values, positive, strict=True):
        row[:count] = 5
        row[7] = 0
    return Inputs((values,))


def test_rows_are_counted(model: Model) -> None:
    found = profile_rows(model, rows(4, 0, 2), [0, 1, 2], "here")
    (x,), relu = model.inputs, model.nodes[0].outputs[0]
    assert found.zeros[x].mean == pytest.approx(1 / 8)
    assert found.zeros[x].spread == 0
    assert found.zeros[relu].mean == pytest.approx((4 / 8 + 8 / 8 + 6 / 8) / 3)
    assert found.zeros[relu].spread == pytest.approx(np.std([0.5, 1.0, 0.75]))
    assert found.rows == 3


def test_pairs_of_zeros_are_counted_where_vectors_are_multiplied() -> None:
    """Elements 0 and 2, 1 and 3 of each four; the last four has one element."""
    b = Builder()
    x = b.input((1, 9), 1.0, 0)
    w = b.constant(np.ones((2, 9), np.int8), 0.01)
    y = b.fully_connected(b.reshape(x, (1, 9)), w, scale=1.0, activation="RELU", zero_point=-128)
    b.output(b.unary("LOGISTIC", y, scale=1 / 256, zero_point=-128))
    model = parse_model(b.finish(), name="m")
    values = np.asarray([[0, 1, 0, 1, 0, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 3]], np.int8)
    zeros = profile_rows(model, Inputs((values,)), [0, 1], "").zeros
    assert zeros[model.inputs[0]].pairs == pytest.approx((4 + 5) / 12)
    assert zeros[model.inputs[0]].mean == pytest.approx((6 + 8) / 18)
    assert zeros[model.nodes[-2].outputs[0]].pairs is None


def test_only_the_rows_asked_for(model: Model) -> None:
    relu = model.nodes[0].outputs[0]
    assert profile_rows(model, rows(4, 0, 2), [2], "").zeros[relu].mean == 0.75


def test_a_relu_is_assumed_to_make_zeros(model: Model) -> None:
    found = assumed(model)
    assert {i: each.mean for i, each in found.zeros.items()} == {model.nodes[0].outputs[0]: 0.4}
    assert found.rows == 0


def test_a_fused_relu_too() -> None:
    zeros = assumed(read_model(None)).zeros
    model = read_model(None)
    fused = [n for n in model.nodes if getattr(n.options, "activation", "") == "RELU"]
    assert {n.outputs[0] for n in fused} == set(zeros)
    assert fused


def profile_of(recipe: Recipe, destination: Destination | None = None) -> ProfileMeta:
    image = make_image(read_model(None), recipe, destination or Destination()).image
    assert image.meta.profile is not None
    return image.meta.profile


def test_where_the_zeros_come_from() -> None:
    """--profile first, then rows left over, at most 20; else assumed."""
    inputs = load_inputs(demo.data_path())
    left = Destination(inputs=inputs, rows=range(3, inputs.rows))
    assert profile_of(Recipe()).source == "assumed: 0.4 behind a ReLU"
    assert profile_of(Recipe(), left).source == "rows 3-22 of the inputs, which are not run"
    assert profile_of(Recipe(), Destination(inputs=inputs)).rows == 0
    data = demo.data_path()
    assert profile_of(Recipe(profile=data), left).source == f"rows 0-19 of {data.name}"
    some = Recipe(profile=data, profile_rows=parse_rows("5-9"))
    assert profile_of(some, left).source == f"rows 5-9 of {data.name}"
    assert profile_of(some, left).rows == 5
    assert profile_of(Recipe(skip_activations="off"), left).rows == 0


def test_deploy_leaves_out_the_rows_that_it_runs() -> None:
    image = image_for(None, Recipe(), Options(board="native", runs=7))
    assert image.meta.profile is not None
    assert image.meta.profile.source == "rows 7-26 of the inputs, which are not run"


def test_a_log_gives_what_its_rows_gave(tmp_path: Path) -> None:
    options = Options(board="native", runs=4, log=tmp_path / "log")
    document = deploy_model(None, Recipe("topk", 0.3), options, quiet=True)
    thinned = make_image(read_model(None), Recipe("topk", 0.3)).model
    found = profile_run(thinned, tmp_path / "log")
    expected = profile_rows(thinned, load_inputs(demo.data_path()), range(4), "")
    assert found.zeros.keys() == expected.zeros.keys()
    for index, zeros in found.zeros.items():
        assert (zeros.mean, zeros.spread) == (
            expected.zeros[index].mean,
            expected.zeros[index].spread,
        )
        assert zeros.pairs is None
    layer = document["layers"][0]
    share = layer["activation_zeros"] / layer["activations"]
    assert found.zeros[thinned.nodes[0].outputs[0]].mean == pytest.approx(share)
    with_log = Recipe("topk", 0.3, profile=tmp_path / "log")
    assert profile_of(with_log).rows == 4


def test_a_log_of_another_model_is_refused(tmp_path: Path, model: Model) -> None:
    deploy_model(None, Recipe(), Options(board="native", runs=1, log=tmp_path / "l"), quiet=True)
    with pytest.raises(UsageError, match="another model, digits"):
        profile_run(model, tmp_path / "l")
    with pytest.raises(UsageError, match="is for an .npz"):
        make_image(read_model(None), Recipe(profile=tmp_path / "l", profile_rows=(0, 1)))


@pytest.mark.parametrize("text", ["", "5", "9-5", "a-b", "-3", "1-"])
def test_rows_are_a_first_and_a_last(text: str) -> None:
    with pytest.raises(UsageError, match="FIRST-LAST"):
        parse_rows(text)


def test_rows_that_are_not_there_are_refused() -> None:
    recipe = Recipe(profile=demo.data_path(), profile_rows=(0, 10**6))
    with pytest.raises(UsageError, match="not up to 999999"):
        make_image(read_model(None), recipe)
