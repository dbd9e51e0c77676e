"""The log of a run: written as things happen, and told again from what was received."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesparse.deploy.session import Session
from edgesparse.errors import FormatError, UsageError
from edgesparse.report.summary import Summary
from edgesparse.telemetry.log import RunLog, rebuild, replay
from edgesparse.telemetry.record import Receiver
from edgesparse.telemetry.setup import Setup, StoredArray
from tests.scripted import OUTPUT, ScriptedTarget, small_setup

FILES = ["capture.bin", "run.jsonl", "session.json", "summary.json"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file, and nothing that was left behind beside them."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def compared_setup() -> Setup:
    golden = StoredArray.of(np.stack([OUTPUT, OUTPUT + np.int8(1)]))
    return small_setup(labels=(0, 1), golden=(golden,), runs=5)


def run_all(folder: Path, **options: Any) -> dict[str, Any]:
    setup = compared_setup()
    summary = Summary(setup)
    with RunLog.create(folder, setup) as log:
        target = ScriptedTarget(**options)
        target.to_host += b"noise\0"
        session = Session(target, log=log, observe=summary.observe)
        session.hello()
        for run in session.run(0, 5):
            summary.add(run)
        log.finish(summary.document())
    return summary.document()


def test_a_whole_run(tmp_path: Path) -> None:
    document = run_all(tmp_path / "log")
    files = content(tmp_path / "log")
    assert list(files) == FILES
    assert json.loads(files["summary.json"]) == document
    assert (document["runs"], document["accuracy"], document["mismatches"]) == (5, 0.6, 1)
    lines = [json.loads(line) for line in files["run.jsonl"].splitlines()]
    assert [line["record"] for line in lines[:3]] == ["damaged", "hello", "run_start"]
    assert sum(line["record"] == "run_end" for line in lines) == 5
    layers = [line for line in lines if line["record"] == "layer"]
    assert {line["unit"] for line in layers} == {"instructions"}
    assert len(layers) == 10
    assert Setup.from_json(files["session.json"]) == compared_setup()


@pytest.mark.parametrize("read_bytes", [1, 100, 1 << 20])
def test_replay_gives_the_same_bytes(tmp_path: Path, read_bytes: int) -> None:
    document = run_all(tmp_path / "log", read_bytes=read_bytes)
    before = content(tmp_path / "log")
    for name in ("run.jsonl", "summary.json"):
        (tmp_path / "log" / name).unlink()
    assert replay(tmp_path / "log") == document
    assert content(tmp_path / "log") == before


def test_nothing_depends_on_time_or_place(tmp_path: Path) -> None:
    run_all(tmp_path / "a")
    run_all(tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_keeps_what_was_done(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with RunLog.create(tmp_path / "log", compared_setup()) as log:
            session = Session(ScriptedTarget(read_bytes=400), log=log)
            session.hello()
            for run in session.run(0, 5):
                if run.run == 1:
                    raise error

    with pytest.raises(error):
        work()
    files = content(tmp_path / "log")
    assert list(files) == FILES
    summary = json.loads(files["summary.json"])
    assert 2 <= summary["runs"] < 5
    assert summary["runs_requested"] == 5
    rebuilt = rebuild(compared_setup(), files["capture.bin"])
    assert (files["run.jsonl"], summary) == (rebuilt.lines, rebuilt.document)
    assert len(rebuilt.results) == summary["runs"]


def test_an_interruption_between_capture_and_records_is_mended(tmp_path: Path) -> None:
    """Ctrl-C may come between any two lines of Python."""

    def work() -> None:
        with RunLog.create(tmp_path / "log", compared_setup()) as log:
            target = ScriptedTarget()
            Session(target, log=log).hello()
            log.received(target.run({"run": 0, "count": 1}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    files = content(tmp_path / "log")
    assert files["run.jsonl"].count(b"\n") == 1 + 6 + 1
    assert json.loads(files["summary.json"])["runs"] == 1


def test_the_first_error_is_the_one_that_is_told(tmp_path: Path) -> None:
    """A capture that the summary cannot be made from does not hide what went wrong before."""

    def work() -> None:
        meta = small_setup().meta
        other = meta.model_copy(update={"layers": meta.layers[:2]})
        with RunLog.create(tmp_path / "log", small_setup(meta=other)) as log:
            session = Session(ScriptedTarget(), log=log)
            session.hello()
            list(session.run(0, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (tmp_path / "log" / "capture.bin").stat().st_size > 0


def test_bytes_are_in_the_file_at_once(tmp_path: Path) -> None:
    with RunLog.create(tmp_path / "log", small_setup()) as log:
        log.received(b"abc")
        assert (log.folder / "capture.bin").read_bytes() == b"abc"
        log.received(b"")
        log.received(b"\0def")
        assert (log.folder / "capture.bin").read_bytes() == b"abc\0def"
        log.decoded(Receiver().feed(b"abc\0"))
        assert (log.folder / "run.jsonl").read_bytes().endswith(b"}\n")
        assert (log.folder / "session.json").exists()
        assert not (log.folder / "summary.json").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_any_capture_can_be_told(tmp_path: Path, data: st.DataObject) -> None:
    """Damage anywhere costs runs, never the rest; every line is a JSON object."""
    target = ScriptedTarget()
    setup = compared_setup()
    target.ping({"nonce": setup.nonce})
    capture = bytearray(target.run({"run": 0, "count": 4}))
    for _ in range(data.draw(st.integers(0, 3))):
        capture[data.draw(st.integers(0, len(capture) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(capture)))
    rebuilt = rebuild(setup, bytes(capture[start:]))
    assert 0 <= rebuilt.document["runs"] <= 4
    for line in rebuilt.lines.splitlines():
        assert "record" in json.loads(line)


# --- Folders -----------------------------------------------------------------------------------


def test_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    meta = small_setup().meta.model_copy(update={"name": "my model/v1.2"})
    logs = [RunLog.create(None, small_setup(meta=meta)) for _ in range(3)]
    assert len({log.folder for log in logs}) == 3
    for log in logs:
        assert re.fullmatch(r"\d{8}-\d{6}-my-model-v1-2-native(-\d)?", log.folder.name)
        assert log.folder.parent == Path("edgesparse-runs")
        with log:
            pass


def test_an_empty_folder_is_taken_and_a_full_one_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with RunLog.create(tmp_path / "empty", small_setup()):
        pass
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="is not empty"):
        RunLog.create(tmp_path / "full", small_setup())
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "log"):
        with pytest.raises(UsageError, match="cannot write the log"):
            RunLog.create(folder, small_setup())


def test_replay_needs_a_log(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        replay(tmp_path)
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(FormatError, match=r"session\.json"):
        replay(tmp_path)
    (tmp_path / "session.json").write_bytes(small_setup().to_json())
    with pytest.raises(UsageError, match="cannot read"):
        replay(tmp_path)
    (tmp_path / "capture.bin").write_bytes(b"")
    assert replay(tmp_path)["runs"] == 0
