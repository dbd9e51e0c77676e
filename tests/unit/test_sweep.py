"""Sweeps: which points, the Pareto front, and going on where one was stopped."""

import json

import numpy as np
import pytest

from edgesparse import demo, sweep
from edgesparse.cli import main
from edgesparse.errors import FormatError, UsageError
from edgesparse.sparsify import Rule
from edgesparse.sweep import Sweep, mark_front, points_of, render_sweep, run_sweep

POINTS = (Rule(), Rule("topk", (0.9,)), Rule("flat", (0.05,)))


def silent(_):
    pass


def plan(points=POINTS):
    return Sweep(None, demo.data_path(), points, rows=20)


def test_points():
    found = points_of(["topk", "triangular"], ["element", "1x4"], shares=[0.5, 0.9], values=[0.1])
    assert found == (
        Rule(),
        Rule("topk", (0.5,)),
        Rule("topk", (0.9,)),
        Rule("topk", (0.5,), "1x4"),
        Rule("topk", (0.9,), "1x4"),
        Rule("triangular", (0.1, 0.1)),
        Rule("triangular", (0.1, 0.1), "1x4"),
    )
    assert points_of(["none"], ["element"], shares=[], values=[]) == (Rule(),)
    with pytest.raises(UsageError, match="method flat takes --value"):
        points_of(["flat"], ["element"], shares=[0.5], values=[])


def test_the_front():
    keys = ("accuracy", "flash_bytes", "predicted_instructions")
    points = [
        dict(zip(keys, numbers, strict=True))
        for numbers in (
            (0.9, 100, 100),
            (0.9, 100, 100),  # as good as the first: neither is better
            (0.9, 90, 110),
            (0.8, 100, 99),
            (0.8, 100, 100),  # worse than the first
            (0.89, 95, 111),  # worse than the third
        )
    ]
    mark_front(points)
    assert [point["pareto"] for point in points] == [True, True, True, True, False, False]


def test_a_sweep_measures_and_goes_on(tmp_path, monkeypatch):
    file = tmp_path / "points.jsonl"
    told = []
    whole = run_sweep(plan(), file, told.append)
    assert told == ["1 of 3: none", "2 of 3: topk 0.9", "3 of 3: flat 0.05"]
    first, topk, flat = whole["points"]
    assert (first["accuracy"], first["rows"]) == (1.0, 20)
    assert topk["sparsity"] == pytest.approx(0.9, abs=0.001)
    assert topk["flash_bytes"] < flat["flash_bytes"] < first["flash_bytes"]
    assert topk["predicted_instructions"] < first["predicted_instructions"]
    lines = file.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["method"] for line in lines] == ["none", "topk", "flat"]

    # Stopped while the last line was written.
    file.write_bytes(b"".join(lines)[:-5])
    told.clear()
    assert run_sweep(plan(), file, told.append) == whole
    assert told == ["3 of 3: flat 0.05"]
    assert file.read_bytes() == b"".join(lines)

    def refuse(*_):
        raise AssertionError("everything was there")

    monkeypatch.setattr(sweep, "_measure", refuse)
    assert run_sweep(plan(POINTS[1:]), file, silent)["points"][0]["method"] == "topk"


def test_a_file_of_something_else_is_left_alone(tmp_path):
    file = tmp_path / "points.jsonl"
    file.write_text('{"method": "none"}\n', encoding="utf-8")
    with pytest.raises(FormatError, match="line 1 is not a point of a sweep"):
        run_sweep(plan(), file, silent)
    assert file.read_text(encoding="utf-8") == '{"method": "none"}\n'


def test_data_without_labels(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((1, 8, 8, 1), np.int8))
    with pytest.raises(UsageError, match="has no labels"):
        run_sweep(Sweep(None, tmp_path / "data.npz", POINTS), tmp_path / "p.jsonl", silent)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ("sweep", "-s", "0.5", "--granularity", "element,1x4", "-n", "5")
    assert main([*options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["file"] == "digits-sweep.jsonl"
    assert [(p["method"], p["granularity"]) for p in document["points"]] == [
        ("none", "element"),
        ("relative", "element"),
        ("relative", "1x4"),
    ]
    assert main(list(options)) == 0
    assert "1x4" in capsys.readouterr().out
    assert render_sweep(document).row_count == 3
    assert main(["sweep", str(demo.model_path())]) == 2
    assert "--data is missing" in capsys.readouterr().err
