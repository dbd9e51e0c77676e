"""Groups of weights, their norms, and what goes when they are thinned together."""

import math

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.errors import UsageError
from edgesparse.model import load_model, parse_model, save_model
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.granularity import group_ids, group_norms, group_shape
from tests.tflite_builder import Builder


def conv_model(codes, scales):
    """One CONV_2D with int8 weights [O, H, W, I] on an input of 4 x 4."""
    b = Builder()
    codes = np.asarray(codes, np.int8)
    x = b.input((1, 4, 4, codes.shape[3]), 0.5)
    w = b.constant(codes, scales, name="w")
    b.output(b.conv_2d(x, w, b.bias([0] * len(codes), x, w), scale=1.0))
    return parse_model(b.finish(), name="m")


def weights_of(model):
    return next(tensor for tensor in model.tensors if tensor.name == "w")


# --- Groups


def test_groups_of_a_convolution():
    ids = {
        name: group_ids("CONV_2D", (2, 2, 3, 4), name)
        for name in ("element", "vector", "kernel", "filter", "1x4", "1x2", "1x3")
    }
    assert {name: int(each.max()) + 1 for name, each in ids.items()} == {
        "element": 48,
        "vector": 16,  # 2 filters, 2 rows, 4 channels
        "kernel": 8,  # 2 filters, 4 channels
        "filter": 2,
        "1x4": 12,  # 2 filters, 6 places
        "1x2": 24,
        "1x3": 24,  # the second of each place holds one channel
    }
    assert ids["vector"][1, 0, :, 2].tolist() == [10, 10, 10]
    assert ids["kernel"][1, :, :, 3].tolist() == [[7, 7, 7], [7, 7, 7]]
    assert ids["1x2"][0, 0, 1].tolist() == [2, 2, 3, 3]
    assert ids["1x3"][0, 0, 1].tolist() == [2, 2, 2, 3]
    assert (ids["filter"] == np.arange(2).reshape(2, 1, 1, 1)).all()


def test_groups_of_depthwise_filters_have_one_input_channel():
    shape = (1, 2, 2, 3)
    assert group_ids("DEPTHWISE_CONV_2D", shape, "filter")[0, 1, 1].tolist() == [0, 1, 2]
    assert group_ids("DEPTHWISE_CONV_2D", shape, "kernel").max() == 2
    # Rows of W = 2 weights; numbers follow the first weight's position in the tensor.
    vectors = group_ids("DEPTHWISE_CONV_2D", shape, "vector")[0]
    assert vectors.tolist() == [[[0, 1, 2], [0, 1, 2]], [[3, 4, 5], [3, 4, 5]]]
    assert np.array_equal(
        group_ids("DEPTHWISE_CONV_2D", shape, "1x4"),
        group_ids("DEPTHWISE_CONV_2D", shape, "element"),
    )


def test_groups_of_a_matrix():
    assert group_ids("FULLY_CONNECTED", (2, 5), "1x4").tolist() == [[0] * 4 + [1], [2] * 4 + [3]]
    assert group_ids("FULLY_CONNECTED", (2, 5), "filter").tolist() == [[0] * 5, [1] * 5]
    assert group_ids("FULLY_CONNECTED", (2, 2), "kernel").tolist() == [[0, 1], [2, 3]]
    assert group_ids("FULLY_CONNECTED", (2, 2), "1x1").tolist() == [[0, 1], [2, 3]]


def test_a_group_is_no_larger_than_its_filter():
    assert group_shape("1x4", (3, 3, 2)) == (1, 1, 2)
    assert group_shape("vector", (3, 5, 2)) == (1, 5, 1)


@pytest.mark.parametrize(("name", "meant"), [("filtr", "filter"), ("1x", "1x4"), ("1X4", "1x4")])
def test_unknown_granularities_get_a_suggestion(name, meant):
    with pytest.raises(UsageError, match=f"unknown granularity '{name}'") as caught:
        Rule("topk", (0.5,), name)
    assert caught.value.hint == f"did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["1x0", "2x4", "", "1x04"])
def test_granularities_that_there_are_not(name):
    with pytest.raises(UsageError, match="there are: element, vector, kernel, filter, 1xN"):
        group_shape(name, (1, 1, 1))


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize("granularity", ["element", "vector", "kernel", "filter", "1x2", "1x4"])
def test_groups_by_a_slow_definition(op, granularity):
    """Two weights are together exactly if their coordinates, cut down to the group's, agree."""
    shape = {
        "CONV_2D": (3, 2, 3, 5),
        "DEPTHWISE_CONV_2D": (1, 2, 3, 5),
        "FULLY_CONNECTED": (3, 7),
    }[op]
    named = {}
    for place in np.ndindex(shape):
        if op == "CONV_2D":
            o, h, w, i = place
        elif op == "DEPTHWISE_CONV_2D":
            i, h, w, o = place
        else:
            o, i, h, w = *place, 0, 0
        named[place] = {
            "element": (o, h, w, i),
            "vector": (o, h, i),
            "kernel": (o, i),
            "filter": (o,),
            "1x2": (o, h, w, i // 2),
            "1x4": (o, h, w, i // 4),
        }[granularity]
    order = {group: number for number, group in enumerate(dict.fromkeys(named.values()))}
    ids = group_ids(op, shape, granularity)
    assert {place: int(ids[place]) for place in named} == {
        place: order[group] for place, group in named.items()
    }


# --- Norms


def test_norm_is_the_root_of_the_mean_square_in_real_units():
    model = conv_model([[[[3, 4]]], [[[6, -8]]]], [0.5, 0.125])
    tensor = weights_of(model)
    ids = group_ids("CONV_2D", tensor.shape, "filter")
    # 0.5 · sqrt((9 + 16) / 2) and 0.125 · sqrt((36 + 64) / 2)
    norms = group_norms("CONV_2D", tensor, ids)
    assert norms.tolist() == [0.5 * math.sqrt(12.5), 0.125 * math.sqrt(50)]
    elements = group_norms("CONV_2D", tensor, group_ids("CONV_2D", tensor.shape, "element"))
    assert elements.tolist() == [1.5, 2.0, 0.75, 1.0]


def test_short_groups_compare_by_weight():
    # Groups (2, 2, 2) and (3): a sum would take the single 3 as smaller than sqrt(12).
    model, _ = sparsify(conv_model([[[[2, 2, 2, 3]]]], 1.0), Rule("topk", (0.5,), "1x3"))
    assert weights_of(model).data.tolist() == [[[[0, 0, 0, 3]]]]


def test_depthwise_norms_take_the_scale_of_their_channel():
    b = Builder()
    x = b.input((1, 2, 2, 2), 0.5)
    codes = np.array([3, 3, 4, 4, 0, 0, 0, 0], np.int8).reshape(1, 2, 2, 2)
    w = b.constant(codes, [1.0, 0.25], 3, name="w")
    b.output(b.depthwise_conv_2d(x, w, scale=1.0, padding="VALID"))
    tensor = weights_of(parse_model(b.finish(), name="m"))
    ids = group_ids("DEPTHWISE_CONV_2D", tensor.shape, "filter")
    assert group_norms("DEPTHWISE_CONV_2D", tensor, ids).tolist() == [2.5, 0.625]


# --- Thinning


def test_whole_groups_go_and_count():
    codes = [[[[1, 1, 9, 1], [5, 5, 5, 5]]], [[[2, 2, 2, 2], [0, 0, 0, 8]]]]
    model, (row,) = sparsify(conv_model(codes, [1.0, 1.0]), Rule("topk", (0.5,), "1x4"))
    # Mean squares 21, 25, 4 and 16: half of four groups are the last two.
    assert weights_of(model).data.tolist() == [
        [[[1, 1, 9, 1], [5, 5, 5, 5]]],
        [[[0, 0, 0, 0], [0, 0, 0, 0]]],
    ]
    assert (row.weights, row.zeros_before, row.zeros_after) == (16, 3, 8)
    assert (row.threshold, row.granularity) == (4.0, "1x4")


def test_ties_between_groups():
    codes = [[[[3, 4], [4, 3], [5, 0], [9, 9]]]]
    topk, _ = sparsify(conv_model(codes, 1.0), Rule("topk", (0.5,), "1x2"))
    assert weights_of(topk).data.tolist() == [[[[0, 0], [0, 0], [5, 0], [9, 9]]]]
    relative, _ = sparsify(conv_model(codes, 1.0), Rule("relative", (0.25,), "1x2"))
    assert weights_of(relative).data.tolist() == [[[[0, 0], [0, 0], [0, 0], [9, 9]]]]


def test_a_threshold_means_a_magnitude_at_every_granularity():
    codes = [[[[3, 4], [1, 7]]]]  # roots of mean squares 3.54 and 5
    for granularity, expected in (
        ("element", [[[[0, 4], [0, 7]]]]),
        ("1x2", [[[[0, 0], [1, 7]]]]),
        ("filter", [[[[3, 4], [1, 7]]]]),  # 4.33
    ):
        model, _ = sparsify(conv_model(codes, 1.0), Rule("threshold", (3.6,), granularity))
        assert weights_of(model).data.tolist() == expected


@pytest.mark.parametrize("granularity", ["vector", "kernel", "filter", "1x4"])
def test_the_oracle_loads_what_was_saved(shared_models, tmp_path, granularity):
    folder = shared_models / "resnet8_cifar10"
    model = load_model(folder / "resnet8_cifar10.tflite")
    changed, rows = sparsify(model, Rule("topk", (0.3,), granularity))
    save_model(changed, tmp_path / "out.tflite")
    again = load_model(tmp_path / "out.tflite")
    (output,) = oracle.run(again, np.load(folder / "data.npz")["x"][:1])[0]
    assert output.shape == (1, 10)
    for row in rows:
        data = again.tensors[again.nodes[row.node_index].inputs[1]].data
        op = again.nodes[row.node_index].op
        ids = group_ids(op, data.shape, granularity).reshape(-1)
        alive = np.bincount(ids, weights=data.reshape(-1) != 0) > 0
        assert np.count_nonzero(~alive) >= round(0.3 * alive.size)
        assert np.count_nonzero(data == 0) == row.zeros_after
