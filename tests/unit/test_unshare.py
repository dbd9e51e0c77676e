"""Constants that share bytes in the file change one at a time."""

import numpy as np
import pytest
import tflite

from edgesparse import oracle
from edgesparse.errors import ModelError
from edgesparse.model import load_model, parse_model, save_model
from edgesparse.sparsify.unshare import own_bytes, replace_weights
from tests.tflite_builder import Builder


def sharing_model():
    """Two FULLY_CONNECTED whose weights name one buffer, and a bias that names it as well."""
    b = Builder()
    x = b.input((1, 4), 0.5)
    codes = np.arange(1, 17, dtype=np.int8).reshape(4, 4)
    w = b.constant(codes, 1.0, name="w")
    v = b.constant(codes, 1.0, name="v", share=w)
    bias = b.constant(codes.view(np.int32).reshape(4), 0.5, name="bias", share=w)
    y = b.fully_connected(x, w, bias, scale=2.0)
    b.output(b.fully_connected(y, v, scale=4.0))
    return parse_model(b.finish(), name="m"), w, v, bias


def test_one_of_several_changes():
    model, w, v, bias = sharing_model()
    changed = replace_weights(model, {w: np.zeros((4, 4), np.int8)})
    assert not changed.tensors[w].data.any()
    assert np.array_equal(changed.tensors[v].data, model.tensors[v].data)
    assert np.array_equal(changed.tensors[bias].data, model.tensors[bias].data)
    assert [each.index for each in changed.sharers(v)] == [bias]


def test_the_same_change_to_all_that_share_keeps_the_file_as_long():
    b = Builder()
    x = b.input((1, 2), 0.5)
    codes = np.array([[1, 2], [3, 4]], np.int8)
    w = b.constant(codes, 1.0)
    v = b.constant(codes, 1.0, share=w)
    b.output(b.fully_connected(b.fully_connected(x, w, scale=1.0), v, scale=1.0))
    model = parse_model(b.finish(), name="m")
    same = replace_weights(model, {w: codes * 2, v: codes * 2})
    assert len(same.source) == len(model.source)
    apart = replace_weights(model, {w: codes * 2, v: codes * 3})
    assert apart.tensors[w].data.tolist() == [[2, 4], [6, 8]]
    assert apart.tensors[v].data.tolist() == [[3, 6], [9, 12]]


def test_nothing_to_change_is_the_model_itself():
    model, *_ = sharing_model()
    assert replace_weights(model, {}) is model
    assert own_bytes(model, []) is model


def test_names_shapes_and_values_stay():
    model, w, v, bias = sharing_model()
    changed = own_bytes(model, [w, bias])
    for before, after in zip(model.tensors, changed.tensors, strict=True):
        assert (before.name, before.shape, before.quantization) == (
            after.name,
            after.shape,
            after.quantization,
        )
        assert (before.data is None) == (after.data is None)
        assert before.data is None or np.array_equal(before.data, after.data)
    assert changed.sharers(w) == changed.sharers(v) == changed.sharers(bias) == ()
    # TFLite wants buffers on multiples of 16.
    for index in (w, bias):
        address = changed.tensors[index].data.__array_interface__["data"][0]
        start = np.frombuffer(changed.source, np.uint8).__array_interface__["data"][0]
        assert (address - start) % 16 == 0


def test_the_oracle_computes_the_same_afterwards(tmp_path):
    model, w, _, bias = sharing_model()
    save_model(own_bytes(model, [w, bias]), tmp_path / "own.tflite")
    rows = np.array([[1, -2, 3, 4], [100, 0, -100, 7]], np.int8).reshape(2, 1, 4)
    before = oracle.run(model, rows)
    after = oracle.run(load_model(tmp_path / "own.tflite"), rows)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(before, after, strict=True))


def test_activations_are_refused():
    model, *_ = sharing_model()
    with pytest.raises(ModelError, match="is not a constant"):
        own_bytes(model, [model.outputs[0]])


def test_an_offset_that_leads_nowhere(shared_models):
    model = load_model(shared_models / "str_ww" / "str_ww.tflite")
    index = next(t.index for t in model.tensors if t.is_constant and model.sharers(t.index))
    table = tflite.Model.GetRootAs(model.source, 0)._tab
    metadata = table.Pos + table.Offset(4 + 2 * 6)
    source = bytearray(model.source)
    source[metadata : metadata + 4] = b"\xff" * 4
    with pytest.raises(ModelError, match="damaged flatbuffer"):
        own_bytes(parse_model(bytes(source), name="m"), [index])


def test_a_real_model_with_shared_biases(shared_models):
    folder = shared_models / "str_ww"
    model = load_model(folder / "str_ww.tflite")
    shared = [t.index for t in model.tensors if t.is_constant and model.sharers(t.index)]
    assert len(shared) == 3
    changed = own_bytes(model, shared[:1])
    assert changed.sharers(shared[0]) == ()
    rows = np.load(folder / "data.npz")["x"][:2]
    for a, b in zip(oracle.run(model, rows), oracle.run(changed, rows), strict=True):
        assert np.array_equal(a[0], b[0])
