"""Compensation of the bundled model, and the commands."""

import json
from dataclasses import replace

import numpy as np

from edgesparse import demo
from edgesparse.calibration import drawn
from edgesparse.cli import main
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import load_model
from edgesparse.rows import device_rows
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import (
    compensate_model,
)
from edgesparse.sparsify.compensate.layer import find_layers
from edgesparse.sparsify.evaluate import agreement
from tests.small_network import network, outputs_of, rows_for_network


def demo_rows(inputs, rows):
    return device_rows(load_model(demo.model_path()), inputs, rows)


def test_the_demo_agrees_with_itself_where_thresholding_does_not():
    model, inputs = load_model(demo.model_path()), load_inputs(demo.data_path())
    calibration = drawn(inputs)
    assert len(calibration.rows) == len(calibration.others) == 180
    rows = demo_rows(inputs, calibration.rows)
    rule = Rule("topk", (0.85,))
    plain, _ = sparsify(model, rule)
    changed, _ = compensate_model(model, replace(rule, compensate=True), rows)
    others = calibration.others
    before, after = (agreement(thin, model, inputs, others).share for thin in (plain, changed))
    assert after >= before + 0.1
    assert after >= 0.95


def write_case(folder, labels=True):
    model = network()
    (folder / "m.tflite").write_bytes(model.source)
    x = rows_for_network(model, 60)[model.inputs[0]]
    y = {"y": outputs_of(model, {model.inputs[0]: x}).argmax(axis=1)} if labels else {}
    np.savez(folder / "d.npz", x=x, **y)
    data = str(folder / "d.npz")
    return ["sparsify", str(folder / "m.tflite"), "--compensate", "--calibration", data]


def test_the_command_writes_a_model_and_tells_its_accuracy(tmp_path, capsys):
    command = [*write_case(tmp_path), "-o", str(tmp_path / "o.tflite"), "-s", "0.5"]
    assert main([*command, "--calibration-rows", "0-39"]) == 0
    told = capsys.readouterr().out
    assert "compensated on 40 rows" in told
    assert "of 20 other rows" in told
    assert "before 100.0 ± 0.0 %" in told
    layers = find_layers(load_model(tmp_path / "o.tflite"))
    assert sum(layer.zeros for layer in layers if not layer.is_depthwise) == 756


def test_the_command_without_labels_or_other_rows(tmp_path, capsys):
    command = [*write_case(tmp_path, labels=False), "-m", "topk", "-s", "0.2"]
    assert main([*command, "--calibration-rows", "0-59", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["calibration"] == {"rows": 60, "agreement": None, "accuracy": None}
    assert [row["compensated"] for row in document["layers"]] == [True, False, True, True]
    assert main([*command, "--calibration-rows", "0-60"]) == 2
    assert "has rows 0-59, not up to 60" in capsys.readouterr().err


def test_options_that_do_not_belong_together(tmp_path, capsys):
    case = write_case(tmp_path)
    assert main([*case[:3], "-s", "0.5"]) == 2
    assert "compensation needs input rows" in capsys.readouterr().err
    assert main([*case, "-m", "topk", "-s", "0.5", "--allocation", "macs"]) == 2
    assert "--allocation shares out --sparsity" in capsys.readouterr().err
    assert main([*case[:3], "-s", "0.5", "--calibration-rows", "0-9"]) == 2
    assert "--calibration-rows needs --calibration" in capsys.readouterr().err


def test_deploy_calibrates_on_the_rows_that_it_does_not_run(tmp_path, capsys):
    case = write_case(tmp_path)
    command = ["deploy", case[1], "--board", "native", "--inputs", str(tmp_path / "d.npz")]
    command += ["--log", str(tmp_path / "log"), "--json", "-m", "topk", "-s", "0.5", "--compensate"]
    assert main([*command, "--runs", "20"]) == 0
    found = json.loads(capsys.readouterr().out)["sparsify"]["layers"]
    assert [row["compensated"] for row in found] == [True, True, True]
    assert [row["zeros_after"] for row in found] == [108, 216, 432]
    assert main([*command, "--runs", "60"]) == 2
    assert "compensation needs input rows" in capsys.readouterr().err


def test_half_of_the_rows_are_drawn_with_the_same_classes():
    labels = np.tile(np.arange(10), 20)  # every other row would have half of the classes
    inputs = Inputs((np.zeros((200, 1), np.int8),), labels)
    found = drawn(inputs)
    assert np.bincount(labels[list(found.rows)]).tolist() == [10] * 10
    assert sorted([*found.rows, *found.others]) == list(range(200))
    among = drawn(inputs, among=range(50, 90))
    assert among.rows == tuple(range(50, 90))
    many = drawn(Inputs((np.zeros((4000, 1), np.int8),)))
    assert len(many.rows) == 500
