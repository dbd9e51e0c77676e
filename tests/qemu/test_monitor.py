"""`edgesparse monitor` and a board in QEMU that somebody else started, and starts again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesparse.cli import main
from edgesparse.deploy.boards import Board, QemuRunner
from edgesparse.deploy.run import Options, prepare
from edgesparse.export import export_run
from edgesparse.inputs import batch_bytes
from edgesparse.pipeline import Recipe
from edgesparse.telemetry.log import open_log, replay
from edgesparse.telemetry.runs import RunResult, WindowResult
from tests.meanwhile import meanwhile, nothing
from tests.qemu.attached import QemuAtPort

ROWS = 4


def test_power_is_cut_and_comes_back(
    board: Board,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It counts its starts from 1 again, and still no run of one start is taken for another's."""
    if not isinstance(board.runner, QemuRunner) or board.memory.batch is None:
        return
    monkeypatch.chdir(tmp_path)
    prepared = prepare(None, Recipe(), Options(board=board.name, runs=ROWS))
    with QemuAtPort(board, prepared.image, batch_bytes(prepared.rows), tmp_path) as qemu:
        arguments = ["monitor", "--port", qemu.url, "--start", "--rows", str(ROWS), "--json"]
        with meanwhile(("logs/000001", qemu.restart), ("logs/000002", nothing)):
            assert main([*arguments, "--log", "logs"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["logs"] == ["logs/000001", "logs/000002"]
    # Instructions of each row are the same to the digit, before and after.
    seen: dict[int, set[tuple[int, tuple[bytes, ...]]]] = {row: set() for row in range(ROWS)}
    for log in told["logs"]:
        runs = [each for each in open_log(Path(log)).results() if isinstance(each, RunResult)]
        assert [each.run for each in runs] == list(range(len(runs)))
        assert len(runs) >= ROWS
        for each in runs:
            seen[each.run % ROWS].add((each.end.count, each.outputs))
    assert all(len(figures) == 1 for figures in seen.values())
    assert len(set.union(*seen.values())) > 1


def test_windows_of_a_board(
    board: Board,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["monitor", "--board", board.name, "--runs", "12", "--every", "5"]
    assert main([*arguments, "--log", "logs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["frames_lost"]) == (12, 0)
    windows = list(open_log(Path("logs/000001")).results())
    assert [each.runs for each in windows if isinstance(each, WindowResult)] == [5, 5, 2]
    assert replay(Path("logs/000001")) == told["summary"]
    if told["summary"]["unit"] != "none":
        (trace,) = export_run(Path("logs/000001"), "perfetto")
        events = json.loads(trace.read_bytes())["traceEvents"]
        runs = [event for event in events if event["ph"] == "X" and "runs" in event["name"]]
        assert [event["name"] for event in runs] == ["runs 0-4", "runs 5-9", "runs 10-11"]
        assert sum(event["dur"] for event in runs) == 12 * told["summary"]["totals"]["count"]
