"""Sweeps: which points, the Pareto front, and going on where one was stopped."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from edgesparse import demo, sweep
from edgesparse.cli import main
from edgesparse.errors import FormatError, MissingToolError, UsageError
from edgesparse.sparsify import Rule
from edgesparse.sweep import Sweep, mark_front, points_of, render_sweep, run_sweep
from edgesparse.sweep_plot import plot_sweep

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
        dict(zip(keys, numbers, strict=True)) | {"measured": None}
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

    for point, measured in zip(points, (100, 101, 110, 90, 90, 90), strict=True):
        point["measured"] = measured
    mark_front(points)
    assert [point["pareto"] for point in points] == [True, False, True, False, False, True]


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
    options = ("sweep", "-s", "0.5", "--granularity", "element,1x4", "-n", "5", "--no-measure")
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


def test_without_the_board_costs_are_predicted(tmp_path, monkeypatch):
    def missing(*_):
        raise MissingToolError("QEMU", "apt-get install qemu-system-arm")

    monkeypatch.setattr(sweep, "deployed", missing)
    file, told = tmp_path / "points.jsonl", []
    document = run_sweep(replace(plan(), board="qemu"), file, told.append)
    assert "not measured: QEMU is missing" in told[1]
    assert [point["measured"] for point in document["points"]] == [None] * 3
    assert document["points"] == run_sweep(plan(), file, silent)["points"]


def drawn(tmp_path):
    """A document of points that were not measured all, and where to draw them."""
    points = []
    for method, granularity, sparsity, measured in (
        ("none", "element", 0.1, 900.0),
        ("topk", "element", 0.5, 500.0),
        ("topk", "1x4", 0.5, None),
        ("flat", "element", 0.3, 700.0),
    ):
        points.append(
            {
                "method": method,
                "granularity": granularity,
                "sparsity": sparsity,
                "accuracy": 1.0 - sparsity,
                "flash_bytes": round(1000 * (1 - sparsity)),
                "predicted_instructions": round(1000 * (1 - sparsity)),
                "measured": measured,
                "unit": None if measured is None else "instructions",
                "pareto": method != "flat",
            }
        )
    return {"model": "m", "points": points}, tmp_path / "plot.svg"


def test_the_plot_has_every_line(tmp_path):
    document, path = drawn(tmp_path)
    plot_sweep(document, path)
    root = ElementTree.fromstring(path.read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    ids = {element.get("id") for element in root.iter()}
    for shown in ("accuracy", "flash_bytes", "predicted_instructions", "measured"):
        for series in ("topk element", "topk 1x4", "flat element", "front"):
            assert f"{shown} {series}" in ids
    again = tmp_path / "again.svg"
    plot_sweep(document, again)
    assert again.read_bytes() == path.read_bytes()
    plot_sweep(document, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_plot_that_cannot_be_drawn_is_refused_first(tmp_path, capsys, monkeypatch):
    assert main(["sweep", "--plot", str(tmp_path / "plot.pdf")]) == 2
    assert "is neither .svg nor .png" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["sweep", "--plot", str(tmp_path / "plot.svg")]) == 5
    assert "matplotlib is missing" in capsys.readouterr().err
