"""Compensation of small models whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.inputs import Inputs
from edgesparse.model import load_model, parse_model
from edgesparse.rows import device_rows
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import (
    Wanted,
    compensate,
    compensate_model,
    measure_sensitivity,
    share_out,
)
from edgesparse.sparsify.compensate.allocate import SHARES, allocate
from edgesparse.sparsify.compensate.layer import find_layers
from edgesparse.sparsify.compensate.plan import Task
from edgesparse.sparsify.policy import LayerRule, Policy
from tests.small_network import network, outputs_of, rows_for_network
from tests.tflite_builder import Builder


def dense_model(codes, scales=0.01, bias=None):
    """One FULLY_CONNECTED layer with the given int8 weights [units, columns]."""
    b = Builder()
    codes = np.asarray(codes, np.int8)
    x = b.input((1, codes.shape[1]), 0.5, -3)
    w = b.constant(codes, scales, name="w")
    biases = None if bias is None else b.bias(np.asarray(bias), x, w)
    b.output(b.fully_connected(x, w, biases, scale=1.0))
    return parse_model(b.finish(), name="m")


HALF = Rule("topk", (0.5,), compensate=True)


def test_a_weight_takes_over_what_its_twin_did():
    rng = np.random.default_rng(5)
    one = rng.integers(-128, 128, (500, 4)).astype(np.int8)
    x = np.repeat(one, 2, axis=1)  # every column twice
    model = dense_model([[30, 4, -50, -6, 7, 20, 1, 60]], bias=[11])
    rows = device_rows(model, Inputs((x,)), range(500))
    changed, (row,) = compensate_model(model, HALF, rows)
    codes = changed.tensors[1].data[0].reshape(4, 2)
    assert codes.sum(axis=1).tolist() == [34, -56, 27, 61]
    assert (codes == 0).sum(axis=1).tolist() == [1, 1, 1, 1]
    assert (row.weights, row.zeros_before, row.zeros_after, row.compensated) == (8, 0, 4, True)
    assert np.array_equal(outputs_of(changed, rows), outputs_of(model, rows))


def test_the_bias_takes_over_what_a_constant_input_did():
    x = np.random.default_rng(6).integers(-128, 128, (500, 2)).astype(np.int8)
    x[:, 1] = 40
    model = dense_model([[20, 9]], bias=[100])
    rows = device_rows(model, Inputs((x,)), range(500))
    changed, _ = compensate_model(model, HALF, rows)
    assert changed.tensors[1].data.tolist() == [[20, 0]]
    assert changed.tensors[2].data.tolist() == [100 + 9 * 43]  # 40 less the zero point -3


def test_one_scale_for_all_outputs_grows_where_codes_would_not_fit():
    one = np.random.default_rng(7).integers(-128, 128, (500, 3)).astype(np.int8)
    model = dense_model([[100, 90, 80, 100, 70, 100]], bias=[5])
    rows = device_rows(model, Inputs((np.repeat(one, 2, axis=1),)), range(500))
    changed = compensate(model, {1: Wanted(3)}, rows, repaired=False)
    weights, bias = changed.tensors[1], changed.tensors[2]
    factor = np.float32(1.6)  # the sums 190, 180 and 170 need 1.5
    assert weights.quantization.scales == (float(np.float32(0.01) * factor),)
    before = model.tensors[2].quantization.scales[0]
    assert bias.quantization.scales == (float(np.float32(before) * factor),)
    sums = weights.data.reshape(3, 2).astype(float).sum(axis=1) * 1.6
    assert sums == pytest.approx([190, 180, 170], abs=1.6)
    assert np.abs(outputs_of(changed, rows) - outputs_of(model, rows)).max() <= 1


def test_of_scales_by_output_only_those_grow_that_need_it():
    b = Builder()
    codes = np.array([[100, 90, 80, 100], [10, 9, 8, 10]], np.int8).reshape(2, 1, 1, 4)
    x = b.input((1, 4, 4, 4), 0.5, -3)
    w = b.constant(codes, [0.01, 0.02], 0)
    y = b.conv_2d(x, w, b.bias(np.array([5, 6]), x, w), scale=2.0)
    b.output(y)
    model = parse_model(b.finish(), name="m")
    one = np.random.default_rng(7).integers(-128, 128, (500, 4, 4, 2)).astype(np.int8)
    rows = device_rows(model, Inputs((np.repeat(one, 2, axis=3),)), range(500))
    changed = compensate(model, {w: Wanted(4)}, rows, repaired=False)
    assert find_layers(changed)[0].scales == pytest.approx([0.016, 0.02])
    assert np.abs(outputs_of(changed, rows) - outputs_of(model, rows)).max() <= 1


@pytest.mark.parametrize("allocation", [None, "weights"])
@pytest.mark.parametrize("sparsity", [0.3, 0.6])
def test_closer_than_thresholding_with_exactly_the_zeros_asked_for(sparsity, allocation):
    model = network()
    rows, others = rows_for_network(model), rows_for_network(model, seed=2)
    rule = Rule("topk", (sparsity,), compensate=True)
    shared = share_out(model, rows, sparsity) if allocation else rule
    changed, layers = compensate_model(model, shared, rows)
    weights = sum(layer.weights for layer in layers)
    assert [layer.node_index for layer in layers] == [0, 2, 3]
    assert weights == 216 + 432 + 864
    assert sum(layer.zeros_after for layer in layers) == pytest.approx(sparsity * weights, abs=1.5)
    plain, _ = sparsify(model, Rule("topk", (sparsity,)))
    dense = outputs_of(model, others)
    far, near = (((outputs_of(m, others) - dense) ** 2).mean() for m in (plain, changed))
    assert near < 0.7 * far


@pytest.mark.parametrize("granularity", ["element", "vector", "kernel", "filter", "1x3"])
def test_every_granularity_has_exactly_its_zeros(granularity):
    model = network()
    rows = rows_for_network(model)
    plain = Rule("topk", (0.5,), granularity)
    thin, before = sparsify(model, plain, depthwise=True)
    changed, after = compensate_model(model, replace(plain, compensate=True), rows, depthwise=True)
    assert [row.node_index for row in after] == [0, 1, 2, 3]
    assert [row.weights for row in after] == [row.weights for row in before]
    for layer, other in zip(find_layers(changed), find_layers(thin), strict=True):
        task = Task.of(changed, layer, granularity)
        assert task.zeros == Task.of(thin, other, granularity).zeros
        # Of the weights in other groups hardly one is zero.
        in_groups = [(row[m[m >= 0]] == 0).all() for row in layer.codes for m in task.members]
        sizes = [(m >= 0).sum() for _ in layer.codes for m in task.members]
        assert 0 <= layer.zeros - np.dot(in_groups, sizes) <= 0.02 * layer.size


def test_groups_keep_more_of_the_outputs_than_thresholding():
    model = network()
    rows, others = rows_for_network(model), rows_for_network(model, seed=2)
    dense = outputs_of(model, others)
    for granularity in ("kernel", "1x3"):
        rule = Rule("topk", (0.2,), granularity)
        plain, _ = sparsify(model, rule)
        changed, _ = compensate_model(model, replace(rule, compensate=True), rows)
        far, near = (((outputs_of(m, others) - dense) ** 2).mean() for m in (plain, changed))
        assert near < 0.5 * far


def test_searching_all_layers_together_comes_closer():
    model = network()
    rows = rows_for_network(model)
    wanted = share_out(model, rows, 0.7)
    dense = outputs_of(model, rows)
    far, near = (
        ((outputs_of(compensate(model, wanted, rows, repaired=how), rows) - dense) ** 2).mean()
        for how in (False, True)
    )
    assert near < 0.7 * far


def test_a_policy_compensates_where_it_says_so():
    model = network()
    rows = rows_for_network(model)
    names = [model.tensors[node.inputs[1]].name for node in model.nodes[:4]]
    plain, made_up = Rule("topk", (0.5,)), Rule("topk", (0.25,), "kernel", compensate=True)
    first, second = (
        LayerRule(f"{names[at][:-1]}[{names[at][-1]}]", rule)
        for at, rule in ((0, plain), (2, made_up))
    )
    policy = Policy((first, second))
    changed, found = compensate_model(model, policy, rows)
    assert [(row.node_index, row.compensated) for row in found] == [(0, False), (2, True)]
    thin, _ = sparsify(model, Policy((first,)))
    same = thin.tensors[thin.nodes[0].inputs[1]].data
    assert np.array_equal(changed.tensors[changed.nodes[0].inputs[1]].data, same)
    second = Task.of(changed, find_layers(changed)[2], "kernel")
    assert second.zeros == 12  # a quarter of 6 · 8 kernels
    untouched = model.nodes[3].inputs[1]
    assert np.array_equal(changed.tensors[untouched].data, model.tensors[untouched].data)
    with pytest.raises(UsageError, match="compensation needs calibration rows"):
        sparsify(model, policy)


def test_only_weights_and_biases_of_treated_layers_change():
    model = network()
    rows = rows_for_network(model)
    changed, _ = compensate_model(model, HALF, rows)
    treated = {i for at in (0, 2, 3) for i in model.nodes[at].inputs[1:]}
    for old, new in zip(model.tensors, changed.tensors, strict=True):
        assert (old.shape, old.dtype, old.name) == (new.shape, new.dtype, new.name)
        if old.index not in treated:
            assert old.quantization == new.quantization
            assert old.data is None or np.array_equal(old.data, new.data)
    for at in (0, 2, 3):
        codes = changed.tensors[changed.nodes[at].inputs[1]].data
        assert (codes >= -127).all()
    x = rows[model.inputs[0]][:4].reshape(4, 1, 6, 6, 3)
    reference = [out.reshape(-1).tolist() for (out,) in oracle.run(changed, x)]
    assert outputs_of(changed, {model.inputs[0]: rows[model.inputs[0]][:4]}).tolist() == reference


def test_the_same_again():
    model = network()
    rows = rows_for_network(model)
    curves = measure_sensitivity(model, rows)
    wanted = share_out(model, rows, 0.4)
    assert wanted == share_out(model, rows, 0.4, curves=curves)
    first, again = (compensate(model, wanted, rows) for _ in "ab")
    assert first.source == again.source


def test_nothing_asked_leaves_the_model_as_it_is():
    model = network()
    rows = rows_for_network(model)
    changed, layers = compensate_model(model, share_out(model, rows, 0.0), rows)
    assert changed is model
    assert [layer.zeros_after for layer in layers] == [layer.zeros_before for layer in layers]


def test_zeros_go_where_they_change_least():
    model = network()
    layers = [layer for layer in find_layers(model) if not layer.is_depthwise]
    tasks = [Task.of(model, layer, "element") for layer in layers]
    curves = np.outer([1e4, 1.0, 1e4], SHARES)
    zeros = allocate(model, tasks, curves, 0.25, count="weights")
    assert sum(zeros) == round(0.25 * 1512)
    assert zeros[1] >= 0.85 * 432
    # Counted as MACs the convolutions weigh 36 times as much as the dense layer.
    by_macs = allocate(model, tasks, curves, 0.25, count="macs")
    total = 36 * (216 + 432) + 864
    assert 36 * (by_macs[0] + by_macs[1]) + by_macs[2] >= 0.249 * total
    assert by_macs[1] > by_macs[0]
    # Of whole kernels, 9 weights each in the convolutions and 1 in the dense layer.
    tasks = [Task.of(model, layer, "kernel") for layer in layers]
    kernels = allocate(model, tasks, curves, 0.25, count="weights")
    assert 9 * (kernels[0] + kernels[1]) + kernels[2] == pytest.approx(0.25 * 1512, abs=4.5)


def two_dense_layers(b, bias_of):
    rng = np.random.default_rng(8)
    x = b.input((1, 12), 0.5)
    one, two = (b.constant(rng.integers(-90, 90, (12, 12)).astype(np.int8), 0.01) for _ in "ab")
    first, second = bias_of(x, one)
    y = b.fully_connected(x, one, first, scale=0.5)
    b.output(b.fully_connected(y, two, second, scale=0.5))
    model = parse_model(b.finish(), name="m")
    values = rng.integers(-128, 128, (80, 12)).astype(np.int8)
    return model, device_rows(model, Inputs((values,)), range(80)), (first, second)


def test_a_bias_that_two_layers_share_stays():
    b = Builder()

    def one_bias(x, weights):
        bias = b.bias(np.arange(12), x, weights)
        return bias, bias

    model, rows, (bias, _) = two_dense_layers(b, one_bias)
    changed, layers = compensate_model(model, Rule("topk", (0.3,), compensate=True), rows)
    assert changed.tensors[bias].data.tolist() == list(range(12))
    assert sum(layer.zeros_after for layer in layers) == 2 * round(0.3 * 144)


def test_biases_in_the_same_bytes_of_the_file_change_apart():
    b = Builder()

    def one_buffer(x, weights):
        first = b.bias(np.arange(12), x, weights)
        return first, b.constant(np.arange(12, dtype=np.int32), 0.005, share=first)

    model, rows, biases = two_dense_layers(b, one_buffer)
    assert model.sharers(biases[0])
    changed, _ = compensate_model(model, HALF, rows)
    one, two = (changed.tensors[bias].data.tolist() for bias in biases)
    assert one != two
    assert list(range(12)) not in (one, two)


def test_weights_that_two_layers_share_are_thresholded_alone():
    b = Builder()
    codes = np.random.default_rng(9).integers(1, 90, (4, 4)).astype(np.int8)
    x = b.input((1, 4), 0.5)
    w, v = b.constant(codes, 0.01), b.constant(codes[::-1].copy(), 0.01)
    y = b.fully_connected(b.fully_connected(x, w, scale=0.5), w, scale=0.5)
    b.output(b.fully_connected(y, v, scale=0.5))
    model = parse_model(b.finish(), name="m")
    rows = device_rows(model, Inputs((np.eye(40, 4, dtype=np.int8),)), range(40))
    changed, found = compensate_model(model, HALF, rows)
    assert [(row.node_index, row.compensated) for row in found] == [(0, False), (2, True)]
    thin, _ = sparsify(model, Rule("topk", (0.5,)))
    assert np.array_equal(changed.tensors[w].data, thin.tensors[w].data)
    assert list(share_out(model, rows, 0.5)) == [v]


# --- Refusals


def test_too_few_rows():
    model = network()
    with pytest.raises(UsageError, match="15 calibration rows are too few, at least 16"):
        compensate_model(model, HALF, rows_for_network(model, 15))
    with pytest.raises(UsageError, match="no calibration rows for input 'tensor_0'"):
        share_out(model, {}, 0.5)


@pytest.mark.parametrize("sparsity", [-0.1, 0.96, float("nan")])
def test_sparsity_outside_the_range(sparsity):
    model = network()
    with pytest.raises(UsageError, match=r"outside 0 \.\.\. 0\.95"):
        share_out(model, rows_for_network(model), sparsity)


def test_unknown_allocation():
    model = network()
    with pytest.raises(UsageError, match="'best', there are: weights, macs"):
        share_out(model, rows_for_network(model), 0.5, allocation="best")


def test_a_tensor_that_is_no_layers_weights():
    model = network()
    with pytest.raises(UsageError, match="tensor 0 is not the weights of a layer"):
        compensate(model, {0: Wanted(5)}, rows_for_network(model))


def test_a_model_without_such_layers():
    b = Builder()
    b.output(b.softmax(b.input((1, 4), 0.5)))
    model = parse_model(b.finish(), name="m")
    rows = device_rows(model, Inputs((np.zeros((20, 4), np.int8),)), range(20))
    with pytest.raises(UnsupportedModelError, match="no CONV_2D or FULLY_CONNECTED layer"):
        share_out(model, rows, 0.5)


def test_a_model_that_keeps_state(shared_models):
    model = load_model(shared_models / "mww2_vad" / "mww2_vad.tflite")
    with pytest.raises(UnsupportedModelError, match="keeps state cannot be compensated"):
        compensate_model(model, HALF, {})
