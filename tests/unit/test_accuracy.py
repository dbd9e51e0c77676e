"""host/accuracy.py: halves of rows, table, plot."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from edgesparse.sparsify.evaluate import Accuracy

SCRIPT = Path(__file__).parents[2] / "host" / "accuracy.py"


@pytest.fixture(scope="module")
def accuracy():
    spec = importlib.util.spec_from_file_location("accuracy", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(accuracy):
    half = [Accuracy(40, 50), Accuracy(41, 50)]
    return [
        accuracy._entry("m", "dense", 0.0, half),
        accuracy._entry("m", "topk", 0.5, [Accuracy(25, 100)]),
        accuracy._entry("m", "compensated", 0.3, [Accuracy(80, 100)]),
        accuracy._entry("m", "compensated", 0.5, [Accuracy(100, 100)]),
    ]


def test_calibration_takes_rows_from_all_of_a_half(accuracy):
    half = np.arange(1000, 3000)
    rows = accuracy.calibration(half)
    assert len(rows) == accuracy.CALIBRATION_ROWS
    assert (rows[0], rows[-1]) == (1000, 2999)
    assert accuracy.calibration(half[:7]) == half[:7].tolist()


def test_the_table_has_a_row_a_way_and_a_column_a_share(accuracy):
    lines = accuracy.table(entries(accuracy)).splitlines()
    assert lines[0] == "| model (rows) | way | dense | 30 % | 50 % |"
    assert lines[2:] == [
        "| m (100) | topk | 81.0 ± 3.9 |  | 25.0 ± 4.3 |",
        "| m (100) | compensated | 81.0 ± 3.9 | 80.0 ± 4.0 | 100.0 ± 0.0 |",
    ]


def test_the_plot_is_the_same_for_the_same_numbers(accuracy, tmp_path):
    for name in ("a.svg", "b.svg"):
        accuracy.plot(entries(accuracy), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


def test_the_document_needs_its_markers_once(accuracy):
    block = "<!-- accuracy -->\n{}<!-- end accuracy -->"
    assert accuracy.rewritten(block.format("old\n"), "new\n") == block.format("new\n")
    with pytest.raises(SystemExit, match="one pair of markers"):
        accuracy.rewritten("none", "new")
