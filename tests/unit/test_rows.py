"""Rows through a model or a part of it, against the reference and against the whole."""

import numpy as np
import pytest

from edgesparse import native, oracle
from edgesparse.encode import encode
from edgesparse.errors import UnsupportedModelError
from edgesparse.image import build_image
from edgesparse.inputs import Inputs
from edgesparse.model import parse_model
from edgesparse.rows import (
    count_zeros,
    device_rows,
    fast_image,
    has_state,
    logits_of,
    run_image_rows,
    run_tensors,
)
from tests.tflite_builder import Builder


def branched_model():
    """Two convolutions on one input, an ADD, a RESHAPE, a dense layer and a SOFTMAX."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input((1, 4, 4, 2), 0.5, 3)
    one, two = (
        b.constant(rng.integers(-99, 99, (3, 3, 3, 2)).astype(np.int8), [0.01] * 3) for _ in "ab"
    )
    left = b.conv_2d(x, one, b.bias([1, 2, 3], x, one), scale=0.2, activation="RELU")
    right = b.conv_2d(x, two, b.bias([4, 5, 6], x, two), scale=0.3)
    both = b.reshape(b.add(left, right, scale=0.4, zero_point=-5), (1, 48))
    w = b.constant(rng.integers(-99, 99, (5, 48)).astype(np.int8), 0.01)
    y = b.fully_connected(both, w, scale=0.5)
    b.output(b.softmax(y))
    return parse_model(b.finish(), name="m"), y


def rows_of(model, count):
    x = np.random.default_rng(1).integers(-128, 128, (count, 1, 4, 4, 2)).astype(np.int8)
    return device_rows(model, Inputs((x,)), range(count)), x


def test_every_tensor_equals_the_reference():
    model, _ = branched_model()
    given, x = rows_of(model, 40)
    wanted = [index for node in model.nodes for index in node.outputs]
    found = run_tensors(model, given, wanted)
    for row, layers in enumerate(oracle.each_with_layers(model, x)):
        for index in wanted:
            assert found[index][row].tolist() == layers[index].reshape(-1).tolist()


def test_a_part_gives_what_the_whole_gives():
    model, logits = branched_model()
    given, _ = rows_of(model, 20)
    whole = run_tensors(model, given, [*model.nodes[2].inputs, *model.outputs, logits])
    middle = {index: whole[index] for index in model.nodes[2].inputs}
    part = run_tensors(model, middle, [logits, *model.outputs])
    for index in (logits, *model.outputs):
        assert np.array_equal(part[index], whole[index])


@pytest.mark.parametrize("encoding", ["dense_sums", "bitmap", "delta8", "group4"])
def test_values_and_zeros_are_those_of_any_kernels(encoding):
    model, _ = branched_model()
    given, _ = rows_of(model, 20)
    image, arrays = build_image(encode(model, encoding=encoding)), list(given.values())
    kernels = native.table("kernel")
    chosen = [kernels[native.name_of("kernel", node["kernel"])] for node in image.nodes]
    assert encoding in {kernel.columns[1] for kernel in chosen}
    (expected,) = run_image_rows(image, arrays)
    (index,) = model.outputs
    assert np.array_equal(run_tensors(model, given, [index])[index], expected)
    (zeros, values), (others, _) = (
        count_zeros(each, arrays) for each in (fast_image(model), image)
    )
    assert np.array_equal(zeros, others)
    assert np.array_equal(values[0], expected)


def test_what_is_given_is_not_computed_again():
    model, logits = branched_model()
    given, _ = rows_of(model, 4)
    reshaped = model.nodes[4].inputs[0]
    added = model.producer(reshaped).inputs[0]
    changed = run_tensors(model, given, [added])[added] + np.int8(1)
    found = run_tensors(model, {**given, added: changed}, [added, reshaped, logits])
    assert np.array_equal(found[added], changed)
    assert np.array_equal(found[reshaped], changed)
    assert not np.array_equal(found[logits], run_tensors(model, given, [logits])[logits])


def test_logits_are_what_the_softmax_reads():
    model, logits = branched_model()
    assert logits_of(model) == {logits: True}
    assert not has_state(model)


def test_a_tensor_that_does_not_follow_is_refused():
    model, logits = branched_model()
    with pytest.raises(UnsupportedModelError, match="before anything computes it"):
        run_tensors(model, {logits: np.zeros((1, 5), np.int8)}, [model.nodes[0].outputs[0]])


def test_zeros_are_counted_node_by_node():
    model, _ = branched_model()
    given, _ = rows_of(model, 9)
    image = build_image(encode(model))
    found, _ = count_zeros(image, list(given.values()))
    for at, node in enumerate(image.nodes):
        (index,) = model.nodes[node["layer"]].outputs
        values = run_tensors(model, given, [index])[index]
        zero_point = model.tensors[index].affine()[1]
        assert found[:, at].tolist() == (values == zero_point).sum(axis=1).tolist()
    assert found[:, 0].min() > 0  # behind a ReLU


def test_the_native_run_refuses_what_does_not_fit():
    model, _ = branched_model()
    image = build_image(encode(model)).device_bytes()
    with pytest.raises(ValueError, match="bad_input"):
        native.run_rows(image, 2, bytes(63), out_bytes=10)
    with pytest.raises(ValueError, match="bad_input"):
        native.run_rows(image, 2, bytes(64), out_bytes=11)
    with pytest.raises(ValueError, match="native run: "):
        native.run_rows(image[:-1], 2, bytes(64), out_bytes=10)
    with pytest.raises(ValueError, match="bad_input"):
        native.run_rows(image, 2, bytes(64), out_bytes=10, zeros=np.zeros(9, np.uint32))
    assert len(native.run_rows(image, 2, bytes(64), out_bytes=10)) == 10
