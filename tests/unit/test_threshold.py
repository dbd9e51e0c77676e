"""Methods by hand-computed thresholds: flat, triangular, threshold."""

import math

import numpy as np
import pytest

from edgesparse.errors import UsageError
from edgesparse.model import parse_model
from edgesparse.sparsify import Rule, parse_values, rule_of, sparsify
from edgesparse.sparsify.layer import span
from tests.tflite_builder import Builder


def chain(first=1.0):
    """CONV_2D, then three FULLY_CONNECTED; all codes 8, 4, 2, -8 but their scales differ.

    Spans: 16 · the scale.
    """
    b = Builder()
    x = b.input((1, 1, 1, 4), 0.5)
    codes = np.array([8, 4, 2, -8], np.int8)
    w = b.constant(np.tile(codes, (4, 1)).reshape(4, 1, 1, 4), first, name="w0")
    y = b.conv_2d(x, w, b.bias([0] * 4, x, w), scale=1.0)
    for i, scale in enumerate((0.5, 2.0, 0.25), start=1):
        w = b.constant(np.tile(codes, (4, 1)), scale, name=f"w{i}")
        y = b.fully_connected(y, w, scale=1.0)
    b.output(y)
    return parse_model(b.finish(), name="m")


def rows_after(model, rule):
    """The first row of every layer's weights, and the thresholds."""
    changed, rows = sparsify(model, rule)
    kept = [changed.tensors[n.inputs[1]].data.reshape(4, 4)[0].tolist() for n in changed.nodes]
    return kept, [row.threshold for row in rows]


def test_span_is_of_real_weights():
    b = Builder()
    codes = np.array([[10, -1], [100, 3]], np.int8)
    tensor = parse_model_with(b, codes, [1.0, 0.125]).tensors[1]
    assert span(tensor) == 12.5 - -1.0


def parse_model_with(b, codes, scales):
    x = b.input((1, codes.shape[1]), 0.5)
    b.output(b.fully_connected(x, b.constant(codes, scales, name="w"), scale=1.0))
    return parse_model(b.finish(), name="m")


def test_flat_is_a_fraction_of_the_smallest_span():
    # Spans 16, 8, 32 and 4: t = 4 / 4 = 1. Ties go: 4 · 0.25 and 2 · 0.5.
    kept, thresholds = rows_after(chain(), Rule("flat", (0.25,)))
    assert thresholds == [1.0] * 4
    assert kept == [[8, 4, 2, -8], [8, 4, 0, -8], [8, 4, 2, -8], [8, 0, 0, -8]]


def test_flat_of_nothing_changes_nothing():
    model = chain()
    assert sparsify(model, Rule("flat", (0.0,)))[0] is model


def test_triangular_goes_linearly_from_first_to_last():
    # a = 0.25 · 16 = 4, b = 0.25 · 4 = 1: 4, 3, 2, 1.
    kept, thresholds = rows_after(chain(), Rule("triangular", (0.25, 0.25)))
    assert thresholds == [4.0, 3.0, 2.0, 1.0]
    assert kept == [[8, 0, 0, -8], [8, 0, 0, -8], [8, 4, 2, -8], [8, 0, 0, -8]]


def test_triangular_without_convolution_starts_at_the_first_layer():
    b = Builder()
    y = b.input((1, 2), 0.5)
    for scale in (1.0, 3.0):
        weights = b.constant(np.array([[4, 1], [-4, 2]], np.int8), scale)
        y = b.fully_connected(y, weights, scale=1.0)
    b.output(y)
    model = parse_model(b.finish(), name="m")
    _, rows = sparsify(model, Rule("triangular", (0.5, 0.25)))
    assert [row.threshold for row in rows] == [4.0, 6.0]  # of 8 and 24


def test_triangular_without_fully_connected_ends_at_the_last_layer():
    b = Builder()
    y = b.input((1, 1, 1, 2), 0.5)
    for scale in (1.0, 3.0):
        w = b.constant(np.array([[4, 1], [-4, 2]], np.int8).reshape(2, 1, 1, 2), scale)
        y = b.conv_2d(y, w, b.bias([0, 0], y, w), scale=1.0)
    b.output(y)
    model = parse_model(b.finish(), name="m")
    _, rows = sparsify(model, Rule("triangular", (0.5, 0.25)))
    assert [row.threshold for row in rows] == [4.0, 6.0]


def test_a_single_layer_takes_the_first_threshold():
    model = parse_model_with(Builder(), np.array([[4, 1], [-4, 2]], np.int8), 1.0)
    _, (row,) = sparsify(model, Rule("triangular", (0.25, 1.0)))
    assert (row.threshold, row.zeros_after) == (2.0, 2)


def test_thresholds_by_layer():
    kept, thresholds = rows_after(chain(), Rule("threshold", (2.0, 1.9, 8.0, 0.0)))
    assert thresholds == [2.0, 1.9, 8.0, 0.0]
    assert kept == [[8, 4, 0, -8], [8, 4, 0, -8], [8, 0, 0, -8], [8, 4, 2, -8]]


def test_one_threshold_for_all_respects_scales_by_channel():
    model = parse_model_with(Builder(), np.array([[10, 4], [3, -2]], np.int8), [0.25, 1.0])
    changed, _ = sparsify(model, Rule("threshold", (2.0,)))
    assert changed.tensors[1].data.tolist() == [[10, 0], [3, 0]]  # 2.5, 1 and 3, 2


def test_another_number_of_thresholds():
    with pytest.raises(UsageError, match="2 thresholds for 4 layers"):
        sparsify(chain(), Rule("threshold", (1.0, 2.0)))


# --- Rules


@pytest.mark.parametrize(
    ("method", "value", "reason"),
    [
        ("flat", (), "takes 1 value, given 0"),
        ("flat", (1.5,), "value of flat 1.5 is outside"),
        ("flat", (math.nan,), "is outside"),
        ("triangular", (0.1,), "takes 2 values, given 1"),
        ("threshold", (), "takes magnitudes from 0 on"),
        ("threshold", (-1.0,), "takes magnitudes from 0 on"),
        ("threshold", (math.inf,), "takes magnitudes from 0 on"),
        ("threshold", (math.nan,), "takes magnitudes from 0 on"),
        ("topk", (0.1, 0.2), "takes 1 value, given 2"),
        ("none", (0.1,), "takes no value, given 1"),
    ],
)
def test_values_that_do_not_fit_their_method(method, value, reason):
    with pytest.raises(UsageError, match=reason):
        Rule(method, value)


@pytest.mark.parametrize(
    ("method", "sparsity", "value", "reason"),
    [
        ("flat", 0.5, (), "method flat takes --value, not --sparsity"),
        ("topk", 0.5, (0.1,), "method topk takes --sparsity, not --value"),
        ("none", 0.0, (0.1,), "--value needs a --method"),
        ("none", 0.5, (), "--sparsity needs a --method"),
    ],
)
def test_options_that_do_not_belong_together(method, sparsity, value, reason):
    with pytest.raises(UsageError, match=reason):
        rule_of(method, sparsity, value, "element")


def test_rules_from_options():
    assert rule_of("topk", 0.5, (), "1x4") == Rule("topk", (0.5,), "1x4")
    assert rule_of("triangular", 0.0, (0.1, 0.2), "element") == Rule("triangular", (0.1, 0.2))
    assert rule_of("none", 0.0, (), "element") == Rule()
    with pytest.raises(UsageError, match="--granularity needs a --method"):
        rule_of("none", 0.0, (), "1x4")


def test_unknown_methods_get_a_suggestion():
    with pytest.raises(UsageError) as caught:
        Rule("relativ", (0.5,))
    assert caught.value.hint == "did you mean 'relative'?"


def test_numbers_of_an_option():
    assert parse_values(None) == ()
    assert parse_values("0.5, 1e-3") == (0.5, 0.001)
    with pytest.raises(UsageError, match="--value takes numbers"):
        parse_values("0.5;1")
