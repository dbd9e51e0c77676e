"""What is supported: real models, and the operands of FULLY_CONNECTED."""

import dataclasses

import numpy as np
import pytest

from edgesparse import ops, oracle
from edgesparse.errors import UnsupportedModelError
from edgesparse.model import load_model
from edgesparse.ops import check_supported
from tests.tflite_builder import Builder, parsed

# Multiply-accumulates as published with the shared models.
ACCEPTED = {
    "mww2_vad": 13_760,
    "resnet8_cifar10": 12_501_632,
    "resnet_large_cifar10": 76_473_920,
    "ds_cnn_kws": 2_656_768,
    "str_ww": 826_368,
    "person_detect": 7_157_888,
    "micro_speech": 336_000,
    "hello_world": 288,
    "lenet_300_100": 266_200,
    "mcunet_person_det": 18_296_320,
}
REFUSED = {
    "mnist_lstm": {("UNIDIRECTIONAL_SEQUENCE_LSTM", "operator is not supported")},
    "keyword_scrambled_8bit": {
        ("QUANTIZE", "output is int32, only int8 is supported"),
        ("QUANTIZE", "int16 input is not an input of the model"),
        ("SVDF", "operator is not supported"),
        ("SOFTMAX", "output is int16, only int8 is supported"),
    },
    "mobilenet_v1_025_128_uint8": {
        ("CONV_2D", "input is uint8, only int8 is supported"),
        (
            "CONV_2D",
            "weights are uint8 with zero point 134, only int8 with zero point 0 is supported",
        ),
    },
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_models(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    check_supported(model)
    assert sum(ops.macs(model, node) for node in model.nodes) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_models(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(model)
    reasons = {(operator, reason) for operator, _, reason in caught.value.offenders}
    assert reasons >= REFUSED[name]
    assert all(tensor for _, tensor, _ in caught.value.offenders)


def test_every_offending_operator_is_named_at_once(shared_models):
    name = "keyword_scrambled_8bit"
    model = load_model(shared_models / name / f"{name}.tflite")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(model)
    named = {tensor for operator, tensor, _ in caught.value.offenders if operator == "SVDF"}
    assert named == {
        model.tensors[node.outputs[0]].label for node in model.nodes if node.op == "SVDF"
    }


def test_host_operators_of_lenet(shared_models):
    model = load_model(shared_models / "lenet_300_100" / "lenet_300_100.tflite")
    hosted = [node.op for node in model.nodes if ops.on_host(model, node)]
    assert hosted == ["QUANTIZE", "DEQUANTIZE", "LOG_SOFTMAX"]


# --- FULLY_CONNECTED


@pytest.mark.parametrize(
    ("shape", "keep", "out_shape", "batches"),
    [
        ((1, 12), False, (1, 5), 1),
        ((2, 3, 12), False, (6, 5), 6),
        ((1, 2, 3, 2), False, (1, 5), 1),
        ((2, 3, 12), True, (2, 3, 5), 6),
        ((12,), False, (1, 5), 1),
    ],
)
def test_fully_connected_geometry(shape, keep, out_shape, batches):
    b = Builder()
    x = b.input(shape, 0.5)
    w = b.constant(np.ones((5, 12), np.int8), 0.5)
    b.output(b.fully_connected(x, w, scale=1.0, keep_num_dims=keep))
    model = parsed(b)
    check_supported(model)
    node = model.nodes[0]
    assert dataclasses.astuple(node.options.geometry(model, node)) == (batches, 12, 5)
    assert ops.macs(model, node) == batches * 60
    ((output,),) = oracle.run(model, np.zeros((1, *shape), np.int8))
    assert output.shape == model.tensors[model.outputs[0]].shape == out_shape


def test_weight_index():
    b = Builder()
    x = b.input((1, 4), 0.5)
    w = b.constant(np.ones((4, 4), np.int8), 0.5)
    y = b.fully_connected(x, w)
    b.output(b.add(x, y), b.softmax(y))
    assert [ops.weight_index(node) for node in parsed(b).nodes] == [w, None, None]
