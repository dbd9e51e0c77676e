"""`edgesparse replay`: the log of a run told again, from whole and from damaged captures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesparse.cli import main

TOLD = ["run.jsonl", "summary.json"]
RUNS = 5


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The log of a deployment, with what it showed beside it."""
    monkeypatch.chdir(tmp_path)
    deploy = ["deploy", "--board", "native", "--runs", str(RUNS), "--log", "log"]
    code, out, _ = run(capsys, *deploy)
    assert code == 0
    (tmp_path / "shown").write_text(out)
    return tmp_path / "log"


def test_tells_the_same_byte_for_byte(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    before = content(log)
    for name in TOLD:
        (log / name).unlink()
    assert run(capsys, "replay", "log") == (0, (log.parent / "shown").read_text(), "")
    assert content(log) == before
    code, out, _ = run(capsys, "replay", "log", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(before["summary.json"])


def test_a_capture_cut_off_in_the_middle(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    whole = content(log)
    capture = whole["capture.bin"]
    (log / "capture.bin").write_bytes(capture[: len(capture) // 2])
    code, out, _ = run(capsys, "replay", "log", "--json")
    document = json.loads(out)
    assert code == 0
    assert 1 <= document["runs"] < document["runs_requested"] == RUNS
    assert json.loads((log / "summary.json").read_bytes()) == document
    assert whole["run.jsonl"].startswith((log / "run.jsonl").read_bytes())
    code, out, _ = run(capsys, "replay", "log")
    assert code == 0
    assert f"mean of {document['runs']} of {RUNS} runs" in out


def test_damaged_bytes_in_the_middle_cost_no_more_than_their_runs(
    capsys: pytest.CaptureFixture[str], log: Path
) -> None:
    whole = content(log)
    capture = bytearray(whole["capture.bin"])
    middle = len(capture) // 2
    for at in range(middle, middle + 8):
        capture[at] ^= 0x55
    (log / "capture.bin").write_bytes(capture)
    code, out, _ = run(capsys, "replay", "log", "--json")
    document = json.loads(out)
    assert code == 0
    assert RUNS - 2 <= document["runs"] < RUNS
    lines = (log / "run.jsonl").read_bytes().splitlines()
    assert "damaged" in {json.loads(line)["record"] for line in lines}
    lost = set(whole["run.jsonl"].splitlines()) - set(lines)
    assert 1 <= len(lost) <= 3
    assert content(log)["capture.bin"] == bytes(capture)


def test_nothing_received(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    (log / "capture.bin").write_bytes(b"")
    code, out, _ = run(capsys, "replay", "log")
    assert code == 0
    assert f"mean of 0 of {RUNS} runs" in out
    assert (log / "run.jsonl").read_bytes() == b""


def test_needs_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "replay", "nowhere")
    assert (code, out) == (2, "")
    assert "nowhere" in err
