import hashlib
import random
import re
import struct

import numpy as np
import pytest
import tflite

from edgesparse import demo, ops
from edgesparse.errors import ModelError, UnsupportedModelError, UsageError
from edgesparse.model import (
    Quantization,
    has_own_scales,
    load_model,
    parse_model,
    save_model,
    with_scales,
    with_weights,
)
from tests.tflite_builder import Builder

WEIGHTS = np.arange(-16, 20, dtype=np.int8).reshape(2, 3, 3, 2)


def small_builder() -> Builder:
    b = Builder()
    x = b.input((1, 6, 5, 2), scale=0.5, zero_point=-3, name="x")
    w = b.constant(WEIGHTS, [0.25, 0.125], 0, name="w")
    y = b.conv_2d(x, w, b.bias([7, -9], x, w, name="b"), scale=0.75, zero_point=4, stride=(2, 1))
    b.output(b.softmax(b.reshape(y, (1, 30))))
    return b


def small_model():
    return parse_model(small_builder().finish(), name="small")


# --- Reading


def test_fields_of_a_model():
    model = small_model()
    assert [node.op for node in model.nodes] == ["CONV_2D", "RESHAPE", "SOFTMAX"]
    x, w, bias = (model.tensors[index] for index in model.nodes[0].inputs)
    assert (x.name, x.shape, x.dtype, x.data) == ("x", (1, 6, 5, 2), "int8", None)
    assert x.quantization == Quantization((0.5,), (-3,), 0)
    assert x.affine() == (0.5, -3)
    assert w.quantization == Quantization((0.25, 0.125), (0, 0), 0)
    assert np.array_equal(w.data, WEIGHTS)
    assert w.data.dtype == np.int8
    assert bias.data.tolist() == [7, -9]
    assert bias.quantization.scales == (0.125, 0.0625)
    assert model.inputs == (x.index,)
    assert model.outputs == model.nodes[2].outputs
    conv = model.nodes[0].options
    assert (conv.padding, conv.stride_h, conv.stride_w, conv.activation) == ("SAME", 2, 1, "NONE")


def test_constants_are_views_that_cannot_be_written():
    w = small_model().tensors[1]
    assert not w.data.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        w.data[0] = 1


def test_queries():
    model = small_model()
    conv, reshape, softmax = model.nodes
    assert model.producer(conv.outputs[0]) is conv
    assert model.producer(model.inputs[0]) is None
    assert model.consumers(conv.outputs[0]) == (reshape,)
    assert model.consumers(softmax.outputs[0]) == ()
    assert model.sha256() == hashlib.sha256(model.source).hexdigest()


def test_affine_needs_exactly_one_pair():
    with pytest.raises(ModelError, match="'w' has not exactly one scale"):
        small_model().tensors[1].affine()


def test_label_falls_back_to_the_index():
    b = Builder()
    x = b.input((1, 2), name="")
    b.output(b.softmax(x))
    model = parse_model(b.finish(), name="m")
    assert [tensor.label for tensor in model.tensors] == ["#0", "tensor_1"]


def test_scales_are_the_float32_values_of_the_file():
    b = Builder()
    b.output(b.softmax(b.input((1, 2), scale=0.1)))
    model = parse_model(b.finish(), name="m")
    assert model.tensors[0].affine()[0] == float(np.float32(0.1)) != 0.1


def test_operators_beyond_the_table_are_kept_by_name():
    b = Builder()
    x = b.input((1, 4))
    y = b.tensor((1, 4), 1.0)
    b.op("COS", [x], [y])
    b.output(y)
    node = parse_model(b.finish(), name="m").nodes[0]
    assert node.op == "COS"
    assert isinstance(node.options, ops.UnknownOptions)


def test_load_model_takes_the_stem_as_name(tmp_path):
    path = tmp_path / "tiny.v2.tflite"
    path.write_bytes(small_builder().finish())
    assert load_model(path).name == "tiny.v2"
    assert load_model(str(path)).source == path.read_bytes()


def test_load_model_of_nothing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*absent\.tflite"):
        load_model(tmp_path / "absent.tflite")


def test_load_model_refuses_huge_files_unread(tmp_path):
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    with pytest.raises(ModelError, match="more than 268435456"):
        load_model(path)


# --- Refusing


def test_an_error_names_the_file_and_a_model_its_stem(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: not a .tflite model"):
        load_model(path)
    path.write_bytes(b"0000TFL3" + bytes(64))
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: "):
        load_model(path)
    path.write_bytes(demo.model_path().read_bytes())
    assert load_model(path).name == "text"


@pytest.mark.parametrize("data", [b"", b"TFL3", bytes(8), b"\0\0\0\0TFL2" + bytes(64)])
def test_other_files_are_refused(data):
    with pytest.raises(ModelError, match=r"m: not a \.tflite model"):
        parse_model(data, name="m")


def broken(change) -> str:
    b = small_builder()
    change(b)
    with pytest.raises(ModelError) as caught:
        parse_model(b.finish(), name="m")
    assert not isinstance(caught.value, UnsupportedModelError)
    return str(caught.value)


def test_buffer_of_wrong_size():
    def change(b):
        b.buffers[1] += b"\0"

    assert broken(change) == "m: tensor 'w', int8 [2, 3, 3, 2], takes 36 bytes, its buffer has 37"


def test_buffer_of_negative_shape():
    def change(b):
        b.tensors[1].shape = (-2, 3, 3, -2)

    assert "tensor 'w', int8 [-2, 3, 3, -2]" in broken(change)


def test_tensor_index_out_of_bounds():
    def change(b):
        b.operators[0].inputs[1] = 99

    assert broken(change) == ("m: operator 0 (CONV_2D) holds tensor index 99, there are 7 tensors")


def test_absent_output():
    def change(b):
        b.operators[0].outputs[0] = -1

    assert "holds tensor index -1" in broken(change)


def test_buffer_index_out_of_bounds():
    def change(b):
        b.tensors[1].buffer = 40

    assert broken(change) == "m: tensor 'w' names buffer 40 of 4"


def test_too_many_dimensions():
    def change(b):
        b.tensors[0].shape = (1,) * 9

    assert broken(change) == "m: tensor 'x' has 9 dimensions, more than 8"


def test_missing_options():
    def change(b):
        b.operators[0].table = None

    assert broken(change) == "m: operator 0 (CONV_2D) has no Conv2DOptions"


def test_options_of_another_operator():
    def change(b):
        b.operators[2].table, b.operators[2].fields = "AddOptions", {}

    assert broken(change) == "m: operator 2 (SOFTMAX) has no SoftmaxOptions"


def test_model_without_operators_or_outputs():
    assert broken(lambda b: b.operators.clear()) == "m: no operators"
    assert broken(lambda b: b.outputs.clear()) == "m: no inputs or no outputs"


def test_sparse_tensors_are_unsupported(monkeypatch):
    monkeypatch.setattr(tflite.Tensor, "Sparsity", lambda self: object())
    with pytest.raises(UnsupportedModelError, match="sparse format"):
        small_model()


def test_endless_vector_is_refused_at_once():
    data = bytearray(small_builder().finish())
    graph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    vector = graph._tab.Vector(graph._tab.Offset(10)) - 4  # length of the list of operators
    for claimed in (2**32 - 1, len(data) + 1):
        data[vector : vector + 4] = struct.pack("<I", claimed)
        with pytest.raises(ModelError, match="list of operators claims"):
            parse_model(bytes(data), name="m")


def test_overlapping_vectors_cannot_multiply_the_work():
    """Thousands of tensors name one and the same long list of scales: short file, endless model."""
    b = Builder()
    x = b.input((1, 4), 0.5)
    long = b.tensor((1,), [0.5] * 3000)
    others = [b.tensor((1,), 0.5) for _ in range(2000)]
    b.output(b.add(x, x))
    data = bytearray(b.finish())
    graph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    shared = graph.Tensors(long).Quantization()._tab.Pos
    for index in others:
        table = graph.Tensors(index)._tab
        field = table.Pos + table.Offset(12)  # the tensor's offset to its quantisation
        data[field : field + 4] = struct.pack("<I", shared - field)
    with pytest.raises(
        ModelError, match=r"quantisation of tensor 'tensor_.*' claims 3000 elements"
    ):
        parse_model(bytes(data), name="m")
    assert len(parse_model(b.finish(), name="m").tensors) == 2003


def mutations(data: bytes, seed: int, count: int):
    rng = random.Random(seed)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8, 32))):
            place = rng.randrange(8, len(mutant) - 4)
            kind = rng.randrange(3)
            if kind == 0:
                mutant[place] = rng.randrange(256)
            elif kind == 1:
                mutant[place] ^= 1 << rng.randrange(8)
            else:
                place &= ~3
                word = rng.choice((0, 1, 9, 2**31 - 1, 2**31, 2**32 - 1, rng.getrandbits(32)))
                mutant[place : place + 4] = struct.pack("<I", word)
        yield bytes(mutant[: rng.randrange(8, len(mutant))] if rng.random() < 0.05 else mutant)


def refusal(data: bytes) -> str:
    """Return why a model is refused, or nothing; no other exception may come out."""
    try:
        model = parse_model(data, name="m")
        ops.check_supported(model)
        sum(ops.macs(model, node) for node in model.nodes)
    except ModelError as error:
        return str(error)
    return ""


def test_any_bytes_parse_or_raise_model_error():
    data = small_builder().finish()
    for mutant in mutations(data, seed=1, count=3000):
        assert "\n" not in refusal(mutant)
    assert refusal(data) == ""
    for length in range(0, len(data) // 2, 7):
        assert refusal(data[:length])


def test_any_bytes_with_two_subgraphs_parse_or_raise_model_error():
    b = Builder()
    x = b.input((1, 4), 0.5)
    init = b.call_once()
    init.assign_variable(init.var_handle("v"), init.constant(np.ones((1, 4), np.int8), 0.5))
    handle = b.var_handle("v")
    b.output(b.add(x, b.read_variable(handle, (1, 4), 0.5)))
    b.assign_variable(handle, x)
    data = b.finish()
    assert refusal(data) == ""
    for mutant in mutations(data, seed=2, count=3000):
        assert "\n" not in refusal(mutant)


def test_mutated_real_models_parse_or_raise_model_error(shared_models):
    for seed, path in enumerate(sorted(shared_models.glob("*/*.tflite"))):
        for mutant in mutations(path.read_bytes(), seed, count=40):
            assert "\n" not in refusal(mutant)


# --- Changing


def test_with_weights_changes_nothing_but_the_weights():
    model = small_model()
    changed = with_weights(model, {1: -WEIGHTS})
    assert np.array_equal(changed.tensors[1].data, -WEIGHTS)
    assert np.array_equal(model.tensors[1].data, WEIGHTS)
    assert len(changed.source) == len(model.source)
    place = model.source.index(WEIGHTS.tobytes())
    assert changed.source[:place] == model.source[:place]
    assert changed.source[place + 36 :] == model.source[place + 36 :]
    assert changed.name == "small"


def test_with_weights_changes_biases_too():
    bias = np.array([2**30, -(2**31)], np.int32)
    assert np.array_equal(with_weights(small_model(), {2: bias}).tensors[2].data, bias)


def test_with_weights_takes_arrays_of_any_layout():
    fortran = np.asfortranarray(WEIGHTS[::-1])
    assert np.array_equal(with_weights(small_model(), {1: fortran}).tensors[1].data, WEIGHTS[::-1])


@pytest.mark.parametrize(
    ("index", "array", "reason"),
    [
        (0, np.zeros((1, 6, 5, 2), np.int8), "'x' is not a constant"),
        (1, np.zeros((2, 3, 3, 3), np.int8), r"'w' is int8 \[2, 3, 3, 2\], the new values are"),
        (1, np.zeros((2, 3, 3, 2), np.int16), r"new values are int16 \[2, 3, 3, 2\]"),
        (7, np.zeros(1, np.int8), "there is no tensor 7"),
        (-1, np.zeros(1, np.int8), "there is no tensor -1"),
    ],
)
def test_with_weights_refuses(index, array, reason):
    with pytest.raises(ModelError, match=reason):
        with_weights(small_model(), {index: array})


def shared_model():
    b = Builder()
    x = b.input((1, 4), 0.5)
    first = b.constant(np.eye(4, dtype=np.int8), 0.5, name="first")
    second = b.constant(np.eye(4, dtype=np.int8), 0.25, name="second", share=first)
    y = b.fully_connected(x, first, scale=1.0)
    b.output(b.fully_connected(y, second, scale=1.0))
    return parse_model(b.finish(), name="m"), first, second


def test_with_weights_refuses_shared_bytes():
    model, first, second = shared_model()
    assert [other.index for other in model.sharers(first)] == [second]
    assert model.sharers(model.inputs[0]) == ()
    new = np.ones((4, 4), np.int8)
    with pytest.raises(ModelError, match="'first' and 'second' share their bytes"):
        with_weights(model, {first: new})
    with pytest.raises(ModelError, match="share their bytes"):
        with_weights(model, {first: new, second: -new})
    changed = with_weights(model, {first: new, second: new})
    assert np.array_equal(changed.tensors[second].data, new)


def test_str_ww_shares_one_bias_buffer_between_three_tensors(shared_models):
    model = load_model(shared_models / "str_ww" / "str_ww.tflite")
    shared = [tensor.index for tensor in model.tensors if tensor.data is not None]
    shared = [index for index in shared if model.sharers(index)]
    assert len(shared) == 3
    assert {model.tensors[index].dtype for index in shared} == {"int32"}


def test_save_model_round_trip(tmp_path):
    path = tmp_path / "out.tflite"
    path.write_bytes(b"old")
    model = small_model()
    save_model(model, path)
    assert path.read_bytes() == model.source
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.tflite"]


def test_save_model_into_nowhere_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        save_model(small_model(), tmp_path / "absent" / "out.tflite")


# --- Real models


def test_real_models_parse(shared_models):
    paths = sorted(shared_models.glob("*/*.tflite"))
    assert len(paths) == 13
    for path in paths:
        model = load_model(path)
        assert model.source == path.read_bytes()
        assert all(
            tensor.data.nbytes == tensor.elements * tensor.data.itemsize
            for tensor in model.tensors
            if tensor.data is not None
        )


def test_person_detect_keeps_the_odd_axis_of_its_biases(shared_models):
    model = load_model(shared_models / "person_detect" / "person_detect.tflite")
    biases = [tensor for tensor in model.tensors if tensor.dtype == "int32" and tensor.quantization]
    assert any(tensor.quantization.axis == 3 for tensor in biases if len(tensor.shape) == 1)


def test_scales_are_multiplied_in_place():
    b = Builder()
    x = b.input((1, 2), 0.5)
    w = b.constant(np.ones((2, 2), np.int8), [0.25, 0.5])
    b.output(b.fully_connected(x, w, scale=1.0))
    model = parse_model(b.finish(), name="m")
    changed = with_scales(model, {w: np.array([3.0, 2.0])})
    assert changed.tensors[w].quantization.scales == (0.75, 1.0)
    assert changed.tensors[x].quantization == model.tensors[x].quantization
    assert len(changed.source) == len(model.source)
    with pytest.raises(ModelError, match="no scales of its own"):
        with_scales(float_model(), {0: np.array([2.0])})
    with pytest.raises(ModelError, match=r"has 2 scales, given are factors \[1\]"):
        with_scales(model, {w: np.array([2.0])})
    assert has_own_scales(model, w)
    assert not has_own_scales(float_model(), 0)


def float_model():
    b = Builder()
    b.output(b.softmax(b.input((1, 2), None, dtype="float32")))
    return parse_model(b.finish(), name="m")
