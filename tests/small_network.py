"""A small network with layers of every kind that compensation treats, and rows for it."""

import numpy as np

from edgesparse.inputs import Inputs
from edgesparse.model import parse_model
from edgesparse.rows import device_rows, run_tensors
from tests.tflite_builder import Builder


def network():
    """Two convolutions with a depthwise one between, and a dense layer, all with biases."""
    rng = np.random.default_rng(0)
    b = Builder()
    y = b.input((1, 6, 6, 3), 0.5, 7)
    for kind, shape, axis in (
        ("conv_2d", (8, 3, 3, 3), 0),
        ("depthwise_conv_2d", (1, 3, 3, 8), 3),
        ("conv_2d", (6, 3, 3, 8), 0),
    ):
        w = b.constant(rng.integers(-90, 90, shape).astype(np.int8), [0.01] * shape[axis], axis)
        bias = b.bias(rng.integers(-99, 99, shape[axis]), y, w)
        y = getattr(b, kind)(y, w, bias, scale=1.5, zero_point=-128, activation="RELU")
    w = b.constant(rng.integers(-90, 90, (4, 216)).astype(np.int8), 0.01)
    b.output(b.fully_connected(y, w, b.bias(rng.integers(-99, 99, 4), y, w), scale=4.0))
    return parse_model(b.finish(), name="m")


def rows_for_network(model, count=64, seed=1):
    """Images of smooth noise: neighbouring values are alike, as in real ones."""
    noise = np.random.default_rng(seed).normal(0, 40, (count, 8, 8, 3))
    smooth = sum(noise[:, i : i + 6, j : j + 6] for i in range(3) for j in range(3)) / 3
    x = np.clip(smooth, -128, 127).astype(np.int8)
    return device_rows(model, Inputs((x,)), range(count))


def outputs_of(model, rows):
    return run_tensors(model, rows, model.outputs)[model.outputs[0]].astype(float)
