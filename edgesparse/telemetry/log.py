"""The log of a run: a folder that says all there is to say, and from which it can be told again.

- ``session.json``: what was known before the start, see telemetry.setup.
- ``capture.bin``: the bytes as received.
- ``cycles.jsonl``: modelled cycles of each run, see telemetry.cycles; only where there are any.
- ``run.jsonl``: the records in the capture, one JSON object a line, and what could not be read.
- ``summary.json``: the document of report.Summary.

The last two follow from those before, byte for byte.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from typing_extensions import Self

from edgesparse.errors import EdgesparseError, UsageError
from edgesparse.files import GrowingFile, read_file, write_file
from edgesparse.report.summary import Summary
from edgesparse.telemetry.cycles import CycleLog
from edgesparse.telemetry.record import Event, Receiver, event_line
from edgesparse.telemetry.runs import DUMP_RUNS_FROM, Ended, RunCollector, RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = [
    "RebuiltLog",
    "RunLog",
    "StoredLog",
    "open_log",
    "own_folder",
    "read_log",
    "rebuild",
    "replay",
]

RUNS_FOLDER = "edgesparse-runs"
"""Where logs go in the working directory unless told otherwise."""

_SESSION, _CAPTURE, _RECORDS, _SUMMARY = "session.json", "capture.bin", "run.jsonl", "summary.json"
_CYCLES = "cycles.jsonl"


def _document_bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8") + b"\n"


@dataclass(frozen=True, slots=True)
class StoredLog:
    """What a log's folder holds that does not follow from the rest."""

    setup: Setup
    capture: bytes
    cycles: CycleLog | None

    def results(self) -> Iterator[RunResult | WindowResult]:
        """Whole inferences and windows in order of arrival; those with dumped tensors left out."""
        collector = RunCollector(self.setup.nonce)
        for event in Receiver().feed(self.capture):
            ended = collector.push(event)
            if _is_result(ended):
                yield ended


def _is_result(ended: Ended | None) -> TypeGuard[RunResult | WindowResult]:
    return isinstance(ended, RunResult | WindowResult) and ended.run < DUMP_RUNS_FROM


@dataclass(frozen=True, slots=True)
class RebuiltLog:
    """What follows from a log's capture.

    Args:
        setup: what was known before.
        lines: bytes of run.jsonl.
        document: of summary.json.
        results: whole inferences and windows in order of arrival, as StoredLog.results().
    """

    setup: Setup
    lines: bytes
    document: dict[str, Any]
    results: Sequence[RunResult | WindowResult]


def open_log(folder: Path) -> StoredLog:
    """Read a log, also one whose writer was stopped in the middle.

    Raises UsageError where there is none, FormatError where session.json or cycles.jsonl is
    malformed.
    """
    inside = [] if (folder / _SESSION).exists() else sorted(folder.glob(f"*/{_SESSION}"))
    if inside:
        hint = f"name one of the logs in it, such as {inside[-1].parent}"
        raise UsageError(f"{folder} is a folder of logs", hint=hint)
    setup = Setup.from_json(read_file(folder / _SESSION))
    # What follows the last line break is a line that was being written.
    has_cycles = (folder / _CYCLES).exists()
    lines, end, _ = read_file(folder / _CYCLES).rpartition(b"\n") if has_cycles else (b"", b"", b"")
    cycles = CycleLog.read(lines + end) if end else None
    return StoredLog(setup, read_file(folder / _CAPTURE), cycles)


def rebuild(setup: Setup, capture: bytes, cycles: CycleLog | None = None) -> RebuiltLog:
    """Return what belongs to a capture."""
    collector = RunCollector(setup.nonce)
    summary = Summary(setup)
    if cycles is not None:
        summary.model_cycles(cycles)
    lines, results = [], []
    for event in Receiver().feed(capture):
        lines.append(event_line(event))
        summary.observe(event)
        ended = collector.push(event)
        if _is_result(ended):
            summary.add(ended)
            results.append(ended)
    return RebuiltLog(setup, b"".join(lines), summary.document(), results)


def read_log(folder: Path) -> RebuiltLog:
    """Return what rebuild() makes of a log, without changing it.

    Raises:
        UsageError: there is no log.
        FormatError: session.json or cycles.jsonl is malformed, or belongs to other runs.
    """
    log = open_log(folder)
    return rebuild(log.setup, log.capture, log.cycles)


def replay(folder: Path) -> dict[str, Any]:
    """Write run.jsonl and summary.json of a log anew, from the others; return the document.

    Raises what read_log() raises, and UsageError where it cannot be written.
    """
    rebuilt = read_log(folder)
    write_file(folder / _RECORDS, rebuilt.lines)
    write_file(folder / _SUMMARY, _document_bytes(rebuilt.document))
    return rebuilt.document


class RunLog:
    """A log that is being written.  Use it as a context manager.

    Left without finish(), because of an error or Ctrl-C, it keeps all that was received, with a
    summary of the runs that were completed.
    """

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder = folder
        self.setup = setup
        self._finished = False
        self._cycles: GrowingFile | None = None
        # First: a capture without it would be bytes that nobody can read.
        write_file(folder / _SESSION, setup.to_json())
        self._capture = self._grow(_CAPTURE)
        self._records = self._grow(_RECORDS)

    def _grow(self, name: str) -> GrowingFile:
        try:
            return GrowingFile(self.folder / name)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    @classmethod
    def create(cls, folder: Path | None, setup: Setup) -> Self:
        """Make the folder and start the log.

        Args:
            folder: a new or empty one; None for one of its own in RUNS_FOLDER.
            setup: what is known before the start.

        Raises:
            UsageError: the folder is not empty, or cannot be written.
        """
        try:
            if folder is None:
                folder = own_folder(setup)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                if any(folder.iterdir()):
                    hint = "choose another folder, or remove this one"
                    raise UsageError(f"the log's folder {folder} is not empty", hint=hint)
        except OSError as error:
            raise _cannot_write(folder or Path(RUNS_FOLDER), error) from error
        return cls(folder, setup)

    @property
    def size_bytes(self) -> int:
        """Of capture and records, so far."""
        return self._capture.size_bytes + self._records.size_bytes

    def received(self, data: bytes) -> None:
        """Keep bytes as they came.  Raises UsageError if that is impossible."""
        self._append(self._capture, data)

    def decoded(self, events: Sequence[Event]) -> None:
        """Keep what the bytes say.  Raises UsageError if that is impossible."""
        self._append(self._records, b"".join(event_line(event) for event in events))

    def cycled(self, line: bytes) -> None:
        """Keep a line of cycles.jsonl.  Raises UsageError if that is impossible."""
        if self._cycles is None:
            self._cycles = self._grow(_CYCLES)
        self._append(self._cycles, line)

    def _append(self, file: GrowingFile, data: bytes) -> None:
        try:
            file.append(data)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def finish(self, document: dict[str, Any]) -> None:
        """Write the summary; nothing may follow.  Raises UsageError if that is impossible."""
        write_file(self.folder / _SUMMARY, _document_bytes(document))
        self._finished = True

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        """Close the files; without finish(), bring them into agreement with the capture."""
        # The error that led here matters more than one about the log.
        with contextlib.suppress(EdgesparseError) if exc_type else contextlib.nullcontext():
            self._close()
            if not self._finished:
                replay(self.folder)

    def _close(self) -> None:
        files = [file for file in (self._capture, self._records, self._cycles) if file is not None]
        try:
            with contextlib.ExitStack() as closing:  # all of them, also when one fails
                for file in files:
                    closing.callback(file.close)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error


def own_folder(setup: Setup) -> Path:
    """Make a folder that nobody has, named after time, model and board."""
    model = re.sub(r"[^A-Za-z0-9_-]+", "-", setup.meta.name).strip("-") or "model"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{model}-{setup.board}"
    parent = Path(RUNS_FOLDER)
    parent.mkdir(exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _cannot_write(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write the log {folder}: {error.strerror or error}")
