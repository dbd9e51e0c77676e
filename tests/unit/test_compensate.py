"""Compensation on small models whose answers are known."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from edgesparse import demo, oracle
from edgesparse.calibration import drawn
from edgesparse.cli import main
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import load_model, parse_model
from edgesparse.rows import device_rows, run_tensors
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import (
    Wanted,
    compensate,
    compensate_model,
    measure_sensitivity,
    share_out,
)
from edgesparse.sparsify.compensate.allocate import SHARES, _least_sum, allocate
from edgesparse.sparsify.compensate.augment import ENOUGH_ROWS, augmented
from edgesparse.sparsify.compensate.layer import find_layers, patches, positions_of
from edgesparse.sparsify.compensate.moments import Problem, problems_of
from edgesparse.sparsify.compensate.plan import Task
from edgesparse.sparsify.compensate.rounding import fill, round_codes
from edgesparse.sparsify.compensate.support import choose_support, least_squares
from edgesparse.sparsify.compensate.trace import Trace, trace
from edgesparse.sparsify.evaluate import agreement
from edgesparse.sparsify.policy import LayerRule, Policy
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


def random_problem(rows=3, taps=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, taps)) @ rng.normal(size=(taps, taps))
    best = rng.normal(0, 20, (rows, taps))
    hessian = x.T @ x / 50
    hessian += 0.01 * np.trace(hessian) / taps * np.eye(taps)
    return Problem(hessian, best, np.zeros(taps), np.zeros(rows))


def singles(taps):
    return np.arange(taps)[:, None]


def outputs_of(model, rows):
    return run_tensors(model, rows, model.outputs)[model.outputs[0]].astype(float)


# --- Steps


def test_the_trace_takes_the_cheapest_weight_and_its_costs_are_exact():
    problem = random_problem()
    inverse = np.linalg.inv(problem.hessian)
    found = trace(problem, singles(7))
    for row, best in enumerate(problem.best):
        assert found.order[row, 0] == np.argmin(best**2 / np.diag(inverse))
        assert sorted(found.order[row]) == list(range(7))
        for count in range(8):
            mask = np.ones((3, 7), bool)
            mask[row, found.order[row, :count]] = False
            loss = problem.losses(least_squares(problem, mask))[row]
            assert loss == pytest.approx(found.costs[row, :count].sum(), rel=1e-6, abs=1e-9)


def test_weights_that_go_in_blocks_cost_what_they_cost_one_by_one():
    problem = random_problem(rows=2, taps=200)
    found = trace(problem, singles(200))
    for row in range(2):
        assert sorted(found.order[row]) == list(range(200))
        mask = np.ones((2, 200), bool)
        mask[row, found.order[row, :101]] = False
        loss = problem.losses(least_squares(problem, mask))[row]
        assert loss == pytest.approx(found.costs[row, :101].sum(), rel=1e-5)


def test_rows_compete_by_cost_times_squared_scale():
    costs = np.array([[1.0, 2.0, 9.0], [0.3, 0.1, 0.7]])
    found = Trace(np.array([[0, 1, 2], [2, 1, 0]]), costs, singles(3))
    mask = choose_support(found, np.array([1.0, 2.0]), 3)
    # Real costs: 1, 2, 9 and 1.2, 1.2 (0.4 comes behind 1.2), 2.8.
    assert mask.tolist() == [[False, True, True], [True, False, False]]


def test_least_squares_is_the_minimum_on_the_support():
    problem = random_problem()
    mask = np.random.default_rng(2).random((3, 7)) < 0.5
    weights = least_squares(problem, mask)
    gradient = (weights - problem.best) @ problem.hessian
    assert np.abs(gradient[mask]).max() < 1e-6
    assert not weights[~mask].any()


def test_no_change_of_one_code_and_no_swap_is_left_that_helps():
    problem = random_problem(rows=1, taps=6)
    mask = np.array([[True, True, True, True, False, False]])
    codes = round_codes(problem, least_squares(problem, mask), mask, swaps=50)
    least = problem.losses(codes)[0]
    kept = np.flatnonzero(codes[0])
    for tap, change in itertools.product(kept, (-2, -1, 1, 2)):
        other = codes.copy()
        other[0, tap] += change
        assert problem.losses(other)[0] >= least - 1e-6
    for out, into in itertools.product(kept, np.flatnonzero(codes[0] == 0)):
        for code in range(-127, 128):
            other = codes.copy()
            other[0, [out, into]] = 0, code
            assert problem.losses(other)[0] >= least - 1e-6


def test_search_never_ends_above_plain_rounding_and_keeps_to_the_limits():
    problem = random_problem(rows=20, taps=30)
    mask = np.random.default_rng(3).random((20, 30)) < 0.4
    weights = least_squares(problem, mask)
    plain = np.clip(np.rint(weights), -127, 127)
    found = [round_codes(problem, weights, mask, swaps=swaps) for swaps in (0, 50)]
    losses = [problem.losses(codes) for codes in (plain, *found)]
    assert (losses[1] <= losses[0]).all()
    assert losses[2].sum() < losses[1].sum() < losses[0].sum()
    for codes in found:
        assert (np.count_nonzero(codes, axis=1) <= mask.sum(axis=1)).all()
        assert np.abs(codes).max() <= 127


def test_fill_gives_codes_back_until_the_count_is_right():
    problem = random_problem(rows=4, taps=10)
    found = fill(problem, np.zeros((4, 10)), np.ones(4), 25, np.ones((4, 10), bool))
    assert (found == 0).sum() == 25
    assert problem.losses(found).sum() < problem.losses(np.zeros((4, 10))).sum()


def test_the_sum_of_the_lines_is_least():
    rng = np.random.default_rng(4)
    lines = [np.cumsum(rng.random(5)) for _ in range(3)]
    parts = np.outer(np.arange(5) / 5, [0.5, 0.3, 0.2])
    points = _least_sum(lines, parts, 0.44)
    assert parts[points, range(3)].sum() >= 0.44 - 1e-9
    least = min(
        sum(line[p] for line, p in zip(lines, choice, strict=True))
        for choice in itertools.product(range(5), repeat=3)
        if parts[choice, range(3)].sum() >= 0.44 - 1e-9
    )
    assert sum(line[p] for line, p in zip(lines, points, strict=True)) == pytest.approx(least)


def test_products_of_patches_and_weights_are_the_accumulators():
    model = network()
    rows = rows_for_network(model, 3)
    layer = find_layers(model)[2]
    values = run_tensors(model, rows, [layer.source])[layer.source]
    chosen = np.arange(3 * positions_of(model, layer))
    accumulators = patches(model, layer, values, chosen) @ layer.codes.T + layer.bias
    scale = model.tensors[layer.source].affine()[0] * layer.scales
    expected = np.clip(np.rint(accumulators * scale / 1.5) - 128, -128, 127)
    out = layer.node.outputs[0]
    got = run_tensors(model, rows, [out])[out].reshape(-1, 6)
    assert np.abs(expected - got).max() <= 1  # rounding of halves
    assert (expected == got).mean() > 0.99


def test_a_depthwise_output_has_products_of_its_own():
    model = network()
    rows = rows_for_network(model, 3)
    layer = find_layers(model)[1]
    values = run_tensors(model, rows, [layer.source])[layer.source]
    windows = patches(model, layer, values, np.arange(3 * positions_of(model, layer)))
    assert windows.shape == (108, 9, 8)
    accumulators = np.einsum("nto,ot->no", windows, layer.codes) + layer.bias
    scale = model.tensors[layer.source].affine()[0] * layer.scales
    expected = np.clip(np.rint(accumulators * scale / 1.5) - 128, -128, 127)
    out = layer.node.outputs[0]
    got = run_tensors(model, rows, [out])[out].reshape(-1, 8)
    assert np.abs(expected - got).max() <= 1
    problems = problems_of(model, layer, values, values)
    assert len(problems) == 8
    for row, problem in enumerate(problems):  # nothing has changed: the weights are the best
        assert problem.best == pytest.approx(layer.codes[[row]], abs=1e-6)


def test_brain_surgery_of_two_weights_by_hand():
    # H = [[2, 1], [1, 1]], H^-1 = [[1, -1], [-1, 2]], w = [3, 2]: the costs are 9 / 1 and 4 / 2.
    # Without the second, the first moves by -2 / 2 * -1 = 1 to 4; alone it then costs 4² · 2.
    hessian = np.array([[2.0, 1.0], [1.0, 1.0]])
    problem = Problem(hessian, np.array([[3.0, 2.0]]), np.zeros(2), np.zeros(1))
    found = trace(problem, singles(2))
    assert found.order.tolist() == [[1, 0]]
    assert found.costs[0] == pytest.approx([2.0, 32.0])
    assert least_squares(problem, np.array([[True, False]]))[0] == pytest.approx([4.0, 0.0])


def test_few_rows_are_made_more_and_enough_rows_are_left_alone():
    model = network()
    rows = rows_for_network(model, 40)
    index = model.inputs[0]
    more = augmented(model, rows)
    assert more[index].shape == (ENOUGH_ROWS, 108)
    assert np.array_equal(more[index][:40], rows[index])
    made = more[index][40:].astype(float)
    assert len(np.unique(made, axis=0)) == len(made)
    assert made.std() == pytest.approx(rows[index].std(), rel=0.25)
    assert np.array_equal(more[index], augmented(model, rows)[index])
    enough = {index: np.zeros((ENOUGH_ROWS, 108), np.int8)}
    assert augmented(model, enough)[index] is enough[index]


def test_made_up_images_are_moved_as_a_whole():
    b = Builder()
    b.output(b.reshape(b.input((1, 24, 6, 1), 1.0), (1, 144)))
    model = parse_model(b.finish(), name="m")
    image = np.zeros((24, 6), np.int8)
    image[12] = 100  # a bar across, far from the edges
    rows = {model.inputs[0]: np.repeat(image.reshape(1, -1), 20, axis=0)}
    made = augmented(model, rows)[model.inputs[0]].reshape(-1, 24, 6)
    bars = made.mean(axis=2).argmax(axis=1)
    assert set(bars) == {10, 11, 12, 13, 14}  # up to a twelfth of 24; 6 is too short to be moved


def test_groups_go_whole_and_cost_what_they_cost():
    # Groups {0, 3}, {1, 4}, {2}: the last one is short.
    members = np.array([[0, 3], [1, 4], [2, -1]])
    problem = random_problem(rows=2, taps=5)
    found = trace(problem, members)
    for row in range(2):
        assert sorted(found.order[row]) == [0, 1, 2]
        alone = []
        for taps in members:
            mask = np.ones((2, 5), bool)
            mask[row, taps[taps >= 0]] = False
            alone.append(problem.losses(least_squares(problem, mask))[row])
        assert found.order[row, 0] == np.argmin(alone)
        for count in range(4):
            lost = members[found.order[row, :count]]
            mask = np.ones((2, 5), bool)
            mask[row, lost[lost >= 0]] = False
            loss = problem.losses(least_squares(problem, mask))[row]
            assert loss == pytest.approx(found.costs[row, :count].sum(), rel=1e-6, abs=1e-9)


# --- Whole models

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


# --- The bundled model, and the commands


def demo_rows(inputs, rows):
    return device_rows(load_model(demo.model_path()), inputs, rows)


def test_the_demo_agrees_with_itself_where_thresholding_does_not():
    model, inputs = load_model(demo.model_path()), load_inputs(demo.data_path())
    calibration = drawn(inputs)
    assert len(calibration.rows) == len(calibration.others) == 180
    rows = demo_rows(inputs, calibration.rows)
    rule = Rule("topk", (0.85,))
    plain, _ = sparsify(model, rule)
    changed, _ = compensate_model(model, replace(rule, compensate=True), rows)
    others = calibration.others
    before, after = (agreement(thin, model, inputs, others).share for thin in (plain, changed))
    assert after >= before + 0.1
    assert after >= 0.95


def write_case(folder, labels=True):
    model = network()
    (folder / "m.tflite").write_bytes(model.source)
    x = rows_for_network(model, 60)[model.inputs[0]]
    y = {"y": outputs_of(model, {model.inputs[0]: x}).argmax(axis=1)} if labels else {}
    np.savez(folder / "d.npz", x=x, **y)
    data = str(folder / "d.npz")
    return ["sparsify", str(folder / "m.tflite"), "--compensate", "--calibration", data]


def test_the_command_writes_a_model_and_tells_its_accuracy(tmp_path, capsys):
    command = [*write_case(tmp_path), "-o", str(tmp_path / "o.tflite"), "-s", "0.5"]
    assert main([*command, "--calibration-rows", "0-39"]) == 0
    told = capsys.readouterr().out
    assert "compensated on 40 rows" in told
    assert "of 20 other rows" in told
    assert "before 100.0 ± 0.0 %" in told
    layers = find_layers(load_model(tmp_path / "o.tflite"))
    assert sum(layer.zeros for layer in layers if not layer.is_depthwise) == 756


def test_the_command_without_labels_or_other_rows(tmp_path, capsys):
    command = [*write_case(tmp_path, labels=False), "-m", "topk", "-s", "0.2"]
    assert main([*command, "--calibration-rows", "0-59", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["calibration"] == {"rows": 60, "agreement": None, "accuracy": None}
    assert [row["compensated"] for row in document["layers"]] == [True, False, True, True]
    assert main([*command, "--calibration-rows", "0-60"]) == 2
    assert "has rows 0-59, not up to 60" in capsys.readouterr().err


def test_options_that_do_not_belong_together(tmp_path, capsys):
    case = write_case(tmp_path)
    assert main([*case[:3], "-s", "0.5"]) == 2
    assert "compensation needs input rows" in capsys.readouterr().err
    assert main([*case, "-m", "topk", "-s", "0.5", "--allocation", "macs"]) == 2
    assert "--allocation shares out --sparsity" in capsys.readouterr().err
    assert main([*case[:3], "-s", "0.5", "--calibration-rows", "0-9"]) == 2
    assert "--calibration-rows needs --calibration" in capsys.readouterr().err


def test_deploy_calibrates_on_the_rows_that_it_does_not_run(tmp_path, capsys):
    case = write_case(tmp_path)
    command = ["deploy", case[1], "--board", "native", "--inputs", str(tmp_path / "d.npz")]
    command += ["--log", str(tmp_path / "log"), "--json", "-m", "topk", "-s", "0.5", "--compensate"]
    assert main([*command, "--runs", "20"]) == 0
    found = json.loads(capsys.readouterr().out)["sparsify"]["layers"]
    assert [row["compensated"] for row in found] == [True, True, True]
    assert [row["zeros_after"] for row in found] == [108, 216, 432]
    assert main([*command, "--runs", "60"]) == 2
    assert "compensation needs input rows" in capsys.readouterr().err


def test_half_of_the_rows_are_drawn_with_the_same_classes():
    labels = np.tile(np.arange(10), 20)  # every other row would have half of the classes
    inputs = Inputs((np.zeros((200, 1), np.int8),), labels)
    found = drawn(inputs)
    assert np.bincount(labels[list(found.rows)]).tolist() == [10] * 10
    assert sorted([*found.rows, *found.others]) == list(range(200))
    among = drawn(inputs, among=range(50, 90))
    assert among.rows == tuple(range(50, 90))
    many = drawn(Inputs((np.zeros((4000, 1), np.int8),)))
    assert len(many.rows) == 500
