"""Blocks of layers: from a policy, from scopes, and their rows."""

import numpy as np
import pytest

from edgesparse.blocks import block_rows, find_blocks, policy_blocks, scope_blocks
from edgesparse.errors import FormatError, UsageError
from edgesparse.image import read_image
from edgesparse.meta import BlockMeta
from edgesparse.model import parse_model
from edgesparse.pipeline import Recipe, convert_model
from edgesparse.sparsify.policy import Block, Policy
from tests.tflite_builder import Builder


def model_with(*names):
    """FULLY_CONNECTED layers whose outputs have these names."""
    b = Builder()
    y = b.input((1, 2), 0.5)
    for name in names:
        y = b.fully_connected(y, b.constant(np.eye(2, dtype=np.int8), 1.0), scale=1.0)
        b.tensors[y].name = name
    b.output(y)
    return parse_model(b.finish(), name="m")


def test_scopes_below_what_all_have_in_common():
    model = model_with(
        "net/b1/conv_1/Relu;net/b2/conv/x",
        "net/b1/unit/conv_2",
        "net/stem",  # a layer of no block
        "net/b2/conv/BiasAdd",
        "Identity",
        "net/b1/conv_9",
    )
    assert scope_blocks(model) == (
        BlockMeta(name="b1", layers=(0, 1, 5)),
        BlockMeta(name="b2", layers=(3,)),
    )


def test_names_without_scopes_have_no_blocks():
    model = model_with("model/conv_1/Relu", "model/conv_2/Relu", "out")
    assert scope_blocks(model) == ()
    with pytest.raises(UsageError, match="no scopes to make blocks of"):
        find_blocks(model, None)


def test_blocks_of_a_policy():
    model = model_with("a", "b", "c")
    policy = Policy(blocks=(Block("ends", ("c", "a")), Block("all", ("*",))))
    assert find_blocks(model, policy) == (
        BlockMeta(name="ends", layers=(0, 2)),
        BlockMeta(name="all", layers=(0, 1, 2)),
    )


def test_a_block_that_matches_nothing():
    model = model_with("scope/stack_1", "scope/stack_2")
    with pytest.raises(UsageError, match="'stak_1' matches no layer") as caught:
        policy_blocks(model, Policy(blocks=(Block("x", ("stack_2", "stak_1")),)))
    assert caught.value.hint == "did you mean 'stack_1'?"


def test_rows_sum_weights_and_take_the_last_activations():
    keys = ("index", "macs", "weights", "weight_zeros", "activations", "activation_zeros")
    layers = [
        dict(zip(keys, numbers, strict=True))
        for numbers in ((0, 100, 10, 4, 50, 30), (1, 0, 0, 0, 25, 20), (2, 40, 6, 1, 0, 0))
    ]
    blocks = (BlockMeta(name="x", layers=(0, 1, 2)), BlockMeta(name="y", layers=(2,)))
    assert block_rows(blocks, layers) == [
        {
            "name": "x",
            "layers": [0, 1, 2],
            "macs": 140,
            "weights": 16,
            "weight_zeros": 5,
            "last_layer": 1,  # layer 2 has no activations
            "activations": 25,
            "activation_zeros": 20,
        },
        {
            "name": "y",
            "layers": [2],
            "macs": 40,
            "weights": 6,
            "weight_zeros": 1,
            "last_layer": 2,
            "activations": 0,
            "activation_zeros": 0,
        },
    ]


def test_an_image_keeps_its_blocks():
    policy = Policy(blocks=(Block("both", ("a", "b")),))
    image, _ = convert_model(model_with("a", "b"), Recipe(policy=policy))
    assert read_image(image.data).meta.sparsify.blocks == (BlockMeta(name="both", layers=(0, 1)),)


def test_blocks_of_layers_that_there_are_not_are_refused(monkeypatch):
    wrong = (BlockMeta(name="x", layers=(0, 7)),)
    monkeypatch.setattr("edgesparse.pipeline.policy_blocks", lambda *_: wrong)
    with pytest.raises(FormatError, match="belongs to another image"):
        convert_model(model_with("a"), Recipe(policy=Policy()))
