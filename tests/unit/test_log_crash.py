"""A log whose writer is killed, or whose disk fills up, at any write: the rest is readable."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from edgesparse.deploy.session import Session
from edgesparse.errors import UsageError
from edgesparse.export import FORMATS, export_run
from edgesparse.monitor.recorder import Recorder, Rotation
from edgesparse.report.summary import Summary
from edgesparse.telemetry.cycles import CycleLog, RunCycles
from edgesparse.telemetry.log import RunLog, open_log, replay
from edgesparse.telemetry.record import command
from tests.scripted import ScriptedTarget, small_setup

RUNS = 3
# Frames go to the log in pieces that end in the middle of them.
READ_BYTES = 60

real_write = os.write


def write_log(folder: Path) -> None:
    """A whole session: capture, records, modelled cycles, summary."""
    setup = small_setup(runs=RUNS)
    summary = Summary(setup)
    with RunLog.create(folder, setup) as log:
        session = Session(ScriptedTarget(read_bytes=READ_BYTES), log=log)
        summary.greet(session.hello())
        summary.model_cycles(CycleLog("ideal", {}))
        log.cycled(CycleLog.header("ideal"))
        for run in session.run(0, RUNS):
            nodes = [(layer.count, 2 * layer.count) for layer in run.layers]
            cycles = RunCycles(run=run.run, nodes=nodes, instructions=160, cycles=400)
            log.cycled(cycles.model_dump_json().encode() + b"\n")
            summary.add_cycles(cycles)
            summary.add(run)
        log.finish(summary.document())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "log"
    write_log(folder)
    return folder


def writes_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of all writes of a session."""
    sizes = []

    def count_write(handle: int, data: memoryview) -> int:
        sizes.append(len(data))
        return real_write(handle, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", count_write)
        write_log(folder)
    return sizes


@pytest.fixture
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found = writes_of(tmp_path / "counted", monkeypatch)
    assert len(found) > 20  # session, capture and records in turn, cycles, summary
    return found


def stopping_write(at: int, stop: Callable[[], int]) -> Callable[[int, memoryview], int]:
    """A write that ends in the middle of the `at`-th call, and then does as `stop` does."""
    calls = count()

    def write(handle: int, data: memoryview) -> int:
        if next(calls) < at:
            return real_write(handle, data)
        real_write(handle, data[: len(data) // 2])
        return stop()

    return write


def check(folder: Path, whole: Path) -> int:
    """What is there is a beginning of the whole log, and readers take it; returns its runs."""
    if not (folder / "session.json").exists():
        assert not (folder / "capture.bin").exists()
        return 0
    for name in ("capture.bin", "run.jsonl"):
        if not (folder / name).exists():
            return 0
        assert (whole / name).read_bytes().startswith((folder / name).read_bytes())
    frames = (folder / "capture.bin").read_bytes().count(b"\0")
    runs = len(list(open_log(folder).results()))
    assert replay(folder)["runs"] == runs
    told = (folder / "run.jsonl").read_bytes().splitlines()
    assert len(told) == frames
    assert (whole / "run.jsonl").read_bytes().splitlines()[:frames] == told
    assert sum(json.loads(line)["record"] == "run_end" for line in told) == runs
    rows = export_run(folder, "csv")[0].read_text().splitlines()
    assert len(rows) == 1 + 2 * runs
    return runs


def test_killed_in_every_write(tmp_path: Path, whole: Path, sizes: list[int]) -> None:
    """A real SIGKILL to a process of its own, half of the bytes of that write being there."""

    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    found = []
    for at in range(len(sizes)):
        child = os.fork()
        if child == 0:
            os.write = stopping_write(at, die)  # type: ignore[assignment]
            write_log(tmp_path / str(at))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        found.append(check(tmp_path / str(at), whole))
    assert found == sorted(found)
    assert set(found) == set(range(RUNS + 1))


def full() -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_disk_full_in_every_write(
    tmp_path: Path, whole: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written from there on: the error says so, and what is there is readable."""
    found = []
    for at in range(len(sizes)):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", stopping_write(at, full))
            with pytest.raises(UsageError, match="No space left on device"):
                write_log(tmp_path / str(at))
        found.append(check(tmp_path / str(at), whole))
        assert not [path for path in (tmp_path / str(at)).iterdir() if path.name.startswith(".")]
    assert found == sorted(found)
    assert found[-1] == RUNS


def test_disk_full_for_a_moment(
    tmp_path: Path, whole: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is brought into agreement with its capture at once if the disk has room again."""
    for at in range(1, len(sizes)):
        calls = count()

        def write(handle: int, data: memoryview, at: int = at, calls: Iterator[int] = calls) -> int:
            return full() if next(calls) == at else real_write(handle, data)

        folder = tmp_path / str(at)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", write)
            with pytest.raises(UsageError, match="No space left on device"):
                write_log(folder)
        before = (folder / "run.jsonl").read_bytes(), (folder / "summary.json").read_bytes()
        check(folder, whole)
        assert before == (
            (folder / "run.jsonl").read_bytes(),
            (folder / "summary.json").read_bytes(),
        )


def cut_captures(whole: Path) -> Iterator[bytes]:
    capture = (whole / "capture.bin").read_bytes()
    yield from (capture[:size] for size in range(0, len(capture), 7))


def test_every_format_takes_a_log_that_was_cut_off(tmp_path: Path, whole: Path) -> None:
    for name in ("session.json", "cycles.jsonl"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    for size, capture in enumerate(list(cut_captures(whole))[::12]):
        (tmp_path / "capture.bin").write_bytes(capture)
        runs = replay(tmp_path)["runs"]
        for form in FORMATS:
            if runs > 0 or form in ("csv", "parquet"):
                assert all(path.stat().st_size > 0 for path in export_run(tmp_path, form)), size


def test_cycles_whose_last_line_was_cut_off(tmp_path: Path, whole: Path) -> None:
    for name in ("session.json", "capture.bin", "cycles.jsonl"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    lines = (whole / "cycles.jsonl").read_bytes()
    for size in range(len(lines) + 1):
        (tmp_path / "cycles.jsonl").write_bytes(lines[:size])
        cycles = open_log(tmp_path).cycles
        kept = 0 if cycles is None else 1 + len(cycles.runs)
        assert kept == lines[:size].count(b"\n")


def rotated(parent: Path) -> None:
    """A session whose log is rotated behind each run."""
    setup = small_setup(runs=0)
    target = ScriptedTarget()
    target.write(command("ping", 0, nonce=setup.nonce))
    target.write(command("run", 1, run=0, count=RUNS))
    recorder = Recorder(parent, Rotation(size_bytes=1, age_s=1e9, keep=100))
    recorder.begin(setup)
    while data := target.read(READ_BYTES, 0.0):
        list(recorder.take(data))
    recorder.close()


def test_killed_in_every_write_while_logs_rotate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs that are closed stay whole, and the open one is readable up to its end."""
    sizes = []

    def count_write(handle: int, data: memoryview) -> int:
        sizes.append(len(data))
        return real_write(handle, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", count_write)
        rotated(tmp_path / "whole")

    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    found = []
    for at in range(len(sizes)):
        child = os.fork()
        if child == 0:
            os.write = stopping_write(at, die)  # type: ignore[assignment]
            rotated(tmp_path / str(at))
            os._exit(1)
        os.waitpid(child, 0)
        captures = sorted((tmp_path / str(at)).glob("*/capture.bin"))
        for capture in captures[:-1]:
            whole = tmp_path / "whole" / capture.parent.name
            assert (capture.parent / "summary.json").read_bytes() == (
                whole / "summary.json"
            ).read_bytes()
        runs = [result.run for each in captures for result in open_log(each.parent).results()]
        assert runs == list(range(len(runs)))
        found.append(len(runs))
    assert found == sorted(found)
    assert set(found) == set(range(RUNS + 1))
