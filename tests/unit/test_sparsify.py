import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.model import load_model, parse_model
from edgesparse.ops import check_supported, weight_index
from edgesparse.sparsify import METHOD_NAMES, LayerSparsity, rule_of, sparsify
from edgesparse.sparsify.layer import magnitudes
from edgesparse.sparsify.threshold import METHODS
from tests.tflite_builder import Builder


def by(method, sparsity):
    """The rule of --method and --sparsity."""
    return rule_of(method, sparsity, (), "element")


def dense_model(codes, scales=1.0):
    """One FULLY_CONNECTED layer with the given int8 weights [units, columns]."""
    b = Builder()
    codes = np.asarray(codes, np.int8)
    x = b.input((1, codes.shape[1]), 0.5)
    b.output(b.fully_connected(x, b.constant(codes, scales, name="w"), scale=1.0))
    return parse_model(b.finish(), name="m")


def weights_after(codes, method, sparsity, scales=1.0):
    model, (row,) = sparsify(dense_model(codes, scales), by(method, sparsity))
    return model.tensors[1].data.tolist(), row


def mixed_model():
    """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED in a row."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input((1, 4, 4, 2), 0.5, 3)
    shapes = {"conv": (3, 3, 3, 2), "depthwise": (1, 3, 3, 3), "dense": (5, 48)}
    conv, depthwise, dense = (
        b.constant(rng.integers(1, 127, shape).astype(np.int8), [0.1] * count, axis, name=name)
        for (name, shape), count, axis in zip(shapes.items(), (3, 3, 1), (0, 3, 0), strict=True)
    )
    y = b.conv_2d(x, conv, b.bias([1, 2, 3], x, conv), scale=2.0)
    y = b.depthwise_conv_2d(y, depthwise, b.bias([1, 2, 3], y, depthwise), scale=4.0)
    b.output(b.fully_connected(y, dense, scale=8.0))
    return parse_model(b.finish(), name="m")


# --- relative


def test_relative_zeroes_at_or_below_the_kth_smallest_ties_included():
    codes, row = weights_after([[5, -2, 2, 1], [-1, 7, -8, 2]], "relative", 3 / 8)
    assert codes == [[5, 0, 0, 0], [0, 7, -8, 0]]  # the third smallest is a 2: all three go
    assert row == LayerSparsity(0, "w", 8, 0, 5, 2.0, "relative", "element")
    assert row.share == 5 / 8


def test_relative_counts_weights_that_are_zero_already():
    codes, row = weights_after([[0, 0, 3, -1]], "relative", 0.5)
    assert codes == [[0, 0, 3, -1]]
    assert (row.zeros_before, row.zeros_after, row.threshold) == (2, 2, 0.0)


def test_relative_compares_real_magnitudes_across_channels():
    codes, row = weights_after([[10, 4], [3, -2]], "relative", 0.5, scales=[0.25, 1.0])
    assert codes == [[10, 0], [3, 0]]  # 2.5, 1 and 3, 2
    assert row.threshold == 2.0
    codes, _ = weights_after([[10, 4], [3, -2]], "relative", 0.5)
    assert codes == [[10, 4], [0, 0]]


def test_the_smallest_code_has_the_largest_magnitude():
    assert weights_after([[-128, 127]], "relative", 0.5)[0] == [[-128, 0]]


# --- topk


def test_topk_zeroes_exactly_k_ties_by_index():
    codes, row = weights_after([[5, -2, 2, 1], [-1, 7, -8, 2]], "topk", 3 / 8)
    assert codes == [[5, 0, 2, 0], [0, 7, -8, 2]]
    assert row == LayerSparsity(0, "w", 8, 0, 3, 2.0, "topk", "element")


def test_topk_counts_zeros_first():
    assert weights_after([[3, 1, 0, 2]], "topk", 0.5)[0] == [[3, 0, 0, 2]]


def test_topk_never_brings_weights_back():
    codes, row = weights_after([[0, 0, 0, 2]], "topk", 0.5)
    assert codes == [[0, 0, 0, 2]]
    assert row.zeros_after == 3


def test_topk_reaches_the_share_on_random_weights():
    rng = np.random.default_rng(1)
    codes = rng.integers(-128, 128, (20, 50)).astype(np.int8)
    for sparsity in (0.1, 0.5, 0.77, 0.999):
        _, row = weights_after(codes, "topk", sparsity)
        assert row.zeros_after == round(sparsity * 1000)


# --- k


@pytest.mark.parametrize("method", ["relative", "topk"])
@pytest.mark.parametrize(
    ("sparsity", "zeros"),
    [
        (0.0, 0),
        (0.1249, 0),
        (0.125, 0),
        (0.1251, 1),
        (0.25, 1),
        (0.3749, 1),
        (0.375, 2),
        (0.625, 2),
        (1.0, 4),
    ],
)
def test_k_is_rounded_as_python_rounds(method, sparsity, zeros):
    assert weights_after([[4, 3, 2, 1]], method, sparsity)[1].zeros_after == zeros


def test_nothing_asked_leaves_the_model_as_it_is():
    model = dense_model([[1, 2, 3, 4]])
    for method, sparsity in (("relative", 0.0), ("topk", 0.1), ("none", 0.0)):
        same, (row,) = sparsify(model, by(method, sparsity))
        assert same is model
        assert (row.zeros_after, row.threshold) == (0, 0.0)


def test_methods():
    assert tuple(METHODS) == METHOD_NAMES


# --- Which layers


def test_depthwise_layers_only_when_asked():
    model = mixed_model()
    changed, rows = sparsify(model, by("topk", 0.5))
    assert [(row.node_index, row.name, row.weights) for row in rows] == [
        (0, "conv", 54),
        (2, "dense", 240),
    ]
    assert [row.zeros_after for row in rows] == [27, 120]
    by_name = {tensor.name: tensor for tensor in changed.tensors}
    assert np.count_nonzero(by_name["depthwise"].data) == 27
    _, rows = sparsify(model, by("topk", 0.5), depthwise=True)
    assert [(row.name, row.zeros_after) for row in rows] == [
        ("conv", 27),
        ("depthwise", 14),  # 13.5, half up
        ("dense", 120),
    ]


def test_depthwise_magnitudes_follow_the_last_axis():
    b = Builder()
    x = b.input((1, 1, 1, 2), 0.5)
    w = b.constant(np.array([10, 10], np.int8).reshape(1, 1, 1, 2), [1.0, 0.5], 3)
    b.output(b.depthwise_conv_2d(x, w, scale=1.0))
    model = parse_model(b.finish(), name="m")
    assert magnitudes(model.tensors[w]).ravel().tolist() == [10.0, 5.0]
    changed, _ = sparsify(model, by("relative", 0.5), depthwise=True)
    assert changed.tensors[w].data.ravel().tolist() == [10, 0]


def test_weights_of_two_nodes_are_treated_once():
    b = Builder()
    x = b.input((1, 2), 0.5)
    w = b.constant(np.array([[1, 2], [3, 4]], np.int8), 1.0, name="w")
    b.output(b.fully_connected(b.fully_connected(x, w, scale=1.0), w, scale=1.0))
    changed, rows = sparsify(parse_model(b.finish(), name="m"), by("topk", 0.5))
    assert [(row.node_index, row.zeros_after) for row in rows] == [(0, 2)]
    assert changed.tensors[w].data.tolist() == [[0, 0], [3, 4]]


def test_two_tensors_in_the_same_bytes_get_their_own():
    b = Builder()
    x = b.input((1, 2), 0.5)
    w = b.constant(np.array([[1, 2], [3, 4]], np.int8), [1.0, 1.0], name="w")
    v = b.constant(np.array([[1, 2], [3, 4]], np.int8), [9.0, 1.0], name="v", share=w)
    y = b.fully_connected(b.fully_connected(x, w, scale=1.0), v, scale=1.0)
    b.output(y)
    model = parse_model(b.finish(), name="m")
    changed, _ = sparsify(model, by("topk", 0.5))
    assert changed.tensors[w].data.tolist() == [[0, 0], [3, 4]]
    assert changed.tensors[v].data.tolist() == [[1, 2], [0, 0]]  # 9, 18 and 3, 4
    assert changed.sharers(w) == ()


# --- Refusals


@pytest.mark.parametrize("sparsity", [-0.01, 1.01, float("nan"), float("inf")])
def test_sparsity_outside_the_range(sparsity):
    with pytest.raises(UsageError, match=r"outside 0 \.\.\. 1"):
        sparsify(dense_model([[1]]), by("none", sparsity))


def test_unknown_method():
    with pytest.raises(
        UsageError, match="'magic', there are: none, relative, topk, flat, triangular, threshold"
    ):
        sparsify(dense_model([[1]]), by("magic", 0.5))


def test_unsupported_models_are_refused():
    model = dense_model([[1, 2]], scales=[-1.0])
    with pytest.raises(UnsupportedModelError, match="scales must be finite"):
        sparsify(model, by("topk", 0.5))


# --- Real models


@pytest.mark.parametrize("name", ["ds_cnn_kws", "lenet_300_100", "person_detect"])
def test_real_models(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    changed, rows = sparsify(model, by("relative", 0.5))
    check_supported(changed)
    assert len(rows) == sum(node.op in ("CONV_2D", "FULLY_CONNECTED") for node in model.nodes)
    for row in rows:
        index = weight_index(model.nodes[row.node_index])
        before, after = model.tensors[index].data, changed.tensors[index].data
        kept = after != 0
        assert np.array_equal(after[kept], before[kept])
        assert after.size - np.count_nonzero(after) == row.zeros_after >= row.weights // 2
        assert magnitudes(model.tensors[index])[kept].min(initial=np.inf) > row.threshold
    untouched = {weight_index(model.nodes[row.node_index]) for row in rows}
    for old, new in zip(model.tensors, changed.tensors, strict=True):
        if old.is_constant and old.index not in untouched:
            assert np.array_equal(old.data, new.data)


def test_the_oracle_runs_a_sparsified_model(shared_models):
    model = load_model(shared_models / "lenet_300_100" / "lenet_300_100.tflite")
    data = np.load(shared_models / "lenet_300_100" / "data.npz")
    x = data["x"].astype(np.float32) * data["x_scale"] - data["x_mean"]
    changed, _ = sparsify(model, by("relative", 0.5))
    predicted = [int(output.argmax()) for (output,) in oracle.run(changed, x)]
    assert np.mean(predicted == data["y"]) > 0.95
