"""Operators with gradients, and the search of all layers together."""

from dataclasses import dataclass

import numpy as np
import pytest

from edgesparse.inputs import Inputs
from edgesparse.model import parse_model, with_weights
from edgesparse.rows import device_rows, logits_of, run_tensors
from edgesparse.sparsify.compensate.layer import find_layers
from edgesparse.sparsify.compensate.repair import _Network, repair
from edgesparse.sparsify.compensate.steps import Weighted, step_of
from tests.tflite_builder import Builder

RNG = np.random.default_rng(0)


def weights(b, shape, axis):
    codes = RNG.integers(-90, 90, shape).astype(np.int8)
    return b.constant(codes, list(RNG.uniform(0.005, 0.02, shape[axis])), axis)


def convolution(b, **options):
    x = b.input((1, 7, 6, 3), 0.5, 7)
    w = weights(b, (5, 3, 2, 3), 0)
    return b.conv_2d(x, w, b.bias(RNG.integers(-99, 99, 5), x, w), scale=1.5, **options)


def depthwise(b, **options):
    x = b.input((1, 7, 6, 3), 0.5, 7)
    w = weights(b, (1, 3, 2, 6), 3)
    bias = b.bias(RNG.integers(-99, 99, 6), x, w)
    return b.depthwise_conv_2d(x, w, bias, scale=0.5, depth_multiplier=2, **options)


def connected(b):
    x = b.input((1, 3, 8), 0.5, -9)
    w = b.constant(RNG.integers(-90, 90, (5, 8)).astype(np.int8), 0.01)
    return b.fully_connected(x, w, b.bias(RNG.integers(-99, 99, 5), x, w), scale=0.7)


def added(b):
    x = b.input((1, 4, 4, 3), 0.5, 7)
    return b.add(x, b.input((1, 4, 4, 3), 0.25, -7), scale=0.9, zero_point=3)


def averaged(b):
    x = b.input((1, 7, 6, 3), 0.5, 7)
    return b.average_pool_2d(x, (3, 2), stride=(2, 2), padding="SAME")


def mean(b):
    return b.mean(b.input((1, 5, 6, 3), 0.5, 7), (1, 2), keep_dims=False, scale=0.2)


def reshaped(b):
    return b.reshape(b.input((1, 4, 6), 0.5, 7), (1, 24))


CASES = [
    convolution,
    lambda b: convolution(b, padding="VALID", stride=(2, 1), activation="RELU"),
    lambda b: convolution(b, dilation=(2, 2), zero_point=5),
    depthwise,
    lambda b: depthwise(b, padding="VALID", stride=(2, 2), activation="RELU6"),
    connected,
    added,
    averaged,
    mean,
    reshaped,
]


def one_operator(make):
    b = Builder()
    b.output(make(b))
    model = parse_model(b.finish(), name="m")
    x = tuple(
        RNG.integers(-128, 128, (6, *model.tensors[index].shape)).astype(np.int8)
        for index in model.inputs
    )
    return model, device_rows(model, Inputs(x), range(6))


def real(model, index, codes):
    return codes.astype(np.float32) - model.tensors[index].affine()[1]


@pytest.mark.parametrize("make", CASES)
def test_results_are_those_of_the_kernels_but_for_halves(make):
    model, rows = one_operator(make)
    node = model.nodes[0]
    inputs = [real(model, index, rows[index]) for index in model.inputs]
    got = step_of(model, node).forward(inputs)
    out = node.outputs[0]
    expected = real(model, out, run_tensors(model, rows, [out])[out])
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1
    # Means of a few integers are halves more often than other sums.
    assert (got == expected).mean() > (0.8 if make in (averaged, mean) else 0.97)


@dataclass
class Unrounded:
    """In the place of rounding and clipping, so that an operator is linear."""

    def forward(self, values):
        return values

    def backward(self, gradient):
        return gradient


@pytest.mark.parametrize("make", CASES)
def test_gradients_are_those_of_small_changes(make):
    model, rows = one_operator(make)
    step = step_of(model, model.nodes[0])
    if hasattr(step, "requantised"):
        step.requantised = Unrounded()
    inputs = [real(model, index, rows[index]) for index in model.inputs]
    changes = [RNG.normal(size=values.shape).astype(np.float32) for values in inputs]
    changed = step.forward([x + dx for x, dx in zip(inputs, changes, strict=True)])
    before = step.forward(inputs)
    toward = RNG.normal(size=before.shape).astype(np.float32)
    if isinstance(step, Weighted):
        step.is_searched = True
    back = step.backward(toward)
    expected = float(((changed - before) * toward).sum())
    got = sum(float((dx * each).sum()) for dx, each in zip(changes, back, strict=True))
    assert got == pytest.approx(expected, rel=1e-3, abs=1e-2)
    if isinstance(step, Weighted):
        of_weights = RNG.normal(size=step.weights.shape).astype(np.float32)
        of_bias = RNG.normal(size=step.bias.shape).astype(np.float32)
        got = float(
            (of_weights * step.weights_gradient).sum() + (of_bias * step.bias_gradient).sum()
        )
        step.weights, step.bias = step.weights + of_weights, step.bias + of_bias
        expected = float(((step.forward(inputs) - before) * toward).sum())
        assert got == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_clipped_results_pass_nothing_back():
    b = Builder()
    x = b.input((1, 1), 1.0)
    w = b.constant(np.array([[1]], np.int8), 1.0)
    b.output(b.fully_connected(x, w, scale=1.0, activation="RELU"))
    model = parse_model(b.finish(), name="m")
    step = step_of(model, model.nodes[0])
    values = np.array([[-5.0], [0.0], [7.0]], np.float32)
    assert step.forward([values]).tolist() == [[0.0], [0.0], [7.0]]
    (back,) = step.backward(np.ones((3, 1), np.float32))
    assert back.tolist() == [[0.0], [1.0], [1.0]]


def test_the_search_goes_back_as_far_as_gradients_are_known():
    b = Builder()
    x = b.input((1, 8), 0.5)
    tensors = []
    for operator in ("dense", "logistic", "dense", "dense"):
        if operator == "logistic":
            x = b.unary("LOGISTIC", x, scale=1 / 256, zero_point=-128)
            continue
        w = b.constant(RNG.integers(-90, 90, (8, 8)).astype(np.int8), 0.01)
        tensors.append(w)
        x = b.fully_connected(x, w, b.bias(np.zeros(8), x, w), scale=0.05)
    b.output(x)
    model = parse_model(b.finish(), name="m")
    net = _Network(model)
    assert sorted(net.steps) == [2, 3]
    assert net.sources == [model.nodes[1].outputs[0]]
    values = RNG.integers(-128, 128, (64, 8)).astype(np.int8)
    rows = device_rows(model, Inputs((values,)), range(64))
    first, second, third = (model.tensors[w].data.copy() for w in tensors)
    second[:, 0] = 0  # what the layer has lost
    thin = with_weights(model, {tensors[1]: second})
    changed = repair(thin, model, find_layers(thin), rows, progress=lambda _: None)
    assert np.array_equal(changed.tensors[tensors[0]].data, first)
    assert not np.array_equal(changed.tensors[tensors[2]].data, third)
    assert np.array_equal(changed.tensors[tensors[1]].data == 0, second == 0)
    out = model.outputs[0]
    dense, far, near = (
        run_tensors(m, rows, [out])[out].astype(float) for m in (model, thin, changed)
    )
    assert ((near - dense) ** 2).mean() < 0.5 * ((far - dense) ** 2).mean()


def test_every_output_comes_closer_and_without_a_softmax_its_constant_too():
    b = Builder()
    x = b.input((1, 8), 0.5)
    trunk = b.constant(RNG.integers(-90, 90, (8, 8)).astype(np.int8), 0.01)
    y = b.fully_connected(x, trunk, b.bias(np.zeros(8), x, trunk), scale=3.0)
    for _ in range(2):
        head = b.constant(RNG.integers(-90, 90, (3, 8)).astype(np.int8), 0.01)
        b.output(b.fully_connected(y, head, b.bias(np.zeros(3), y, head), scale=6.0))
    model = parse_model(b.finish(), name="m")
    assert logits_of(model) == dict.fromkeys(model.outputs, False)
    values = RNG.integers(-128, 128, (64, 8)).astype(np.int8)
    rows = device_rows(model, Inputs((values,)), range(64))
    # 2.5 codes too much on each output of the trunk, which is a constant on those of the heads.
    thin = with_weights(model, {model.nodes[0].inputs[2]: np.full(8, 1500, np.int32)})
    changed = repair(thin, model, find_layers(thin), rows, progress=lambda _: None)
    dense, far, near = (run_tensors(m, rows, model.outputs) for m in (model, thin, changed))
    for out in model.outputs:
        before, after = (found[out].astype(float) - dense[out] for found in (far, near))
        assert (after**2).mean() < 0.5 * (before**2).mean()
        assert abs(after.mean()) < 0.1


@pytest.mark.parametrize("are_alike", [True, False])
def test_rows_held_back_decide_whether_anything_changes(are_alike):
    b = Builder()
    x = b.input((1, 2), 0.5)
    w = b.constant(np.array([[50, 50], [40, -40]], np.int8), 0.01)
    b.output(b.fully_connected(x, w, b.bias(np.zeros(2), x, w), scale=2.0))
    model = parse_model(b.finish(), name="m")
    values = np.repeat(RNG.integers(-128, 128, (200, 1)), 2, axis=1).astype(np.int8)
    if not are_alike:
        values[2::5, 1] = 0  # without the input whose weights are lost nothing is wrong
    rows = device_rows(model, Inputs((values,)), range(200))
    codes = np.array([[50, 0], [40, 0]], np.int8)
    thin = with_weights(model, {w: codes})
    changed = repair(thin, model, find_layers(thin), rows, progress=lambda _: None)
    found = changed.tensors[w].data
    assert np.array_equal(found == 0, codes == 0)
    if are_alike:  # the first input takes over what the second one did
        assert found[0, 0] > 60
        assert found[1, 0] < 30
    else:
        assert changed is thin
