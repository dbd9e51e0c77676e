"""host/accuracy: halves of rows, points, table, plot."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgesparse.calibration import MOST_ROWS
from edgesparse.model import parse_model
from edgesparse.sparsify import sparsify
from edgesparse.sparsify.evaluate import Accuracy
from host.accuracy import measure, page, points
from tests.tflite_builder import Builder

ROOT = Path(__file__).parents[2]


def entries():
    half = [Accuracy(40, 50), Accuracy(41, 50)]
    return [
        page._entry("m", "dense", 0.0, half),
        page._entry("m", "topk", 0.5, [Accuracy(25, 100)]),
        page._entry("m", "compensated", 0.3, [Accuracy(80, 100)]),
        page._entry("m", "compensated", 0.5, [Accuracy(100, 100)]),
    ]


def test_calibration_takes_rows_from_all_of_a_half():
    half = np.arange(1000, 3000)
    rows = measure.calibration(half)
    assert len(rows) == MOST_ROWS
    assert (rows[0], rows[-1]) == (1000, 2999)
    assert measure.calibration(half[:7]) == half[:7].tolist()


def test_the_table_has_a_row_a_way_and_a_column_a_share():
    lines = page.table(entries()).splitlines()
    assert lines[0] == "| model (rows) | way | dense | 30 % | 50 % |"
    assert lines[2:] == [
        "| m (100) | topk | 81.0 ± 3.9 |  | 25.0 ± 4.3 |",
        "| m (100) | compensated | 81.0 ± 3.9 | 80.0 ± 4.0 | 100.0 ± 0.0 |",
    ]


def test_the_plot_is_the_same_for_the_same_numbers(tmp_path):
    for name in ("a.svg", "b.svg"):
        page.plot(entries(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


def test_the_document_needs_its_markers_once():
    block = "<!-- accuracy -->\n{}<!-- end accuracy -->"
    assert page.rewritten(block.format("old\n"), "new\n") == block.format("new\n")
    with pytest.raises(SystemExit, match="one pair of markers"):
        page.rewritten("none", "new")


def two_layers():
    rng = np.random.default_rng(0)
    b = Builder()
    y = b.input((1, 8), 0.5)
    for columns, units in ((8, 16), (16, 4)):
        w = b.constant(rng.integers(-90, 90, (units, columns)).astype(np.int8), 0.01)
        y = b.fully_connected(y, w, b.bias(np.zeros(units), y, w), scale=1.0)
    b.output(y)
    return parse_model(b.finish(), name="m")


def test_every_method_reaches_its_share():
    model = two_layers()
    for method in points.METHODS:
        _, rows = sparsify(model, measure.rule_at(model, method, 0.5))
        zeros = sum(row.zeros_after for row in rows)
        assert 96 <= zeros <= 102


def test_every_way_is_measured_and_relative_only_without_compensation():
    found = list(points.ways("m", 2))
    assert found[0] == ("dense", 0.0, False)
    for way in ("topk", "topk, compensated", "flat, compensated"):
        assert {share for each, share, _ in found if each == way} == set(points.SHARES)
    assert {way for way, _, _ in found} == {
        "dense",
        *points.METHODS,
        *(f"{method}, compensated" for method in points.METHODS[1:]),
        points.SHARED,
    }
    assert points.SHARED not in {way for way, _, _ in points.ways("m", 1)}
    assert ("topk", 0.45, False) in list(points.ways("resnet8_cifar10", 9))


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    model = two_layers()
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    (folder / "m.tflite").write_bytes(model.source)
    rng = np.random.default_rng(1)
    x, y = rng.integers(-128, 128, (40, 1, 8)).astype(np.int8), np.arange(40) % 4
    np.savez(folder / "data.npz", x=x, y=y)
    (tmp_path / "accuracy.md").write_text("<!-- accuracy -->\n<!-- end accuracy -->\n")
    command = [sys.executable, "-m", "host.accuracy", str(folder.parent)]
    command += ["--shares", "0.5", "--jobs", "2"]
    command += ["--docs", str(tmp_path), "--cache", str(tmp_path / "cache")]
    command += ["--json", str(tmp_path / "accuracy.json")]

    def told(*more):
        done = subprocess.run(
            [*command, *more], check=True, capture_output=True, text=True, cwd=ROOT
        )
        return done.stderr.splitlines()

    # Sensitivity in two halves; dense and five methods; four of them, and shared out, in halves.
    assert len(told()) == 2 + 6 + 2 * 5
    first = (tmp_path / "accuracy.md").read_text()
    assert first.count("| m (40) |") == 10
    point = next(p for p in sorted((tmp_path / "cache").iterdir()) if "right" in p.read_text())
    point.unlink()
    assert told("--collect") == []
    found = json.loads((tmp_path / "accuracy.json").read_text())["entries"]
    assert len({(entry["way"], entry["share"]) for entry in found}) == 10
    assert len(told()) == 1
    assert (tmp_path / "accuracy.md").read_text() == first
