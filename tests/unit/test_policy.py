"""Policies: what matches, what is taken, and what is said of a wrong file."""

from pathlib import Path

import numpy as np
import pytest

from edgesparse.errors import UsageError
from edgesparse.model import load_model, parse_model
from edgesparse.pipeline import Recipe, read_model, thin
from edgesparse.sparsify import Rule, load_policy, sparsify
from edgesparse.sparsify.policy import Block, LayerRule, Policy, matches
from tests.tflite_builder import Builder


@pytest.fixture
def policy(tmp_path):
    """Writes a policy and reads it."""

    def read(text):
        path = tmp_path / "policy.toml"
        path.write_text(text, encoding="utf-8")
        return load_policy(path)

    return read


def named_model():
    """Three layers: scope/conv_1, scope/depth_1 and scope/dense_1, weights 1 ... n."""
    b = Builder()
    x = b.input((1, 2, 2, 2), 0.5)
    w = b.constant(np.arange(1, 5, dtype=np.int8).reshape(2, 1, 1, 2), 1.0, name="scope/conv_1/w")
    y = b.conv_2d(x, w, b.bias([0, 0], x, w), scale=1.0)
    d = b.constant(np.arange(1, 9, dtype=np.int8).reshape(1, 2, 2, 2), [1.0, 1.0], 3)
    b.tensors[d].name = "scope/depth_1/w"
    z = b.depthwise_conv_2d(y, d, scale=1.0, padding="VALID")
    f = b.constant(np.array([[1, 2], [3, 4]], np.int8), 1.0, name="scope/dense_1/w")
    out = b.fully_connected(z, f, scale=1.0)
    for index, name in ((y, "scope/conv_1/Relu;scope/dense_1/x"), (z, "depth"), (out, "out")):
        b.tensors[index].name = name
    b.output(out)
    return parse_model(b.finish(), name="m")


def test_a_whole_policy(policy):
    read = policy(
        """
        [default]
        method = "topk"
        value = 0.25

        [[layer]]
        match = "conv_1"
        method = "triangular"
        value = [0.1, 1]
        granularity = "1x4"

        [[layer]]
        match = "out"
        method = "none"

        [[block]]
        name = "front"
        match = "conv_1"

        [[block]]
        name = "rest"
        match = ["depth", "out"]
        """
    )
    assert read == Policy(
        layers=(
            LayerRule("conv_1", Rule("triangular", (0.1, 1.0), "1x4")),
            LayerRule("out", Rule("none")),
        ),
        default=Rule("topk", (0.25,)),
        blocks=(Block("front", ("conv_1",)), Block("rest", ("depth", "out"))),
    )


def test_the_policy_in_the_documents_fits_the_demo(policy):
    document = Path(__file__).resolve().parents[2] / "docs" / "zeros.md"
    text = document.read_text(encoding="utf-8").split("```toml\n", 1)[1].split("```", 1)[0]
    _, meta = thin(read_model(None), Recipe(policy=policy(text)))
    assert [(row.index, row.method, row.granularity) for row in meta.layers] == [
        (0, "topk", "element"),
        (1, "relative", "1x4"),
        (3, "topk", "element"),
        (5, "topk", "element"),
        (6, "topk", "element"),
    ]
    assert [(block.name, block.layers) for block in meta.blocks] == [("head", (5, 6))]


def test_an_empty_policy_leaves_everything_alone(policy):
    model = named_model()
    assert sparsify(model, policy("")) == (model, ())


# --- What matches


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("conv", True),
        ("a/conv_1/Relu", True),
        ("CONV", False),
        ("conv_?", False),  # a whole name, not a part
        ("*/conv_?/*", True),
        ("*conv_[2-9]*", False),
        ("w", True),
    ],
)
def test_patterns(pattern, expected):
    assert matches(pattern, ("a/conv_1/Relu", "w")) is expected


def test_first_match_wins_and_the_rest_take_the_default(policy):
    read = policy(
        """
        default = {method = "topk", value = 1.0}
        layer = [
            {match = "scope/conv_1", method = "topk", value = 0.5},
            {match = "scope/d", method = "threshold", value = 3},
        ]
        """
    )
    changed, rows = sparsify(named_model(), read)
    assert [(row.node_index, row.method, row.zeros_after) for row in rows] == [
        (0, "topk", 2),
        (1, "threshold", 3),  # a rule takes depthwise layers
        (2, "threshold", 3),
    ]
    assert changed.tensors[1].data.ravel().tolist() == [0, 0, 3, 4]


def test_names_of_other_layers_behind_a_semicolon_do_not_count(policy):
    read = policy('layer = [{match = "dense_1", method = "topk", value = 0.5}]')
    _, rows = sparsify(named_model(), read)
    assert [row.node_index for row in rows] == [2]


def test_the_default_leaves_depthwise_alone_unless_asked(policy):
    read = policy('default = {method = "topk", value = 0.5}')
    _, rows = sparsify(named_model(), read)
    assert [row.node_index for row in rows] == [0, 2]
    _, rows = sparsify(named_model(), read, depthwise=True)
    assert [row.node_index for row in rows] == [0, 1, 2]


def test_methods_over_layers_see_the_layers_of_their_rule(policy):
    # Spans: 4 - 1 for conv_1 and dense_1, 8 - 1 for the depthwise layer, which is not in the rule.
    read = policy(
        """
        layer = [
            {match = "depth", method = "none"},
            {match = "*", method = "triangular", value = [0.5, 1.0]},
        ]
        """
    )
    _, rows = sparsify(named_model(), read)
    assert [(row.node_index, row.threshold) for row in rows] == [(0, 1.5), (1, 0.0), (2, 3.0)]


def test_layers_that_share_weights_need_one_rule():
    b = Builder()
    x = b.input((1, 2), 0.5)
    w = b.constant(np.array([[1, 2], [3, 4]], np.int8), 1.0, name="w")
    y = b.fully_connected(x, w, scale=1.0)
    z = b.fully_connected(y, w, scale=1.0)
    b.tensors[y].name, b.tensors[z].name = "first", "second"
    b.output(z)
    model = parse_model(b.finish(), name="m")
    half = Rule("topk", (0.5,))
    with pytest.raises(UsageError, match="layers 0 and 1 read the same weights, 'w'"):
        sparsify(model, Policy(layers=(LayerRule("second", half),)))
    _, rows = sparsify(model, Policy(layers=(LayerRule("w", half),)))
    assert [(row.node_index, row.zeros_after) for row in rows] == [(0, 2)]


def test_real_names(shared_models):
    model = load_model(shared_models / "resnet8_cifar10" / "resnet8_cifar10.tflite")
    # The output of layer 0 names conv2d_2 as well, behind a semicolon.
    _, rows = sparsify(model, Policy(layers=(LayerRule("conv2d_2", Rule("topk", (0.5,))),)))
    assert [row.node_index for row in rows] == [2]


# --- What is said of a wrong file


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        (
            "[[layers]]",
            "unknown key 'layers', there are: default, layer, activation, block",
            "layer",
        ),
        (
            '[[layer]]\nmatch = "a"\nmethd = "topk"',
            "unknown key 'methd', there are: method, value, granularity, compensate, match",
            "method",
        ),
        (
            '[default]\nmethod = "topk"\nvalu = 0.5',
            "default: unknown key 'valu', there are: method, value, granularity",
            "value",
        ),
        (
            '[[layer]]\nmatch = "a"\nmethod = "tpok"\nvalue = 0.5',
            "layer 1: unknown method 'tpok'",
            "topk",
        ),
        (
            '[default]\nmethod = "topk"\nvalue = 0.5\ngranularity = "kernl"',
            "default: unknown granularity 'kernl'",
            "kernel",
        ),
        ('[default]\nmethod = "topk"\nvalue = 1.5', "default: sparsity 1.5 is outside", None),
        ('[default]\nmethod = "topk"', "default: method topk takes 1 value, given 0", None),
        ('[default]\nmethod = "topk"\nvalue = "0.5"', "default value: ", None),
        ("[default]\nvalue = 0.5", "default: method: Field required", None),
        ('[[block]]\nname = "a"\nmatch = []', "block 1: match: ", None),
        ('block = [{name = "a", match = "x"}, {name = "a", match = "y"}]', "name 'a'", None),
        ("[default", "is not TOML", None),
    ],
)
def test_wrong_policies(policy, text, reason, hint):
    with pytest.raises(UsageError) as caught:
        policy(text)
    assert reason in str(caught.value)
    assert "policy.toml" in str(caught.value)
    if hint is not None:
        assert caught.value.hint == f"did you mean '{hint}'?"


def test_a_missing_policy(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_policy(tmp_path / "none.toml")


def test_a_pattern_that_matches_nothing_gets_a_suggestion(policy):
    read = policy('layer = [{match = "conv_11", method = "none"}]')
    with pytest.raises(UsageError, match="'conv_11' matches no layer with weights") as caught:
        sparsify(named_model(), read)
    assert caught.value.hint == "did you mean 'conv_1'?"


def test_a_rule_behind_one_that_takes_all(policy):
    read = policy('layer = [{match = "*", method = "none"}, {match = "out", method = "none"}]')
    with pytest.raises(UsageError, match="'out' matches only layers that earlier rules take"):
        sparsify(named_model(), read)


# --- Recipes


def test_a_policy_and_options_exclude_each_other():
    for recipe in (
        Recipe("topk", 0.5, policy=Policy()),
        Recipe(sparsity=0.5, policy=Policy()),
        Recipe(granularity="1x4", policy=Policy()),
    ):
        with pytest.raises(UsageError, match="--policy stands in the place of"):
            recipe.rules()


def test_meta_tells_what_was_done():
    rules = (LayerRule("dense_1", Rule("topk", (0.5,), "1x4")),)
    recipe = Recipe(policy=Policy(rules, blocks=(Block("all", ("*",)),)))
    _, meta = thin(named_model(), recipe)
    assert meta.method == "policy"
    assert [(each.name, each.layers) for each in meta.blocks] == [("all", (0, 1, 2))]
    (row,) = meta.layers
    assert (row.index, row.method, row.granularity, row.zeros_after) == (2, "topk", "1x4", 2)
    assert row.threshold == np.sqrt((1 + 4) / 2)
