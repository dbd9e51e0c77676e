"""Which channels are constant, which of them need not exist, and what stands in their place."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from edgesparse.encode import encode
from edgesparse.encode.narrow import Narrowed, narrow
from edgesparse.image import Image, build_image
from edgesparse.model import Model, parse_model
from edgesparse.telemetry.setup import Setup
from tests.devices import run_native
from tests.scripted import summarize
from tests.tflite_builder import Builder

CHANNELS = 8
DEAD = [1, 2, 4, 6]
"""Filters of zeros; biases 10 times their number become constants of that size."""


class Net:
    """Two operators or more: a 1x1 convolution with dead filters, and what is added behind it."""

    def __init__(self, zero_point: int = 0) -> None:
        self.b = Builder()
        self.x = self.b.input((1, 4, 4, CHANNELS), 1.0)
        self.first = self.convolve(self.x, zero_point=zero_point, dead=DEAD)

    def convolve(
        self,
        x: int,
        side: int = 1,
        *,
        zero_point: int = 0,
        dead: list[int] | None = None,
        unread: list[int] | None = None,
        padding: str = "SAME",
    ) -> int:
        """Eight filters; output = bias = 10 times the row where there are no weights."""
        weights = np.ones((CHANNELS, side, side, self.b.tensors[x].shape[3]), np.int8)
        weights[dead or []] = 0
        weights[..., unread or []] = 0
        w = self.b.constant(weights, 1.0)
        bias = self.b.bias(10 * np.arange(CHANNELS), x, w)
        return self.b.conv_2d(x, w, bias, zero_point=zero_point, padding=padding)

    def depthwise(self, x: int, *, dead: list[int] | None = None, padding: str = "SAME") -> int:
        weights = np.ones((1, 3, 3, CHANNELS), np.int8)
        weights[..., dead or []] = 0
        return self.b.depthwise_conv_2d(x, self.b.constant(weights, 1.0, axis=3), padding=padding)

    def model(self, *outputs: int) -> Model:
        self.b.output(*outputs)
        return parse_model(self.b.finish(), name="net")


def constants(narrowed: Narrowed, tensor: int) -> dict[int, int]:
    """The channels left out that have one value at all places."""
    found = narrowed.narrowings[tensor].constants
    return {i: int(values[0, 0]) for i, values in found.items() if values.size == 1}


def test_dead_filters_go_into_the_biases_behind_them() -> None:
    net = Net(zero_point=5)
    last = net.convolve(net.first)
    narrowed = narrow(net.model(last))
    assert constants(narrowed, net.first) == {i: 10 * i + 5 for i in DEAD}
    assert narrowed.narrowings[net.first].kept == (0, 3, 5, 7)
    assert narrowed.model.tensors[net.first].shape == (1, 4, 4, 4)
    assert last not in narrowed.narrowings
    first, second = narrowed.model.nodes
    assert narrowed.model.tensors[first.inputs[1]].shape == (4, 1, 1, 8)
    assert narrowed.model.tensors[first.inputs[2]].data.tolist() == [0, 30, 50, 70]
    assert narrowed.model.tensors[second.inputs[1]].shape == (8, 1, 1, 4)
    added = 10 * sum(DEAD)
    assert narrowed.model.tensors[second.inputs[2]].data.tolist() == [
        10 * i + added for i in range(CHANNELS)
    ]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_constant_beside_padding_gives_classes(padding: str) -> None:
    net = Net()
    narrowed = narrow(net.model(net.convolve(net.first, 3, padding=padding)))
    assert constants(narrowed, net.first) == {i: 10 * i for i in DEAD}
    node = narrowed.model.nodes[1]
    biases = narrowed.model.tensors[node.inputs[2]].data
    added = 10 * sum(DEAD)  # a tap; 4 at a corner, 6 at an edge, 9 inside
    if padding == "VALID":
        assert len(node.inputs) == 3
        assert biases.tolist() == [10 * i + 9 * added for i in range(CHANNELS)]
        return
    amounts, positions = (narrowed.model.tensors[index].data for index in node.inputs[3:])
    taps = (biases - 10 * np.arange(CHANNELS) + amounts) // added
    assert (taps == taps[:, :1]).all()
    corner, edge, inside = [4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6]
    assert taps[positions, 0].reshape(4, 4).tolist() == [corner, edge, inside, corner]


@pytest.mark.parametrize("pays", [False, True])
def test_classes_that_do_not_pay_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    """64 rows with amounts for one channel, which each of them meets with one tap."""
    if pays:
        drop = importlib.import_module("edgesparse.encode.narrow.drop")
        monkeypatch.setattr(drop, "pays", lambda *_: True)
    net = Net()
    filters = np.ones((CHANNELS, 1, 1, CHANNELS), np.int8)
    filters[DEAD] = 0
    w = net.b.constant(filters, 1.0)
    bias = np.zeros(CHANNELS)
    bias[DEAD[0]] = 5
    y = net.b.conv_2d(net.x, w, net.b.bias(bias, net.x, w))
    wide = np.ones((64, 3, 3, CHANNELS), np.int8)
    wide[..., DEAD[0]] = 0
    wide[:, 0, 0, DEAD[0]] = 1
    v = net.b.constant(wide, 1.0)
    z = net.b.conv_2d(y, v, net.b.bias(np.zeros(64), y, v))
    assert (y in narrow(net.model(z)).narrowings) is pays


def test_the_zero_point_beside_padding_is_not() -> None:
    net = Net()
    relu = net.b.unary("RELU", net.first, scale=20.0, zero_point=-7)  # 10 / 20 rounds to 1
    weights = np.ones((CHANNELS, 3, 3, CHANNELS), np.int8)
    w = net.b.constant(weights, 1.0)
    clipped = net.b.unary("RELU", net.first, scale=200.0, zero_point=-7)  # all to the zero point
    y = net.b.conv_2d(clipped, w, net.b.bias(np.zeros(CHANNELS), clipped, w))
    z = net.b.conv_2d(relu, w, net.b.bias(np.zeros(CHANNELS), relu, w), padding="VALID")
    narrowed = narrow(net.model(y, z))
    assert constants(narrowed, clipped) == dict.fromkeys(DEAD, -7)
    assert constants(narrowed, relu) == {i: -7 + round(i / 2 + 0.01) for i in DEAD}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_depthwise_convolutions_hand_constants_on(padding: str) -> None:
    net = Net()
    middle = net.depthwise(net.first, padding=padding)
    narrowed = narrow(net.model(net.convolve(middle)))
    found = narrowed.narrowings[middle].constants
    assert list(found) == DEAD
    for i, values in found.items():
        along = np.array([3]) if padding == "VALID" else np.array([2, 3, 3, 2])
        expected = np.minimum(10 * i * np.outer(along, along), 127)
        np.testing.assert_array_equal(np.broadcast_to(values, expected.shape), expected)
    weights = narrowed.model.nodes[1].inputs[1]
    assert narrowed.model.tensors[weights].shape == (1, 3, 3, 4)


def test_a_dead_depthwise_filter_takes_its_producer_along() -> None:
    net = Net()
    live = net.convolve(net.first)
    middle = net.depthwise(live, dead=[0, 3, 5, 7])
    narrowed = narrow(net.model(net.convolve(middle)))
    assert constants(narrowed, middle) == dict.fromkeys([0, 3, 5, 7], 0)
    assert narrowed.narrowings[live].kept == (1, 2, 4, 6)
    assert constants(narrowed, live) == {}  # nobody reads them, and nobody knows them


def test_what_nobody_reads_goes_with_all_that_makes_it() -> None:
    net = Net()
    second = net.convolve(net.first)
    third = net.depthwise(second)
    last = net.convolve(third, 3, unread=[0, 1, 2, 3])
    narrowed = narrow(net.model(last))
    for tensor in (second, third):
        assert narrowed.narrowings[tensor].kept == (4, 5, 6, 7)


def test_two_readers_must_agree() -> None:
    net = Net()
    second = net.convolve(net.first)
    y = net.convolve(second, unread=[0, 1, 2, 3])
    z = net.convolve(second, unread=[2, 3, 4, 5, 6, 7])
    narrowed = narrow(net.model(y, z))
    assert narrowed.narrowings.keys() == {net.first}


def test_sums_have_the_channels_of_both_operands() -> None:
    net = Net()
    second, third = net.convolve(net.first), net.convolve(net.first)
    total = net.b.add(second, third)
    last = net.convolve(total, unread=[0, 1, 2, 3])
    narrowed = narrow(net.model(last))
    for tensor in (second, third, total):
        assert narrowed.narrowings[tensor].kept == (4, 5, 6, 7)


def test_a_sum_with_the_input_keeps_all() -> None:
    net = Net()
    total = net.b.add(net.first, net.x)
    assert not narrow(net.model(net.convolve(total, unread=[0, 1, 2, 3]))).narrowings


def test_a_reshape_repeats_channels() -> None:
    net = Net(zero_point=5)
    flat = net.b.reshape(net.first, (1, 16 * CHANNELS))
    w = net.b.constant(np.ones((2, 16 * CHANNELS), np.int8), 1.0)
    last = net.b.fully_connected(flat, w, net.b.bias(np.array([1, 2]), flat, w))
    narrowed = narrow(net.model(last))
    assert narrowed.model.tensors[flat].shape == (1, 64)
    assert constants(narrowed, flat)[CHANNELS * 15 + 6] == 65
    bias = narrowed.model.nodes[2].inputs[2]
    assert narrowed.model.tensors[bias].data.tolist() == [1 + 16 * 130, 2 + 16 * 130]


def test_outputs_keep_all_channels() -> None:
    net = Net()
    assert not narrow(net.model(net.first, net.convolve(net.first))).narrowings


def test_a_width_that_is_a_multiple_of_four_stays_one() -> None:
    net = Net()
    second = net.convolve(net.first, dead=[0, 1, 2])
    narrowed = narrow(net.model(net.convolve(second)))
    assert second not in narrowed.narrowings
    net = Net()
    second = net.convolve(net.first, dead=list(range(CHANNELS)))
    narrowed = narrow(net.model(net.convolve(second)))
    assert len(narrowed.narrowings[second].kept) == 4


def built(*, keep_dead: bool) -> Image:
    net = Net(zero_point=5)
    return build_image(encode(net.model(net.convolve(net.first)), keep_dead=keep_dead))


def test_the_report_counts_what_the_device_leaves_out() -> None:
    """Elements, zeros and MACs are those of the whole layer; MACs done are the device's."""
    rows = [np.random.default_rng(3).integers(-3, 4, (2, 1, 4, 4, CHANNELS)).astype(np.int8)]
    documents = []
    for keep_dead in (False, True):
        image = built(keep_dead=keep_dead)
        runs = run_native(image, rows)
        setup = Setup.prepare(
            board="native", meta=image.meta, image=b"", arena_bytes=image.arena_bytes,
            inputs=None, rows=[values.reshape(2, -1) for values in rows], runs=2,
        )  # fmt: skip
        documents.append(summarize(setup, None, runs))
    narrow_layers, whole_layers = (document["layers"] for document in documents)
    for ours, theirs in zip(narrow_layers, whole_layers, strict=True):
        for key in ("macs", "weights", "weight_zeros", "activations", "activation_zeros"):
            assert ours[key] == theirs[key]
    assert [layer["macs_done"] for layer in narrow_layers] == [16 * 4 * 8, 16 * 8 * 4]
    assert narrow_layers[0]["activations"] == 16 * CHANNELS


def test_a_convolution_keeps_everything_when_told_to() -> None:
    assert built(keep_dead=True).meta.narrowed == ()
    (narrowed,) = built(keep_dead=False).meta.narrowed
    assert narrowed.constants == tuple((i, 10 * i + 5) for i in DEAD)
