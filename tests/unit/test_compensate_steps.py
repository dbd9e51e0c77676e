"""Compensation step by step: trace, support, least squares, rounding, allocation."""

import itertools

import numpy as np
import pytest

from edgesparse.model import parse_model
from edgesparse.rows import run_tensors
from edgesparse.sparsify.compensate.allocate import _least_sum
from edgesparse.sparsify.compensate.augment import ENOUGH_ROWS, augmented
from edgesparse.sparsify.compensate.layer import find_layers, patches, positions_of
from edgesparse.sparsify.compensate.moments import Problem, problems_of
from edgesparse.sparsify.compensate.rounding import fill, round_codes
from edgesparse.sparsify.compensate.support import choose_support, least_squares
from edgesparse.sparsify.compensate.trace import Trace, trace
from tests.small_network import network, rows_for_network
from tests.tflite_builder import Builder


def random_problem(rows=3, taps=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, taps)) @ rng.normal(size=(taps, taps))
    best = rng.normal(0, 20, (rows, taps))
    hessian = x.T @ x / 50
    hessian += 0.01 * np.trace(hessian) / taps * np.eye(taps)
    return Problem(hessian, best, np.zeros(taps), np.zeros(rows))


def singles(taps):
    return np.arange(taps)[:, None]


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
