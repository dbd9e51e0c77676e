"""`edgesparse compare`: what became of each layer, and which runs are not to be compared."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgesparse.cli import main
from edgesparse.compare import compare_documents
from edgesparse.errors import UsageError
from tests.scripted import hello, result, small_setup, summarize


def document(**options: Any) -> dict[str, Any]:
    return summarize(small_setup(inputs_sha256="1" * 64), hello(), [result(0, **options)])


def test_layers_and_totals() -> None:
    a = document()
    b = document(counts=(50, 100), total=160, macs_done=(40, 20), zeros=(6, 1))
    comparison = compare_documents(a, b)
    assert [layer["speedup"] for layer in comparison["layers"]] == [None, 2.0, None, 0.5]
    first = comparison["layers"][1]
    assert (first["a"]["macs_done"], first["b"]["macs_done"]) == (80, 40)
    assert (first["a"]["activation_zeros"], first["b"]["activation_zeros"]) == (4, 6)
    assert comparison["unit"] == "instructions"
    assert comparison["speedup"] == 1.0
    changes = {change["quantity"]: change["change"] for change in comparison["changes"]}
    assert changes == {"instructions": 0.0, "flash bytes": 0.0, "arena bytes": 0.0}


def test_a_layer_that_costs_nothing_any_more_is_without_bound() -> None:
    comparison = compare_documents(document(), document(counts=(0, 50), total=60))
    assert comparison["layers"][1]["speedup"] == math.inf


def test_modelled_cycles_of_different_parts_are_not_compared() -> None:
    a, b = document(), document()
    for side, part in ((a, "ideal"), (b, "other")):
        side["cycles_part"] = part
        side["totals"]["modelled_cycles"] = 1000
    quantities = [row["quantity"] for row in compare_documents(a, b)["changes"]]
    assert "modelled cycles" not in quantities
    b["cycles_part"] = "ideal"
    quantities = [row["quantity"] for row in compare_documents(a, b)["changes"]]
    assert "modelled cycles" in quantities


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "cycles"}, "different units: instructions and cycles"),
        ({"inputs_sha256": "2" * 64}, "different inputs: 2 rows 111111111111 and 2 rows 2222"),
        ({"inputs_sha256": ""}, "does not say which inputs"),
        ({"rows": 7}, "different inputs: 2 rows 111111111111 and 7 rows 1111"),
        ({"runs": 0}, "run B has no whole inference"),
        ({"layers": []}, "different models: 4 and 0 layers"),
    ],
)
def test_what_cannot_be_compared_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compare_documents(document(), document() | change)


def test_another_layer_is_named() -> None:
    other = document()
    other["layers"][1] = other["layers"][1] | {"name": "elsewhere"}
    with pytest.raises(UsageError, match="differ in layer 1: CONV_2D .*elsewhere"):
        compare_documents(document(), other)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of the demo on native: dense, again, sparse, and with other rows."""
    folder = tmp_path_factory.mktemp("logs")
    given = {
        "dense": [],
        "again": [],
        "sparse": ["--method", "topk", "--sparsity", "0.9"],
        "fewer": ["-n", "2"],
    }
    for name, options in given.items():
        log = ["--log", str(folder / name), "--json"]
        assert main(["deploy", "--board", "native", "-n", "3", *log, *options]) == 0
    return folder


def test_the_same_run_twice(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(logs / "dense"), str(logs / "again"), "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["outputs"] == {"changed": 0, "runs": 3}
    assert all(change["change"] == 0 for change in comparison["changes"])


def test_dense_against_sparse(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(logs / "dense"), str(logs / "sparse")]) == 0
    out = capsys.readouterr().out
    assert "flash bytes: " in out
    assert "outputs: differ in " in out
    capsys.readouterr()
    worse = ["compare", str(logs / "sparse"), str(logs / "dense"), "--max-regression", "0.1"]
    assert main(worse) == 8
    assert "total: " in capsys.readouterr().err


def test_comparing_changes_no_log(logs: Path, tmp_path: Path) -> None:
    shutil.copytree(logs / "dense", tmp_path / "log")
    (tmp_path / "log" / "summary.json").unlink()
    before = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert main(["compare", str(tmp_path / "log"), str(logs / "dense")]) == 0
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == before


def test_other_rows(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(logs / "dense"), str(logs / "fewer")]) == 2
    assert "different inputs: 3 rows" in capsys.readouterr().err
