"""What the monitor says to a device, and when: against a device made of Python, and a clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgesparse.errors import DeviceFaultError
from edgesparse.monitor.control import Control, Work
from edgesparse.monitor.recorder import Recorder
from edgesparse.monitor.view import View
from edgesparse.monitor.watch import Monitor, Until
from edgesparse.telemetry.log import open_log
from edgesparse.telemetry.record import Hello, Memory, Receiver, Record
from edgesparse.telemetry.setup import Setup
from tests.scripted import NONCE, ScriptedTarget, run_records, small_setup


class Device(ScriptedTarget):
    """One that says MEMORY behind HELLO, as devices do; `next_run` is what it says there."""

    def __init__(self) -> None:
        super().__init__()
        self.next_run = 0

    def ping(self, fields: dict[str, Any], tail: bytes = b"") -> bytes:
        return super().ping(fields) + self.frame("memory", run=self.next_run)

    def names(self) -> list[str]:
        """What it was told since the last call."""
        told = [name for name, _, _ in self.received[self._told :]]
        self._told = len(self.received)
        return told

    _told = 0


class Talk:
    """A device, a control, and the line between them."""

    def __init__(self, work: Work | None) -> None:
        self.device = Device()
        self.now_s = 0.0
        self.receiver = Receiver()
        self.control = Control(self.device.write, NONCE, work, lambda: self.now_s)

    def hear(self) -> None:
        while data := self.device.read(1 << 20, 0.0):
            for event in self.receiver.feed(data):
                if isinstance(event, Record):
                    self.control.heard(event)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.control.passed()


def test_work_begins_with_an_abort_and_goes_through_the_rows() -> None:
    talk = Talk(Work(rows=4, runs=10, every=5, rate=0, flags=2))
    talk.device.answers["run"] = lambda fields, tail: b""
    talk.hear()
    assert talk.device.names() == ["abort", "ping", "run"]
    fields = talk.device.received[-1][1]
    told = {key: fields[key] for key in ("run", "count", "first_row", "rows", "every", "flags")}
    assert told == {"run": 0, "count": 10, "first_row": 0, "rows": 4, "every": 5, "flags": 2}


def test_a_listener_only_asks() -> None:
    talk = Talk(None)
    talk.device.answers["ping"] = lambda fields, tail: b""
    talk.wait(0.5)
    assert talk.device.names() == ["ping"]
    talk.wait(0.6)
    assert talk.device.names() == ["ping"]
    del talk.device.answers["ping"]
    talk.device.answers["ping"] = talk.device.ping
    talk.wait(1.1)
    talk.hear()
    assert talk.control.greeted
    # Then only where nothing was heard for long.
    talk.device.names()
    talk.wait(4.9)
    assert talk.device.names() == []
    talk.wait(0.2)
    assert talk.device.names() == ["ping"]


def test_a_run_that_was_lost_is_asked_for_again() -> None:
    talk = Talk(Work(rows=4))
    talk.device.answers["run"] = lambda fields, tail: b""
    talk.hear()
    talk.device.names()
    talk.wait(5.1)
    talk.hear()
    assert talk.device.names() == ["ping"]
    talk.wait(5.1)
    talk.hear()
    assert talk.device.names() == ["ping", "abort", "run"]


def test_a_device_that_is_slow_is_left_alone() -> None:
    talk = Talk(Work(rows=4, every=1000))
    talk.device.answers["run"] = lambda fields, tail: b""
    talk.hear()
    talk.device.names()
    for done in range(1, 5):
        talk.device.next_run = done
        talk.wait(5.1)
        talk.hear()
        assert talk.device.names() == ["ping"]


def some_of_it(talk: Talk, fields: dict[str, Any]) -> bytes:
    """Of ten runs the first alone is told, and that all are over."""
    first = run_records(fields["run"])
    return talk.device.frames(*first, ("memory", b"", {"run": fields["run"] + fields["count"]}))


def test_all_runs_are_over_also_where_not_all_were_told() -> None:
    talk = Talk(Work(rows=4, runs=10))
    talk.device.next_run = 10  # of a job before
    talk.device.answers["run"] = lambda fields, tail: some_of_it(talk, fields)
    assert not talk.control.finished
    talk.hear()
    assert talk.control.finished


def test_a_restart_is_greeted_and_work_begins_anew() -> None:
    talk = Talk(Work(rows=4))
    talk.device.answers["run"] = lambda fields, tail: b""
    talk.hear()
    talk.device.names()
    talk.device.boot_id, talk.device.sequence = 2, 0
    talk.device.to_host += talk.device.say_hello()
    talk.hear()
    assert talk.control.restarts == 1
    assert talk.device.names() == ["abort", "ping", "run"]
    assert talk.device.received[-1][1]["run"] == 0


def test_a_refusal_is_an_error_only_where_something_was_asked_for() -> None:
    fault = {"status": -5, "detail": 130}
    listener, worker = Talk(None), Talk(Work(rows=4))
    worker.device.answers["run"] = lambda fields, tail: worker.device.frame("fault", **fault)
    with pytest.raises(DeviceFaultError, match="the device refused RUN"):
        worker.hear()
    listener.device.to_host += listener.device.frame("fault", **fault)
    listener.hear()
    assert listener.control.greeted


class ScriptedLine:
    """A device as a line that is always open."""

    opened = 1
    is_open = True

    def __init__(self, device: Device) -> None:
        self.note = print
        self._device = device

    def read(self) -> bytes:
        return self._device.read(1 << 20, 0.0)

    def write(self, data: bytes) -> None:
        self._device.write(data)

    def close(self) -> None:
        self._device.close()


def test_another_image_gets_a_log_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Device()
    line = ScriptedLine(device)
    seen: list[int] = []

    def setup_for(hello: Hello, memory: Memory, nonce: int) -> Setup:
        seen.append(hello.model_crc)
        return small_setup(nonce=nonce)

    def flashed_anew() -> bool:
        """After some runs somebody puts another model onto it, and it restarts."""
        if view.runs == 3 and len(seen) == 1:
            device.hello["model_crc"] = 7
            device.boot_id, device.sequence = 2, 0
            device.to_host += device.say_hello(nonce=0)
        return view.runs == 6

    quiet = Console(quiet=True)
    device.answers["run"] = lambda fields, tail: device.frames(
        *(record for run in range(3) for record in run_records(run))
    )
    with View(quiet, quiet) as view:
        recorder = Recorder(tmp_path / "logs", None)
        monitor = Monitor(line, setup_for, recorder, view, Work(rows=2))
        monitor.run(Until(), flashed_anew)
        recorder.close()
    assert seen == [0, 7]
    assert [folder.name for folder in monitor.folders] == ["000001", "000002"]
    for folder in monitor.folders:
        assert [each.run for each in open_log(folder).results()] == [0, 1, 2]
