"""What sweep and tune measure on a board is what bench and deploy measure there."""

from pathlib import Path

from edgesparse import demo
from edgesparse.bench.measure import Bench, measure_all
from edgesparse.sparsify import Rule
from edgesparse.sweep import Sweep, run_sweep
from edgesparse.tune.command import Tuning, tune_file


def test_a_sweep_counts_as_bench_does(tmp_path: Path) -> None:
    points = (Rule(), Rule("topk", (0.8,)))
    sweep = Sweep(None, demo.data_path(), points, rows=20, board="qemu")
    found = run_sweep(sweep, tmp_path / "points.jsonl", lambda _: None)["points"]
    entries = measure_all(Bench(sparsities=(0.0, 0.8)), lambda _: None)["entries"]
    assert [point["measured"] for point in found] == [e["totals"]["count"] for e in entries]
    assert [point["flash_bytes"] for point in found] == [
        entry["totals"]["flash_bytes"] for entry in entries
    ]
    assert {point["unit"] for point in found} == {"instructions"}
    for point in found:
        assert abs(point["predicted_instructions"] / point["measured"] - 1) < 0.1


def test_a_search_ends_with_instructions_measured(tmp_path: Path) -> None:
    tuning = Tuning(
        None,
        demo.data_path(),
        tmp_path / "out.tflite",
        tmp_path / "out.toml",
        tmp_path / "trials.jsonl",
        max_drop=0.1,
        methods=("relative",),
        granularities=("filter",),
        activation_thresholds=True,
        optimize="instructions",
        rows=40,
        jobs=1,
    )
    cost = tune_file(tuning, quiet=True)["cost"]
    assert (cost["source"], cost["unit"], cost["board"]) == ("measured", "instructions", "qemu")
    dense, weights, tuned = (cost[name]["count"] for name in ("dense", "tuned_weights", "tuned"))
    assert tuned < weights < dense < cost["dense"]["count_without_skipping"]
    again = tune_file(tuning, quiet=True)
    assert (again["cost"], again["trials"]["new"]) == (cost, 0)
