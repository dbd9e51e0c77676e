"""Bytes as they come -> logs, one after another: each a whole run folder."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesparse.errors import UsageError
from edgesparse.report.summary import Summary
from edgesparse.telemetry.log import RunLog, own_folder
from edgesparse.telemetry.record import Event, Receiver, Record
from edgesparse.telemetry.runs import Ended, RunCollector, RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = ["Arrival", "Recorder", "Rotation"]

_SEGMENT = re.compile(r"\d{6}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and the run or window that it ends."""

    event: Event
    result: Ended | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a new segment is begun, and how many are kept.

    size_bytes: of capture and records together.  age_s: seconds.  keep: segments; the oldest go.
    """

    size_bytes: int
    age_s: float
    keep: int


class _Segments:
    """The folders of logs in a parent, named 000001 and up.

    Numbers go on behind those that are there, so that a monitor that is started again adds to what
    it wrote before.

    Raises UsageError where the parent cannot be made, or has anything else in it.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            others = [path for path in parent.iterdir() if not _SEGMENT.fullmatch(path.name)]
        except OSError as error:
            raise UsageError(f"cannot write the log {parent}: {error.strerror}") from error
        if others:
            hint = "choose another folder, or remove this one"
            raise UsageError(f"the log's folder {parent} holds {others[0].name}", hint=hint)

    def next(self, keep: int | None) -> Path:
        """Where the next one goes; the oldest are removed, so that with it there are `keep`."""
        there = sorted(self._parent.iterdir())
        if keep is not None:
            for old in there[: max(len(there) + 1 - keep, 0)]:
                shutil.rmtree(old, ignore_errors=True)
        number = int(there[-1].name) + 1 if there else 1
        return self._parent / f"{number:06d}"


class Recorder:
    """Writes what arrives into a log, and gives it back as events and results.

    With a rotation, a log ends behind the run or window with which it has become large or old
    enough, and what follows goes into the next one.

    Args:
        parent: of the logs' folders; None for one of its own in RUNS_FOLDER.
        rotation: None for logs of any size.
    """

    def __init__(self, parent: Path | None, rotation: Rotation | None) -> None:
        self.damaged = 0
        self.lost = 0
        self._rotation = rotation
        self._segments = None if parent is None else _Segments(parent)
        self._log: RunLog | None = None

    @property
    def folder(self) -> Path | None:
        """Of the log that is being written."""
        return None if self._log is None else self._log.folder

    def begin(self, setup: Setup) -> None:
        """Close the log that there is, and start one.  Raises UsageError if that is impossible."""
        self.close()
        if self._segments is None:
            self._segments = _Segments(own_folder(setup))
        keep = None if self._rotation is None else self._rotation.keep
        self._log = RunLog.create(self._segments.next(keep), setup)
        self._summary = Summary(setup)
        self._receiver = Receiver()
        self._runs = RunCollector(setup.nonce)
        self._started = time.monotonic()

    def close(self) -> None:
        """Write the summary, and close the log.  May be called again."""
        log, self._log = self._log, None
        if log is None:
            return
        self.damaged += self._receiver.damaged
        self.lost += self._receiver.lost
        with log:
            log.finish(self._summary.document())

    def abandon(self, error: BaseException) -> None:
        """Close the log because of an error, and keep what it has."""
        log, self._log = self._log, None
        if log is not None:
            log.__exit__(type(error), error, None)

    def take(self, data: bytes) -> Iterator[Arrival]:
        """Keep bytes, and yield what they say.  Raises UsageError if they cannot be kept.

        The log must have been begun.
        """
        while data:
            piece, data = self._up_to_rotation(data)
            ended = False
            for arrival in self._keep(piece):
                yield arrival
                ended = ended or _ends(arrival.event)
            if ended and self._due() and self._log is not None:
                self.begin(self._log.setup)

    def _up_to_rotation(self, data: bytes) -> tuple[bytes, bytes]:
        """Frame by frame where the log may end behind one of them, else all at once."""
        if not self._due():
            return data, b""
        frame, end, rest = data.partition(b"\0")
        return frame + end, rest

    def _due(self) -> bool:
        if self._rotation is None or self._log is None:
            return False
        aged = time.monotonic() - self._started >= self._rotation.age_s
        return aged or self._log.size_bytes >= self._rotation.size_bytes

    def _keep(self, data: bytes) -> list[Arrival]:
        assert self._log is not None
        self._log.received(data)
        events = self._receiver.feed(data)
        self._log.decoded(events)
        return [self._arrival(event) for event in events]

    def _arrival(self, event: Event) -> Arrival:
        self._summary.observe(event)
        result = self._runs.push(event)
        if isinstance(result, RunResult | WindowResult):
            self._summary.add(result)
        return Arrival(event, result)


def _ends(event: Event) -> bool:
    return isinstance(event, Record) and event.type in ("run_end", "run_window")
