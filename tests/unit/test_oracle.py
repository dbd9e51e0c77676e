import importlib
import importlib.metadata
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.errors import MissingToolError, ModelError, TargetError, UsageError
from edgesparse.model import load_model, with_weights
from edgesparse.ops import activation_range
from tests.tflite_builder import Builder, parsed

# How many rows of each data set to run: all of the quick ones.
ROWS = {
    "hello_world": 256,
    "lenet_300_100": 200,
    "micro_speech": 400,
    "ds_cnn_kws": 200,
    "str_ww": 45,
    "person_detect": 44,
    "resnet8_cifar10": 60,
    "resnet_large_cifar10": 8,
    "mcunet_person_det": 2,
}


def add_model():
    b = Builder()
    x, y = b.input((1, 4), 0.5, name="x"), b.input((2, 2), 0.5, name="y")
    b.output(b.add(x, b.reshape(y, (1, 4)), scale=0.5))
    return parsed(b)


@pytest.mark.parametrize("name", ROWS)
def test_golden_outputs(shared_models, name):
    model = load_model(shared_models / name / f"{name}.tflite")
    data = np.load(shared_models / name / "data.npz")
    x = data["x"][: ROWS[name]]
    if "x_scale" in data:
        x = x.astype(np.float32) * data["x_scale"] - data["x_mean"]
    results = oracle.run(model, x)
    assert len(results) == len(x) == ROWS[name]
    for number in range(len(model.outputs)):
        golden = data[f"golden{number or ''}"][: len(x)]
        ours = np.stack([outputs[number] for outputs in results]).reshape(golden.shape)
        assert ours.dtype == golden.dtype
        assert np.array_equal(ours, golden)


def test_run_layers_keeps_every_tensor(shared_models):
    model = load_model(shared_models / "resnet8_cifar10" / "resnet8_cifar10.tflite")
    row = np.load(shared_models / "resnet8_cifar10" / "data.npz")["x"][0]
    layers = oracle.run_layers(model, row)
    assert set(layers) == {
        *model.inputs,
        *(index for node in model.nodes for index in node.outputs),
    }
    assert all(layers[index].shape == model.tensors[index].shape for index in layers)
    assert np.array_equal(layers[model.inputs[0]].ravel(), row.ravel())
    ((output,),) = oracle.run(model, row[np.newaxis])
    assert np.array_equal(layers[model.outputs[0]], output)
    # A plain run, even one that keeps all tensors, writes a sum over one of its summands.
    adds = [node for node in model.nodes if node.op == "ADD"]
    assert len(adds) == 3
    for add in adds:
        parts = [(layers[index], *model.tensors[index].affine()) for index in add.inputs]
        real = sum((codes.astype(float) - zero_point) * scale for codes, scale, zero_point in parts)
        scale, zero_point = model.tensors[add.outputs[0]].affine()
        low, high = activation_range(add.options.activation, scale, zero_point)
        codes = np.clip(real / scale + zero_point, low, high)
        assert np.abs(codes - layers[add.outputs[0]]).max() < 0.51


def test_models_with_several_inputs():
    first = np.array([[1, 2, 3, 4], [10, 20, 30, 40]], np.int8)
    second = np.array([[[5, 6], [7, 8]], [[1, 1], [1, 1]]], np.int8)
    results = oracle.run(add_model(), [first, second])
    assert [outputs[0].tolist() for outputs in results] == [[[6, 8, 10, 12]], [[11, 21, 31, 41]]]
    layers = oracle.run_layers(add_model(), [first[0], second[0]])
    assert [layers[index].ravel().tolist() for index in sorted(layers)] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [5, 6, 7, 8],
        [6, 8, 10, 12],
    ]


def test_results_do_not_alias():
    results = oracle.run(add_model(), [np.ones((2, 4), np.int8), np.ones((2, 4), np.int8)])
    results[0][0][:] = 99
    assert results[1][0].tolist() == [[2, 2, 2, 2]]


def test_no_rows():
    assert oracle.run(add_model(), [np.zeros((0, 4), np.int8), np.zeros((0, 4), np.int8)]) == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (np.zeros((1, 4), np.int8), "1 inputs given, the model has 2"),
        ([np.zeros((1, 4), np.int8)] * 3, "3 inputs given"),
        ([np.zeros((1, 4), np.uint8)] * 2, r"input 'x' takes rows of int8 \[1, 4\], given uint8"),
        ([np.zeros((1, 5), np.int8)] * 2, r"given int8 \[1, 5\]"),
        ([np.zeros((), np.int8)] * 2, r"given int8 \[\]"),
        ([np.zeros((1, 4), np.int8), np.zeros((2, 4), np.int8)], "different numbers of rows"),
    ],
)
def test_rows_that_do_not_fit(rows, reason):
    with pytest.raises(UsageError, match=reason):
        oracle.run(add_model(), rows)


def test_models_that_the_interpreter_refuses():
    b = Builder()
    x = b.input((1, 4), 0.5)
    b.output(b.softmax(x, scale=0.5))
    with pytest.raises(ModelError, match="m: the interpreter refuses it"):
        oracle.run(parsed(b), np.zeros((1, 4), np.int8))


def test_an_axis_outside_one_dimension_is_mended_in_a_copy():
    b = Builder()
    x = b.input((1, 2, 2, 1), 0.5)
    w = b.constant(np.ones((3, 1, 1, 1), np.int8), [0.5] * 3)
    bias = b.bias([4, 8, 12], x, w)
    b.tensors[bias].axis = 3
    b.output(b.conv_2d(x, w, bias, scale=0.25))
    model = parsed(b)
    before = model.source
    ((output,),) = oracle.run(model, np.zeros((1, 2, 2, 1), np.int8))
    assert output[0, 0, 0].tolist() == [4, 8, 12]
    assert model.source == before
    assert model.tensors[bias].quantization.axis == 3


def test_changed_weights_take_effect():
    b = Builder()
    x = b.input((1, 2), 1.0)
    w = b.constant(np.array([[1, 0], [0, 1]], np.int8), 1.0)
    b.output(b.fully_connected(x, w, scale=1.0))
    changed = with_weights(parsed(b), {w: np.array([[0, 1], [2, 0]], np.int8)})
    ((output,),) = oracle.run(changed, np.array([[3, 5]], np.int8))
    assert output.tolist() == [[5, 6]]


# --- Which interpreter


def pretend(monkeypatch, **versions):
    """Make exactly these packages importable, with dashes for underscores."""
    packages = {name.replace("_", "-"): version for name, version in versions.items()}

    def import_module(name):
        if name.split(".")[0].replace("_", "-") not in packages:
            raise ImportError(name)
        return SimpleNamespace(name=name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(importlib.metadata, "version", packages.__getitem__)


def test_name_of_the_installed_interpreter():
    assert oracle.oracle_name().replace(" ", "==") == oracle.wanted_packages()[0]


def test_the_package_depends_on_what_is_wanted():
    requires = importlib.metadata.requires("edgesparse")
    assert requires is not None
    names = {text.partition(";")[0].strip() for text in requires}
    assert set(oracle.wanted_packages()) <= names


@pytest.mark.parametrize(
    ("python", "packages"),
    [
        ((3, 10), ("tflite-runtime==2.14.0", "numpy<2")),
        ((3, 11, 9), ("tflite-runtime==2.14.0", "numpy<2")),
        ((3, 12), ("ai-edge-litert==1.2.0",)),
        ((3, 13), ()),
    ],
)
def test_each_python_has_its_oracle(monkeypatch, python, packages):
    monkeypatch.setattr(sys, "version_info", python)
    assert oracle.wanted_packages() == packages


def test_where_no_oracle_is_released_nothing_is_to_be_installed(monkeypatch):
    pretend(monkeypatch)
    monkeypatch.setattr(sys, "version_info", (3, 13))
    with pytest.raises(TargetError, match="is released for this Python") as caught:
        oracle.oracle_name()
    assert not isinstance(caught.value, MissingToolError)


def test_tflite_runtime_comes_first(monkeypatch):
    pretend(monkeypatch, tflite_runtime="2.14.0", ai_edge_litert="1.2.0")
    assert oracle.oracle_name() == "tflite-runtime 2.14.0"


@pytest.mark.parametrize("version", ["1.2.0", "1.3.9", "1.0.1"])
def test_litert_serves_below_1_4(monkeypatch, version):
    pretend(monkeypatch, ai_edge_litert=version)
    assert oracle.oracle_name() == f"ai-edge-litert {version}"


@pytest.mark.parametrize("version", ["1.4.0", "1.10.2", "2.0.0"])
def test_litert_is_refused_from_1_4_on(monkeypatch, version):
    pretend(monkeypatch, ai_edge_litert=version)
    with pytest.raises(MissingToolError, match=rf"ai-edge-litert {version} rounds differently"):
        oracle.oracle_name()


def test_no_interpreter_names_the_command(monkeypatch):
    pretend(monkeypatch)
    with pytest.raises(MissingToolError) as caught:
        oracle.run(add_model(), [np.zeros((1, 4), np.int8)] * 2)
    assert caught.value.command.startswith("pip install ")
