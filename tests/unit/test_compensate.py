"""Compensation on small models whose answers are known."""

import itertools

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.cli import main
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.inputs import Inputs
from edgesparse.model import load_model, parse_model
from edgesparse.rows import device_rows, run_tensors
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import compensate, measure_sensitivity
from edgesparse.sparsify.compensate.allocate import SHARES, _least_sum, allocate
from edgesparse.sparsify.compensate.layer import find_layers, patches, positions_of
from edgesparse.sparsify.compensate.moments import Problem
from edgesparse.sparsify.compensate.rounding import fill, round_codes
from edgesparse.sparsify.compensate.support import choose_support, least_squares
from edgesparse.sparsify.compensate.trace import Trace, trace
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


def outputs_of(model, rows):
    return run_tensors(model, rows, model.outputs)[model.outputs[0]].astype(float)


# --- Steps


def test_the_trace_takes_the_cheapest_weight_and_its_costs_are_exact():
    problem = random_problem()
    inverse = np.linalg.inv(problem.hessian)
    found = trace(problem)
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
    found = trace(problem)
    for row in range(2):
        assert sorted(found.order[row]) == list(range(200))
        mask = np.ones((2, 200), bool)
        mask[row, found.order[row, :101]] = False
        loss = problem.losses(least_squares(problem, mask))[row]
        assert loss == pytest.approx(found.costs[row, :101].sum(), rel=1e-5)


def test_rows_compete_by_cost_times_squared_scale():
    found = Trace(np.array([[0, 1, 2], [2, 1, 0]]), np.array([[1.0, 2.0, 9.0], [0.3, 0.1, 0.7]]))
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
    found = fill(problem, np.zeros((4, 10)), np.ones(4), 25)
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
    layer = find_layers(model)[1]
    values = run_tensors(model, rows, [layer.source])[layer.source]
    chosen = np.arange(3 * positions_of(model, layer))
    accumulators = patches(model, layer, values, chosen) @ layer.codes.T + layer.bias
    scale = model.tensors[layer.source].affine()[0] * layer.scales
    expected = np.clip(np.rint(accumulators * scale / 1.5) - 128, -128, 127)
    out = layer.node.outputs[0]
    got = run_tensors(model, rows, [out])[out].reshape(-1, 6)
    assert np.abs(expected - got).max() <= 1  # rounding of halves
    assert (expected == got).mean() > 0.99


# --- Whole models


def test_a_weight_takes_over_what_its_twin_did():
    rng = np.random.default_rng(5)
    one = rng.integers(-128, 128, (200, 4)).astype(np.int8)
    x = np.repeat(one, 2, axis=1)  # every column twice
    model = dense_model([[30, 4, -50, -6, 7, 20, 1, 60]], bias=[11])
    rows = device_rows(model, Inputs((x,)), range(200))
    changed, (row,) = compensate(model, rows, sparsity=0.5)
    codes = changed.tensors[1].data[0].reshape(4, 2)
    assert codes.sum(axis=1).tolist() == [34, -56, 27, 61]
    assert (codes == 0).sum(axis=1).tolist() == [1, 1, 1, 1]
    assert (row.weights, row.zeros_before, row.zeros_after, row.factor) == (8, 0, 4, 1.0)
    assert np.array_equal(outputs_of(changed, rows), outputs_of(model, rows))


def test_the_bias_takes_over_what_a_constant_input_did():
    x = np.random.default_rng(6).integers(-128, 128, (100, 2)).astype(np.int8)
    x[:, 1] = 40
    model = dense_model([[20, 9]], bias=[100])
    rows = device_rows(model, Inputs((x,)), range(100))
    changed, _ = compensate(model, rows, sparsity=0.5)
    assert changed.tensors[1].data.tolist() == [[20, 0]]
    assert changed.tensors[2].data.tolist() == [100 + 9 * 43]  # 40 less the zero point -3


def test_one_scale_for_all_outputs_grows_where_codes_would_not_fit():
    one = np.random.default_rng(7).integers(-128, 128, (300, 3)).astype(np.int8)
    model = dense_model([[100, 90, 80, 100, 70, 100]], bias=[5])
    rows = device_rows(model, Inputs((np.repeat(one, 2, axis=1),)), range(300))
    changed, (row,) = compensate(model, rows, sparsity=0.5)
    assert row.factor == 1.6  # the sums 190, 180 and 170 need 1.5
    weights, bias = changed.tensors[1], changed.tensors[2]
    factor = np.float32(1.6)
    assert weights.quantization.scales == (float(np.float32(0.01) * factor),)
    before = model.tensors[2].quantization.scales[0]
    assert bias.quantization.scales == (float(np.float32(before) * factor),)
    sums = weights.data.reshape(3, 2).astype(float).sum(axis=1) * 1.6
    assert sums == pytest.approx([190, 180, 170], abs=1.6)
    assert np.abs(outputs_of(changed, rows) - outputs_of(model, rows)).max() <= 1


@pytest.mark.parametrize("allocation", ["weights", "uniform"])
@pytest.mark.parametrize("sparsity", [0.3, 0.6])
def test_closer_than_thresholding_with_exactly_the_zeros_asked_for(sparsity, allocation):
    model = network()
    rows, others = rows_for_network(model), rows_for_network(model, seed=2)
    changed, layers = compensate(model, rows, sparsity=sparsity, allocation=allocation)
    weights = sum(layer.weights for layer in layers)
    assert [layer.node_index for layer in layers] == [0, 2, 3]
    assert weights == 216 + 432 + 864
    assert sum(layer.zeros_after for layer in layers) == round(sparsity * weights)
    plain, _ = sparsify(model, Rule("topk", (sparsity,)))
    dense = outputs_of(model, others)
    far, near = (((outputs_of(m, others) - dense) ** 2).mean() for m in (plain, changed))
    assert near < 0.7 * far


def test_only_weights_and_biases_of_treated_layers_change():
    model = network()
    rows = rows_for_network(model)
    changed, layers = compensate(model, rows, sparsity=0.5, allocation="uniform")
    assert all(layer.factor == 1.0 for layer in layers[:2])
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
    first = compensate(model, rows, sparsity=0.4)
    again = compensate(model, rows, sparsity=0.4, curves=curves)
    assert first[0].source == again[0].source
    assert first[1] == again[1]


def test_nothing_asked_leaves_the_model_as_it_is():
    model = network()
    changed, layers = compensate(model, rows_for_network(model), sparsity=0.0)
    assert changed is model
    assert [layer.zeros_after for layer in layers] == [layer.zeros_before for layer in layers]


def test_zeros_go_where_they_change_least():
    model = network()
    layers = find_layers(model)
    curves = np.outer([1e4, 1.0, 1e4], SHARES)
    zeros = allocate(model, layers, curves, 0.25, count="weights")
    assert sum(zeros) == round(0.25 * 1512)
    assert zeros[1] >= 0.85 * 432
    # Counted as MACs the convolutions weigh 36 times as much as the dense layer.
    by_macs = allocate(model, layers, curves, 0.25, count="macs")
    total = 36 * (216 + 432) + 864
    assert 36 * (by_macs[0] + by_macs[1]) + by_macs[2] >= 0.249 * total
    assert by_macs[1] > by_macs[0]


def test_a_bias_that_two_layers_share_stays():
    b = Builder()
    rng = np.random.default_rng(8)
    x = b.input((1, 12), 0.5)
    one, two = (b.constant(rng.integers(-90, 90, (12, 12)).astype(np.int8), 0.01) for _ in "ab")
    bias = b.bias(np.arange(12), x, one)
    y = b.fully_connected(x, one, bias, scale=0.5)
    b.output(b.fully_connected(y, two, bias, scale=0.5))
    model = parse_model(b.finish(), name="m")
    values = rng.integers(-128, 128, (80, 12)).astype(np.int8)
    rows = device_rows(model, Inputs((values,)), range(80))
    changed, layers = compensate(model, rows, sparsity=0.3)
    assert changed.tensors[bias].data.tolist() == list(range(12))
    assert sum(layer.zeros_after for layer in layers) == round(0.3 * 288)
    assert [layer.factor for layer in layers] == [1.0, 1.0]


def test_weights_that_two_layers_share_stay():
    b = Builder()
    codes = np.random.default_rng(9).integers(1, 90, (4, 4)).astype(np.int8)
    x = b.input((1, 4), 0.5)
    w, v = b.constant(codes, 0.01), b.constant(codes[::-1].copy(), 0.01)
    y = b.fully_connected(b.fully_connected(x, w, scale=0.5), w, scale=0.5)
    b.output(b.fully_connected(y, v, scale=0.5))
    model = parse_model(b.finish(), name="m")
    rows = device_rows(model, Inputs((np.eye(40, 4, dtype=np.int8),)), range(40))
    changed, layers = compensate(model, rows, sparsity=0.5)
    assert [layer.node_index for layer in layers] == [2]
    assert np.array_equal(changed.tensors[w].data, codes)


# --- Refusals


def test_too_few_rows():
    model = network()
    with pytest.raises(UsageError, match="15 calibration rows are too few, at least 16"):
        compensate(model, rows_for_network(model, 15), sparsity=0.5)
    with pytest.raises(UsageError, match="no calibration rows for input 'tensor_0'"):
        compensate(model, {}, sparsity=0.5)


@pytest.mark.parametrize("sparsity", [-0.1, 0.96, float("nan")])
def test_sparsity_outside_the_range(sparsity):
    model = network()
    with pytest.raises(UsageError, match=r"outside 0 \.\.\. 0\.95"):
        compensate(model, rows_for_network(model), sparsity=sparsity)


def test_unknown_allocation():
    model = network()
    with pytest.raises(UsageError, match="'best', there are: weights, macs, uniform"):
        compensate(model, rows_for_network(model), sparsity=0.5, allocation="best")


def test_a_model_without_such_layers():
    b = Builder()
    b.output(b.softmax(b.input((1, 4), 0.5)))
    model = parse_model(b.finish(), name="m")
    rows = device_rows(model, Inputs((np.zeros((20, 4), np.int8),)), range(20))
    with pytest.raises(UnsupportedModelError, match="no CONV_2D or FULLY_CONNECTED layer"):
        compensate(model, rows, sparsity=0.5)


def test_a_model_that_keeps_state(shared_models):
    model = load_model(shared_models / "mww2_vad" / "mww2_vad.tflite")
    with pytest.raises(UnsupportedModelError, match="keeps state cannot be compensated"):
        compensate(model, {}, sparsity=0.5)


# --- The command


def write_case(folder, labels=True):
    model = network()
    (folder / "m.tflite").write_bytes(model.source)
    x = rows_for_network(model, 60)[model.inputs[0]]
    y = {"y": outputs_of(model, {model.inputs[0]: x}).argmax(axis=1)} if labels else {}
    np.savez(folder / "d.npz", x=x, **y)
    return ["compensate", str(folder / "m.tflite"), "--data", str(folder / "d.npz")]


def test_the_command_writes_a_model_and_tells_its_accuracy(tmp_path, capsys):
    command = [*write_case(tmp_path), "-o", str(tmp_path / "o.tflite"), "-s", "0.5"]
    assert main([*command, "--rows", "40"]) == 0
    told = capsys.readouterr().out
    assert "40 rows of calibration" in told
    assert "of 20 other rows" in told
    assert "before 100.0 ± 0.0 %" in told
    layers = find_layers(load_model(tmp_path / "o.tflite"))
    assert sum(int((layer.codes == 0).sum()) for layer in layers) == 756


def test_the_command_without_labels_or_other_rows(tmp_path, capsys):
    command = [*write_case(tmp_path, labels=False), "-o", str(tmp_path / "o.tflite"), "-s", "0.2"]
    assert main([*command, "--rows", "60", "--json"]) == 0
    assert '"agreement": null' in capsys.readouterr().out
    assert main([*command, "--rows", "61"]) == 2
    assert "--rows 61" in capsys.readouterr().err
