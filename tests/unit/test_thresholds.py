"""Activation thresholds: which layers, how many codes, and what follows from them on the host."""

from dataclasses import replace

import numpy as np
import pytest

from edgesparse import demo, oracle
from edgesparse.activations import profile_rows
from edgesparse.encode import encode
from edgesparse.errors import UsageError
from edgesparse.image import build_image
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import parse_model
from edgesparse.pipeline import Recipe, convert_model, make_image, read_model
from edgesparse.rows import device_rows, run_tensors
from edgesparse.sparsify import ActivationRule, load_policy
from edgesparse.thresholds import apply_threshold, codes_of, with_thresholds
from edgesparse.validate import validate_model
from tests.tflite_builder import Builder


def branched_model():
    """Convolutions a and b; b goes through PAD into c and into an ADD, and c into a mean."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input((1, 4, 4, 2), 0.5, 3, name="x")
    filters = [
        b.constant(rng.integers(-99, 99, (2, 3, 3, 2)).astype(np.int8), [0.01] * 2) for _ in "abc"
    ]
    first = b.conv_2d(x, filters[0], b.bias([1, 2], x, filters[0]), scale=0.2, zero_point=-128)
    second = b.conv_2d(first, filters[1], b.bias([1, 2], first, filters[1]), scale=0.3)
    padded = b.pad(second, [(0, 0), (1, 1), (1, 1), (0, 0)])
    third = b.conv_2d(padded, filters[2], b.bias([1, 2], padded, filters[2]), scale=0.3)
    total = b.add(first, first, scale=0.4, zero_point=-5)
    names = {first: "a/Relu;z", second: "b", third: "c", total: "total"}
    for index, name in names.items():
        b.tensors[index].name = name
    b.output(third, total)
    return parse_model(b.finish(), name="m"), {name[:1]: index for index, name in names.items()}


def test_a_fraction_is_of_the_greatest_magnitude():
    tensor = branched_model()[0].tensors[0]
    for fraction, zero_point, codes in (
        (0.05, -128, 12), (0.05, 127, 12), (0.05, 0, 6), (0.5, -128, 127), (0.1, -127, 25),
        (0.29, -28, 44), (0.2, -128, 51), (0.001, 0, 0),
    ):  # fmt: skip
        quantization = replace(tensor.quantization, zero_points=(zero_point,))
        assert codes_of(fraction, replace(tensor, quantization=quantization)) == codes


def test_layers_that_a_skipping_operator_reads_have_it():
    model, at = branched_model()
    assert with_thresholds(model, 0.1).thresholds == {at["a"]: 25, at["b"]: 12}
    assert with_thresholds(model).thresholds == {}


def test_rules_stand_in_the_place_of_the_fraction_and_the_first_wins():
    model, at = branched_model()
    rules = [ActivationRule("b", 0.0), ActivationRule("tota", 0.5), ActivationRule("*", 0.25)]
    assert with_thresholds(model, 0.1, rules).thresholds == {
        at["t"]: 66, at["a"]: 63, at["c"]: 32,
    }  # fmt: skip


def test_what_cannot_be_is_refused():
    model, _ = branched_model()
    with pytest.raises(UsageError, match=r"0\.6 is outside 0 \.\.\. 0\.5"):
        with_thresholds(model, 0.6)
    with pytest.raises(UsageError, match="outside"):
        Recipe(activation_threshold=-0.1)
    with pytest.raises(UsageError, match="matches no layer that computes int8") as refused:
        with_thresholds(model, rules=[ActivationRule("totl", 0.1)])
    assert refused.value.hint == "did you mean 'total'?"
    with pytest.raises(UsageError, match="only layers that earlier rules take"):
        with_thresholds(model, rules=[ActivationRule("*", 0.1), ActivationRule("a/Relu", 0.1)])


def test_a_policy_has_them_too(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('[[activation]]\nmatch = "b"\nthreshold = 0.25\n')
    model, at = branched_model()
    made = make_image(model, Recipe(policy=load_policy(path), activation_threshold=0.1))
    assert made.model.thresholds == {at["a"]: 25, at["b"]: 32}
    assert [layer.activation_threshold for layer in made.image.meta.layers] == [25, 32, 0, 0, 0]
    path.write_text('[[activation]]\nmatch = "b"\nthreshold = 0.75\n')
    with pytest.raises(UsageError, match="activation 1: threshold"):
        load_policy(path)


def test_every_tensor_follows_from_cut_ones():
    model, _ = branched_model()
    cut = with_thresholds(model, 0.3)
    x = np.random.default_rng(1).integers(-128, 128, (30, 1, 4, 4, 2)).astype(np.int8)
    wanted = [index for node in model.nodes for index in node.outputs]
    found = run_tensors(cut, device_rows(cut, Inputs((x,)), range(30)), wanted)
    plain = oracle.run_layers(model, x[0])
    for row, layers in enumerate(oracle.each_with_layers(cut, x)):
        for index in wanted:
            assert np.array_equal(found[index][row], layers[index].reshape(-1))
    first = model.nodes[0].outputs[0]
    assert np.array_equal(
        found[first][0], apply_threshold(plain[first], -128, cut.thresholds[first]).reshape(-1)
    )
    assert not np.array_equal(found[model.outputs[0]][0], plain[model.outputs[0]].reshape(-1))


def test_a_constant_channel_is_cut_like_the_others():
    """A dead filter's constant lies near the zero point, so that its channel becomes that."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 5, 5, 2), 0.5, 3)
    dead = rng.integers(-99, 99, (8, 1, 1, 2)).astype(np.int8)
    dead[:4] = 0
    w = b.constant(dead, [0.01] * 8)
    y = b.conv_2d(x, w, b.bias([400] * 8, x, w), scale=0.2, zero_point=-128)
    v = b.constant(rng.integers(-99, 99, (4, 1, 1, 8)).astype(np.int8), [0.01] * 4)
    b.output(b.conv_2d(y, v, b.bias([1, 2, 3, 4], y, v), scale=0.1))
    model = with_thresholds(parse_model(b.finish(), name="m"), 0.1)
    image = build_image(encode(model))
    (narrowed,) = image.meta.narrowed
    assert dict(narrowed.constants) == dict.fromkeys(range(4), -128)
    x = rng.integers(-128, 128, (3, 1, 5, 5, 2)).astype(np.int8)
    found = run_tensors(model, device_rows(model, Inputs((x,)), range(3)), model.outputs)
    for row, (reference,) in enumerate(oracle.run(model, x)):
        assert np.array_equal(found[model.outputs[0]][row], reference.reshape(-1))


def test_profiles_expect_the_zeros_that_are_made():
    inputs = load_inputs(demo.data_path())
    shares = []
    for fraction in (0.0, 0.2):
        model = with_thresholds(read_model(None), fraction)
        shares.append(profile_rows(model, inputs, range(5), "rows").zeros)
    first = read_model(None).nodes[0].outputs[0]
    assert shares[0][first].mean + 0.1 < shares[1][first].mean


def test_validate_compares_with_the_reference_cut():
    recipe = Recipe(activation_threshold=0.1)
    document = validate_model(None, recipe, board="native", inputs=None, rows=2, timeout_s=60.0)
    assert (document["difference"], document["layers_compared"]) == (None, 14)


def test_without_thresholds_nothing_changes():
    plain, _ = convert_model(read_model(None), Recipe())
    none, _ = convert_model(read_model(None), Recipe(activation_threshold=0.0))
    assert plain.data == none.data
    assert not any(tensor["threshold"] for tensor in plain.tensors)
