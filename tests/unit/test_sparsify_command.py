"""sparsify, and what the other commands show of thinning: one run each through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgesparse import demo, oracle
from edgesparse.cli import main
from edgesparse.model import load_model

POLICY = """
default = {method = "topk", value = 0.5}
layer = [{match = "dense_2", method = "relative", value = 0.9, granularity = "1x4"}]
block = [{name = "convolutions", match = "conv2d"}, {name = "head", match = "dense"}]
"""


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")


def run(capsys, *arguments):
    """The JSON document that a command prints; it must end well."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_sparsify_writes_a_model_that_the_oracle_runs(capsys):
    document = run(capsys, "sparsify", "-o", "out.tflite", "-m", "flat", "--value", "0.05")
    before, after = load_model(demo.model_path()), load_model("out.tflite")
    assert document["output"] == "out.tflite"
    assert len(after.source) == len(before.source) == document["tflite_bytes"]
    spans = []
    for index in (0, 1, 3, 5, 6):
        tensor = before.tensors[before.nodes[index].inputs[1]]
        by_row = np.array(tensor.quantization.scales).reshape(-1, *[1] * (tensor.data.ndim - 1))
        spans.append(float(np.ptp(tensor.data * by_row)))
    assert {row["threshold"] for row in document["layers"]} == {0.05 * min(spans)}
    for row in document["layers"]:
        data = after.tensors[after.nodes[row["node_index"]].inputs[1]].data
        assert int((data == 0).sum()) == row["zeros_after"] > row["zeros_before"]
    with np.load(demo.data_path()) as data:
        rows = data["x"][:2]
    assert len(oracle.run(after, rows)) == 2


def test_sparsify_without_output_writes_nothing(capsys, tmp_path):
    document = run(capsys, "sparsify", "--policy", "policy.toml")
    assert document["output"] is None
    assert [each.name for each in tmp_path.iterdir()] == ["policy.toml"]
    by_index = {row["node_index"]: row for row in document["layers"]}
    assert by_index[5]["names"][0] == "sequential_1/dense_2/MatMul"
    assert (by_index[5]["method"], by_index[5]["granularity"]) == ("relative", "1x4")
    assert (by_index[0]["method"], by_index[0]["granularity"]) == ("topk", "element")


def test_sparsify_shows_a_table(capsys):
    assert main(["sparsify", "-m", "topk", "-s", "0.9", "--granularity", "1x4"]) == 0
    shown = capsys.readouterr().out
    assert "topk 1x4" in shown
    assert "39,240" in shown


def test_the_demo_reads_alike_from_an_image_and_a_saved_model(capsys):
    options = ("-m", "triangular", "--value", "0.05,0.05")
    main(["sparsify", "-o", "out.tflite", *options])
    capsys.readouterr()
    thin = run(capsys, "analyze", "out.tflite")
    same = run(capsys, "analyze", *options)
    assert thin["layers"] == same["layers"]
    assert thin["source_sha256"] == same["source_sha256"]


def test_analyze_compares_granularities(capsys):
    document = run(capsys, "analyze", "-m", "topk", "-s", "0.9", "--granularities")
    rows = {(row["granularity"], row["encoding"]): row for row in document["storage"]}
    dense = rows["", "dense"]
    weights = sum(row["weights"] for row in document["layers"])
    zeros = sum(row["weight_zeros"] for row in document["layers"])
    assert dense["bytes"] == weights == rows["element", "bitmap"]["index_bits"]
    assert rows["element", "run8"]["stored_groups"] == weights - zeros
    assert main(["analyze", "--granularities"]) == 0
    assert "index bits" in capsys.readouterr().out


def test_blocks_are_in_the_analysis_and_in_the_summary_of_runs(capsys):
    analysis = run(capsys, "analyze", "--policy", "policy.toml", "--blocks")
    data = str(demo.data_path())
    options = ("--board", "native", "--inputs", data, "--runs", "3")
    summary = run(capsys, "deploy", "--policy", "policy.toml", *options)
    for document in (analysis, summary):
        convolutions, head = document["blocks"]
        assert (convolutions["name"], convolutions["layers"]) == ("convolutions", [0, 1, 3])
        own = [document["layers"][index] for index in (0, 1, 3)]
        assert convolutions["weight_zeros"] == sum(row["weight_zeros"] for row in own)
        assert convolutions["last_layer"] == 3
        assert (head["layers"], head["last_layer"]) == ([5, 6], 6)
    last = summary["layers"][3]
    assert summary["blocks"][0]["activation_zeros"] == last["activation_zeros"] > 0
    assert main(["analyze", "--policy", "policy.toml", "--blocks"]) == 0
    assert "convolutions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sparsify", "-m", "flat"], "method flat takes 1 value, given 0"),
        (["sparsify", "-m", "flt", "--value", "0.1"], "did you mean 'flat'?"),
        (["sparsify", "--granularity", "2x2"], "unknown granularity '2x2'"),
        (["analyze", "--blocks"], "no scopes to make blocks of"),
        (["convert", "--policy", "policy.toml", "-m", "topk"], "--policy stands in the place"),
        (["deploy", "--policy", "none.toml"], "none.toml"),
    ],
)
def test_wrong_options(capsys, arguments, said):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
